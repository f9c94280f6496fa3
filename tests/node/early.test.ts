/** Refreshed before its time: what that costs, and who does it. */
import { beforeEach, describe, expect, test, vi } from "vitest";
import { type Isolate, isolates } from "./isolates.ts";
import { cost, ofType, type Stage, startStage, until } from "./stage.ts";

/** So long a callback is said to have taken, and the `ttl`: with `earlyRefresh: 10` all but one of 1.6e8 hits are due. */
const COST = 1e12;
const TTL = 60_000;

let stage: Stage;
let here: Isolate;
let there: Isolate;
beforeEach(async () => {
  stage = await startStage();
  const options = { ...stage.settings, ttl: TTL, earlyRefresh: 10 } as const;
  [here, there] = (await isolates(2, options)) as [Isolate, Isolate];
});

/** Stores the value, and has Redis say that its callback took long. */
async function stored(): Promise<void> {
  const { cache } = here;
  await cache.getOrSet("key", () => "old");
  await stage.filled(cache, 1);
  await there.cache.get("connect");
  const header = (await stage.redis.command("HGET", "leeward:k::key", "h:")) as string;
  const words = header.split(" ");
  words[8] = String(COST);
  await stage.redis.command("HSET", "leeward:k::key", "h:", words.join(" "));
  await stage.gateway.reset();
}

describe("a hit that is due", () => {
  test("is served first; the lease and the fill come behind the answer: three requests, three commands", async () => {
    const { cache, events } = here;
    await stored();
    const gate = Promise.withResolvers<string>();
    const load = vi.fn(() => gate.promise);
    expect(await cache.lookup("key", load)).toMatchObject({ value: "old", outcome: "hit", stored: true });
    await until(() => load.mock.calls.length === 1);
    expect(cost(stage.gateway)).toEqual([2, 2]);
    expect(cache.stats()).toMatchObject({ fills: 1 });
    gate.resolve("new");
    await stage.filled(cache, 2);
    expect(cost(stage.gateway)).toEqual([3, 3]);
    expect(await there.cache.get("key")).toBe("new");
    expect(cache.stats()).toMatchObject({ hits: 1, stale: 0, misses: 1, callbacks: 2, fills: 2 });
    expect(ofType(events, "read").map(({ outcome }) => outcome)).toEqual(["miss", "hit"]);
  });

  test("is refreshed by one of two isolates; the other pays for a lease that it is refused", async () => {
    await stored();
    const gate = Promise.withResolvers<string>();
    const load = vi.fn(() => gate.promise);
    expect(await here.cache.getOrSet("key", load)).toBe("old");
    await until(() => load.mock.calls.length === 1);
    await stage.gateway.reset();
    expect(await there.cache.getOrSet("key", load)).toBe("old");
    await until(() => cost(stage.gateway)[0] === 2);
    await stage.gateway.idle();
    expect(cost(stage.gateway)).toEqual([2, 2]);
    expect(load).toHaveBeenCalledOnce();
    gate.resolve("new");
    await stage.filled(here.cache, 2);
  });

  test("costs the visitor nothing if its callback fails: an event tells", async () => {
    const { cache, events } = here;
    await stored();
    expect(await cache.getOrSet("key", () => Promise.reject(new Error("own")))).toBe("old");
    await until(() => ofType(events, "failure").length === 1);
    expect(ofType(events, "failure")).toMatchObject([{ error: "callback" }]);
    expect(JSON.stringify(events)).not.toContain("own");
    expect(await there.cache.get("key")).toBe("old");
  });

  test("stores nothing over an invalidation that came meanwhile", async () => {
    const { cache, events } = here;
    await stored();
    const gate = Promise.withResolvers<string>();
    const load = vi.fn(() => gate.promise);
    expect(await cache.getOrSet("key", load)).toBe("old");
    await until(() => load.mock.calls.length === 1);
    await there.cache.invalidate({ keys: ["key"] });
    gate.resolve("older than the invalidation");
    await stage.filled(cache, 2);
    expect(ofType(events, "fill").at(-1)).toMatchObject({ stored: false, reason: "overtaken" });
    expect(await there.cache.get("key")).toBeUndefined();
  });
});

test.for([
  ["is not due", {}, false],
  ["does not want it", { earlyRefresh: 0 }, true],
] as const)("a hit that %s, or has no callback, is one request and one command", async ([
  ,
  options,
  slow,
]) => {
  const { cache } = here;
  if (slow) {
    await stored();
  } else {
    await cache.getOrSet("key", () => "old");
    await stage.filled(cache, 1);
    await stage.gateway.reset();
  }
  expect(await cache.getOrSet("key", () => "never", options)).toBe("old");
  await stage.gateway.idle();
  expect(cost(stage.gateway)).toEqual([1, 1]);
  expect(await cache.get("key")).toBe("old");
  expect(await cache.has("key")).toBe(true);
  await stage.gateway.idle();
  expect(cost(stage.gateway)).toEqual([3, 3]);
});
