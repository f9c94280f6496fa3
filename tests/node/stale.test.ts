/** What may be served after its time: while it is refreshed, or in place of an error; and who will have none of it. */
import { beforeEach, describe, expect, test, vi } from "vitest";
import { type Isolate, isolates } from "./isolates.ts";
import { cost, ofType, rejection, type Stage, startStage, until } from "./stage.ts";

let stage: Stage;
let here: Isolate;
let there: Isolate;
beforeEach(async () => {
  stage = await startStage();
  const options = { ...stage.settings, swr: "1h", staleIfError: "1d" } as const;
  [here, there] = (await isolates(2, options)) as [Isolate, Isolate];
});

const unhandled = vi.fn();
beforeEach(() => {
  unhandled.mockClear();
  process.on("unhandledRejection", unhandled);
  return () => void process.off("unhandledRejection", unhandled);
});

/** Stored, and made stale. */
async function staleKey(): Promise<void> {
  await here.cache.set("key", "old", { tags: ["tag"] });
  expect(await there.cache.expire({ keys: ["key"] })).toEqual({ state: "applied" });
  await stage.gateway.reset();
}

describe("stale while revalidate", () => {
  test.for([
    ["a key", { keys: ["key"] }],
    ["a tag", { tags: ["tag"] }],
    ["the namespace", { all: true }],
  ] as const)("after the expiry of %s it is served once more, and refreshed behind the answer", async ([
    ,
    what,
  ]) => {
    const { cache, events } = here;
    await cache.set("key", "old", { tags: ["tag"] });
    await there.cache.get("connect");
    await stage.gateway.reset();
    expect(await there.cache.expire(what)).toEqual({ state: "applied" });
    expect(cost(stage.gateway)).toEqual([1, 1]);

    const gate = Promise.withResolvers<string>();
    const options = { tags: ["tag"] };
    expect(await cache.lookup("key", () => gate.promise, options)).toMatchObject({
      ...{ value: "old", outcome: "stale", stored: true, shared: false, reason: undefined },
    });
    gate.resolve("new");
    await stage.filled(cache, 2);
    expect(cost(stage.gateway)).toEqual([3, 3]);
    expect(await there.cache.get("key", options)).toBe("new");
    expect(ofType(events, "read").map(({ outcome }) => outcome)).toEqual(["stale"]);
    expect(cache.stats()).toMatchObject({ stale: 1, callbacks: 1, misses: 0 });
  });

  test("one of two isolates refreshes, and everybody is served meanwhile", async () => {
    await staleKey();
    const gate = Promise.withResolvers<string>();
    const load = vi.fn(() => gate.promise);
    for (const { cache } of [here, there, here, there]) {
      expect(await cache.for().lookup("key", load)).toMatchObject({ value: "old", outcome: "stale" });
    }
    expect(load).toHaveBeenCalledOnce();
    gate.resolve("new");
    await stage.filled(here.cache, 2);
    for (const { cache } of [here, there]) expect(await cache.get("key")).toBe("new");
  });

  test("a refresh that fails is an event, and nobody's rejection", async () => {
    const { cache, events } = here;
    await staleKey();
    const load = vi.fn(() => Promise.reject(new Error("down")));
    expect(await cache.lookup("key", load)).toMatchObject({ value: "old", outcome: "stale" });
    await until(() => ofType(events, "failure").length === 1);
    expect(ofType(events, "failure")).toMatchObject([{ error: "callback" }]);
    // A rejection counts as unhandled when a turn has gone by.
    await new Promise((resolve) => setImmediate(resolve));
    expect(unhandled).not.toHaveBeenCalled();
    expect(load).toHaveBeenCalledOnce();
  });

  test("by its own time to live, and no longer than the entry and the reader allow", async () => {
    const { cache } = here;
    await cache.set("key", "old", { ttl: 1, swr: "1d" });
    await until(async () => (await cache.lookup("key")).outcome === "miss");
    expect(await cache.lookup("key", () => "own", { swr: 0, staleIfError: 0 })).toMatchObject({
      ...{ value: "own", outcome: "miss" },
    });
    await stage.filled(cache, 2);
    await cache.set("other", "old", { ttl: 1, swr: 0, staleIfError: 0 });
    await until(async () => (await cache.lookup("other")).outcome === "miss");
    expect(await cache.lookup("other", () => "own")).toMatchObject({ value: "own", outcome: "miss" });
  });

  test("off by default", async () => {
    const { cache } = stage.cache();
    await cache.set("key", "old");
    await cache.expire({ keys: ["key"] });
    expect(await cache.lookup("key", () => "new")).toMatchObject({ value: "new", outcome: "miss" });
  });
});

describe("stale if error", () => {
  const own = new Error("own");
  const failing = () => Promise.reject(own);

  test("the stale value stands in for the error, which is an event", async () => {
    const { cache, events } = here;
    await staleKey();
    const options = { swr: 0 };
    expect(await cache.lookup("key", failing, options)).toMatchObject({ value: "old", outcome: "stale" });
    expect(await cache.getOrSet("key", failing, options)).toBe("old");
    expect(ofType(events, "failure")).toMatchObject([{ error: "callback" }, { error: "callback" }]);
    expect(JSON.stringify(events)).not.toContain("own");
    // Who has a value is not given the stale one.
    expect(await cache.lookup("key", () => "new", options)).toMatchObject({ value: "new", outcome: "miss" });
    await stage.filled(cache, 2);
    expect(await there.cache.get("key")).toBe("new");
  });

  test("not what has been invalidated while the callback ran, to those who ask after that", async () => {
    const { cache } = here;
    await staleKey();
    const load = async () => {
      await cache.invalidate({ keys: ["key"] });
      throw own;
    };
    // This one began before.
    expect(await cache.getOrSet("key", load, { swr: 0 })).toBe("old");
    for (const { cache } of [here, there]) {
      expect(await rejection(cache.getOrSet("key", failing, { swr: 0 }))).toBe(own);
    }
  });

  test("without one the error is the answer, the same object", async () => {
    expect(await rejection(here.cache.getOrSet("nothing", failing))).toBe(own);
    await staleKey();
    expect(await rejection(here.cache.getOrSet("key", failing, { swr: 0, staleIfError: 0 }))).toBe(own);
  });
});

describe("who wants nothing stale", () => {
  test("strict: gets the callback's value, or its error", async () => {
    const { cache } = here;
    await staleKey();
    const own = new Error("own");
    expect(await rejection(cache.getOrSet("key", () => Promise.reject(own), { freshness: "strict" }))).toBe(
      own,
    );
    expect(await cache.lookup("key", () => "new", { freshness: "strict" })).toMatchObject({
      ...{ value: "new", outcome: "miss" },
    });
    await stage.filled(cache, 2);
    expect(await cache.lookup("key", () => "newer", { freshness: "strict" })).toMatchObject({
      ...{ value: "new", outcome: "hit" },
    });
  });

  test("get and lookup without a callback: find nothing", async () => {
    await staleKey();
    expect(await here.cache.get("key")).toBeUndefined();
    expect(await here.cache.lookup("key")).toMatchObject({ outcome: "miss" });
  });
});

describe("forceFresh", () => {
  test("runs the callback although there is a fresh entry, and stores what it gives", async () => {
    const { cache } = here;
    await cache.set("key", "old");
    await stage.gateway.reset();
    const options = { forceFresh: true, freshness: "strict" } as const;
    expect(await cache.lookup("key", () => "new", options)).toMatchObject({ value: "new", outcome: "miss" });
    await stage.filled(cache, 2);
    expect(cost(stage.gateway)).toEqual([2, 2]);
    expect(await there.cache.get("key")).toBe("new");
    expect(await cache.lookup("key", () => "never", { forceFresh: false })).toMatchObject({ value: "new" });
  });

  test("shares with nobody who began before it", async () => {
    const { cache } = here;
    const gate = Promise.withResolvers<string>();
    const earlier = vi.fn(() => gate.promise);
    const slow = cache.for().getOrSet("key", earlier);
    await vi.waitFor(() => expect(earlier).toHaveBeenCalledOnce());
    const forced = await cache.for().lookup("key", () => "forced", { forceFresh: true });
    expect(forced).toMatchObject({ value: "forced", shared: false });
    gate.resolve("earlier");
    expect(await slow).toBe("earlier");
    await stage.gateway.idle();
  });
});

test("an expiry that Redis does not acknowledge is told, and what is stored is stale here", async () => {
  const { cache, events } = here;
  await cache.set("key", "old");
  await stage.gateway.fault("status", { code: 503, times: 1 });
  const error = await rejection(cache.expire({ keys: ["key"], tags: ["a"], all: true }));
  expect(error).toMatchObject({ state: "pending", keys: ["key"], tags: ["a"], all: true });
  expect((error as Error).message).toMatch(/for 1 key, 1 tag, the whole namespace$/);
  await until(() => cache.stats().journal === 0);
  expect(ofType(events, "invalidation").at(-1)).toMatchObject({ state: "applied", replay: true });
  expect(await cache.lookup("key", () => "new")).toMatchObject({ value: "old", outcome: "stale" });
  await stage.filled(cache, 2);
});
