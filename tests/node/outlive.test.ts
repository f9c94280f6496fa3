/** What outlives an instance of the core that traps: invalidations that are not applied yet, and what is known of the connection. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type Isolate, isolates } from "./isolates.ts";
import { cost, ofType, rejection, type Stage, startStage, until } from "./stage.ts";
import { type Clock, clock, trapAlways, trapAt, trapNow } from "./traps.ts";

let stage: Stage;
let isolate: Isolate;
let time: Clock;
beforeEach(async () => {
  time = clock();
  stage = await startStage();
  isolate = await begun();
});
afterEach(() => {
  vi.restoreAllMocks();
});

/** An isolate with a core, and a connection of its own that is ready. */
async function begun(options = {}): Promise<Isolate> {
  const [made] = await isolates(1, { ...stage.settings, swr: "1h", ...options });
  if (made === undefined) throw new Error("no isolate");
  await made.cache.get("nothing");
  return made;
}

/** A client of one request. */
const request = () => isolate.cache.for(undefined, { waitUntil() {} });

const applied = () => until(() => isolate.cache.stats().journal === 0);

describe("an invalidation that is pending when the core traps", () => {
  test("is applied before any read that it covers, once Redis is back", async () => {
    const { cache } = isolate;
    await cache.set("key", "old");
    await stage.gateway.fault("status", { code: 503 });
    await rejection(cache.invalidate({ keys: ["key"] }));
    await trapNow(isolate);
    await stage.gateway.fault("healthy");
    await stage.gateway.reset();
    expect(await cache.lookup("key", () => "new")).toMatchObject({ value: "new" });
    const seen = await stage.gateway.seen("leeward:k::key");
    expect(seen[0]?.commands.map((words) => words[3])).toEqual(["leeward:k::key", "leeward:k::key"]);
    await applied();
  });

  test("of a tag or a namespace covers what it covered", async () => {
    const { cache } = isolate;
    await cache.set("tagged", "old", { tags: ["tag"] });
    await cache.namespace("space").set("key", "old");
    await stage.gateway.fault("status", { code: 503 });
    await rejection(cache.invalidate({ tags: ["tag"] }));
    await rejection(cache.namespace("space").invalidate({ all: true }));
    await trapNow(isolate);
    await stage.gateway.fault("healthy");
    expect(await cache.get("tagged", { tags: ["tag"] })).toBeUndefined();
    expect(await cache.namespace("space").get("key")).toBeUndefined();
    await applied();
  });

  test("outlives one instance after the other", async () => {
    const { cache } = isolate;
    await cache.set("key", "old");
    await stage.gateway.fault("status", { code: 503 });
    await rejection(cache.invalidate({ keys: ["key"] }));
    await trapNow(isolate);
    await cache.get("other");
    await trapNow(isolate);
    await stage.gateway.fault("healthy");
    // Whatever it was down for is over.
    time.advance(60_000);
    expect(await cache.lookup("key", () => "new")).toMatchObject({ value: "new", outcome: "miss" });
    await applied();
  });

  test("is not sent again once it has been acknowledged", async () => {
    const { cache } = isolate;
    await cache.set("key", "old");
    await stage.gateway.fault("status", { code: 503, times: 1 });
    await rejection(cache.invalidate({ keys: ["key"] }));
    await applied();
    await cache.set("key", "new");
    await trapNow(isolate);
    expect(await cache.lookup("key")).toMatchObject({ value: "new", outcome: "hit" });
  });

  test("of an expiry leaves stale what it covers", async () => {
    const { cache } = isolate;
    await cache.set("key", "old");
    await stage.gateway.fault("status", { code: 503 });
    await rejection(cache.expire({ keys: ["key"] }));
    await trapNow(isolate);
    await stage.gateway.fault("healthy");
    expect(await cache.lookup("key", () => "new")).toMatchObject({ value: "old", outcome: "stale" });
  });

  test("that was refused keeps what it covers from being served", async () => {
    isolate = await begun({ token: stage.gateway.readOnlyToken });
    const { cache } = isolate;
    await stage.cache().cache.set("key", "old");
    expect(await cache.get("key")).toBe("old");
    expect(await rejection(cache.invalidate({ keys: ["key"] }))).toMatchObject({ state: "refused" });
    await trapNow(isolate);
    expect(await cache.lookup("key", () => "new")).toMatchObject({ value: "new", outcome: "bypass" });
  });
});

describe("wherever the core traps during it", () => {
  const WRITES = [
    ["an invalidation", ({ cache }: Isolate) => cache.invalidate({ keys: ["key"] })],
    ["an invalidation of a tag", ({ cache }: Isolate) => cache.invalidate({ tags: ["tag"] })],
    ["a set", ({ cache }: Isolate) => cache.set("key", "new", { tags: ["tag"] })],
    [
      "a mutate",
      ({ cache }: Isolate) =>
        cache.mutate({ keys: ["key"] }, async () => {}).then((done) => done.invalidation),
    ],
  ] as const;

  test.for(WRITES)("%s is applied or told as pending, and no read gives what was before", async ([
    ,
    write,
  ]) => {
    const { cache } = isolate;
    for (let n = 1; ; n += 1) {
      // Longer than a mutate is under way.
      time.advance(60_000);
      await cache.set("key", "old", { tags: ["tag"] });
      await stage.gateway.idle();
      const trapped = trapAt(isolate, n);
      const ended = await write(isolate).catch((error: unknown) => error);
      expect(ended).toMatchObject({ state: expect.stringMatching(/^(applied|pending)$/) });
      expect(await cache.get("key", { tags: ["tag"] })).not.toBe("old");
      if (trapped()) continue;
      expect(n).toBeGreaterThan(5);
      time.advance(60_000);
      expect(await cache.get("key", { tags: ["tag"] })).not.toBe("old");
      await applied();
      return;
    }
  });
});

describe("a mutate whose callback runs when the core traps", () => {
  test("keeps what it covers from being served, and is sent again when the callback has ended", async () => {
    const { cache } = isolate;
    await cache.set("key", "old");
    let end = () => {};
    const running = new Promise<void>((began) => {
      const mutate = async () => {
        began();
        await new Promise<void>((resolve) => {
          end = resolve;
        });
      };
      mutated = cache.mutate({ keys: ["key"] }, mutate);
    });
    await running;
    await trapNow(isolate);
    expect(await cache.lookup("key", () => "between")).toMatchObject({ value: "between", outcome: "bypass" });
    end();
    expect((await mutated)?.invalidation).toMatchObject({ state: "pending" });
    expect(await cache.get("key")).toBeUndefined();
  });
  let mutated: ReturnType<Isolate["cache"]["mutate"]> | undefined;
});

describe("a connection that is down when the core traps", () => {
  test("costs no I/O until its time has come, and goes on counting", async () => {
    time.stop();
    const { cache } = isolate;
    await stage.gateway.fault("status", { code: 401 });
    await cache.lookup("key", () => "value");
    const before = cache.connection;
    expect(before).toMatchObject({ state: "down", failures: 1 });
    await trapNow(isolate);
    await stage.gateway.fault("healthy");
    await stage.gateway.reset();
    expect(await cache.lookup("key", () => "value")).toMatchObject({ outcome: "bypass" });
    expect(cost(stage.gateway)).toEqual([0, 0]);
    const { state, until: over, attempts, failures } = before;
    expect(cache.connection).toMatchObject({ state, until: over, attempts, failures });
    time.set((over ?? 0) + 1);
    expect(await cache.lookup("key", () => "value")).toMatchObject({ outcome: "miss" });
    expect(cache.connection).toMatchObject({ state: "ready", attempts: attempts + 1 });
  });
});

describe("a core that traps at every call", () => {
  test("is left alone for a while, told once, and works again", async () => {
    time.stop();
    const { cache, events } = isolate;
    const before = events.length;
    const traps = trapAlways(isolate);
    for (let n = 0; n < 20; n += 1) {
      expect(await cache.getOrSet("key", () => n)).toBe(n);
      expect(await rejection(cache.invalidate({ keys: ["key"] }))).toMatchObject({
        state: expect.stringMatching(/^(pending|refused)$/),
      });
    }
    expect(traps.made()).toBe(2);
    const told = ofType(events.slice(before), "warning");
    expect(told.map(({ code }) => code)).toEqual(["trapped", "trapped", "trapped"]);
    expect(told[2]?.message).toMatch(/callbacks run for 10 s/);
    traps.end();
    time.advance(9_999);
    expect(await cache.lookup("key", () => 1)).toMatchObject({ outcome: "bypass" });
    expect(events).toHaveLength(before + 3);
    time.advance(1);
    expect(await cache.lookup("key", () => 1)).toMatchObject({ outcome: "miss" });
  });
});

describe("what a request has read before the core traps", () => {
  test("is nothing that it can set by: the next core does not know how old it is", async () => {
    const { cache } = isolate;
    await cache.set("key", 1);
    const client = request();
    const seen = (await client.get<number>("key")) as number;
    await trapNow(isolate);
    await cache.set("key", 10);
    expect(await client.set("key", seen + 1)).toEqual({ state: "applied", stored: false });
    expect(await cache.get("key")).toBeUndefined();
    // Others, and requests that come later, are not concerned.
    expect(await cache.set("key", 2)).toMatchObject({ stored: true });
    expect(await request().set("key", 3)).toMatchObject({ stored: true });
  });

  test("nor is what it has computed while there was none", async () => {
    const traps = trapAlways(isolate);
    for (let n = 0; n < 5; n += 1) await isolate.cache.getOrSet("key", () => n);
    const client = request();
    const seen = await client.getOrSet("key", () => 1);
    traps.end();
    time.advance(60_000);
    await isolate.cache.set("key", 10);
    expect(await client.set("key", seen + 1)).toEqual({ state: "applied", stored: false });
  });
});
