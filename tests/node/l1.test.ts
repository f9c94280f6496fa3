/** What an isolate holds of values itself: who gets them, for how long, and that nobody sees what another one does to his. */
import type { CacheClient, CacheOptions } from "leeward";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { type Isolate, isolates } from "./isolates.ts";
import { cost, ofType, rejection, type Stage, startStage } from "./stage.ts";
import { type Clock, clock, trapAt } from "./traps.ts";

/** An isolate holds values for four different settings: these are all that there are in this file. */
const FROZEN = { l1: { ttl: "5s", maxBytes: 1 << 20 } } as const satisfies CacheOptions;
const COPIED = { l1: { ...FROZEN.l1, values: "copied" } } as const satisfies CacheOptions;

interface Learner {
  name: string;
  badges: { title: string }[];
}
const ada = (): Learner => ({ name: "Ada", badges: [{ title: "first" }] });

let stage: Stage;
let time: Clock;
let here: Isolate;
let there: Isolate;
const waits: Promise<unknown>[] = [];
const context = { waitUntil: (promise: Promise<unknown>) => void waits.push(promise) };
beforeEach(async () => {
  time = clock();
  stage = await startStage();
  [here, there] = (await isolates(2, { ...stage.settings, ...FROZEN })) as [Isolate, Isolate];
  return () => vi.restoreAllMocks();
});

/** Stored by the other isolate, read once, and so held here. */
async function hold<T>(value: T, cache: CacheClient = here.cache, tags: string[] = []): Promise<void> {
  await there.cache.set("key", value as never, { tags });
  await cache.get("key");
  await stage.gateway.reset();
}

describe("a value that is held", () => {
  test("is served without Redis, with its age, and counted", async () => {
    await hold(ada());
    time.advance(1200);
    expect(await here.cache.get("key")).toEqual(ada());
    const load = vi.fn();
    expect(await here.cache.getOrSet("key", load)).toEqual(ada());
    const lookup = await here.cache.lookup("key");
    expect(lookup).toEqual({
      ...{ value: ada(), outcome: "hit", stored: true, shared: false, l1: true, reason: undefined },
      age: expect.any(Number),
    });
    expect(lookup.age).toBeGreaterThanOrEqual(1200);
    expect(load).not.toHaveBeenCalled();
    expect(cost(stage.gateway)).toEqual([0, 0]);
    expect(here.cache.stats()).toMatchObject({ l1Entries: expect.any(Number), l1Hits: expect.any(Number) });
    const reads = ofType(here.events, "read");
    expect(reads.map(({ l1, outcome }) => [l1, outcome])).toEqual([
      [false, "hit"],
      ...Array.from({ length: 3 }, () => [true, "hit"]),
    ]);
    expect(new Set(reads.map(({ key }) => key)).size).toBe(1);
  });

  test("is held once its fill is stored, and is not the object that the callback returned", async () => {
    const own = ada();
    const first = await here.cache.getOrSet("key", () => own);
    expect(first).toBe(own);
    await stage.filled(here.cache, 1);
    own.name = "Eve";
    own.badges.pop();
    await stage.gateway.reset();
    expect(await here.cache.lookup("key")).toMatchObject({ value: ada(), l1: true });
    expect(cost(stage.gateway)).toEqual([0, 0]);
  });

  test("is served for its time, counted from when its read was sent, and no longer than it is fresh", async () => {
    time.stop();
    await hold("old");
    time.advance(4999);
    expect(await here.cache.lookup("key")).toMatchObject({ l1: true });
    time.advance(1);
    expect(await here.cache.lookup("key")).toMatchObject({ value: "old", l1: false });
    expect(cost(stage.gateway)).toEqual([1, 1]);
  });

  test("is not there by default", async () => {
    const { cache } = stage.cache();
    await cache.set("key", ada());
    for (let n = 0; n < 3; n += 1) expect(await cache.lookup("key")).toMatchObject({ l1: false });
    const value = await cache.get<Learner>("key");
    expect(Object.isFrozen(value)).toBe(false);
    expect(cache.stats()).toMatchObject({ hits: 4, l1Hits: 0 });
  });
});

describe("nobody sees what another one does to his value", () => {
  test("frozen: it cannot be changed, wherever it comes from, and all have the same", async () => {
    await there.cache.set("key", ada());
    const fromRedis = await here.cache.get<Learner>("key");
    const held = await here.cache.get<Learner>("key");
    expect(held).toBe(fromRedis);
    for (const change of [
      () => Object.assign(held as Learner, { name: "Eve" }),
      () => (held as Learner).badges.push({ title: "stolen" }),
      () => Object.assign((held as Learner).badges[0] as object, { title: "none" }),
    ]) {
      expect(change).toThrow(TypeError);
    }
    expect(await here.cache.get("key")).toEqual(ada());
  });

  test("copied: each has his own", async () => {
    const { cache } = stage.cache(COPIED);
    await hold(ada(), cache);
    for (let n = 0; n < 3; n += 1) {
      const mine = (await cache.lookup<Learner>("key")).value as Learner;
      expect(mine).toEqual(ada());
      mine.name = "Eve";
      mine.badges.length = 0;
    }
    expect(cost(stage.gateway)).toEqual([0, 0]);
  });

  test.for([
    ["frozen", FROZEN],
    ["copied", COPIED],
  ] as const)("%s: bytes are copied", async ([, options]) => {
    const { cache } = stage.cache(options);
    for (const make of [() => Uint8Array.of(1, 2, 3), () => Uint8Array.of(1, 2, 3).buffer]) {
      await there.cache.set("key", make() as Uint8Array);
      for (let n = 0; n < 3; n += 1) {
        const mine = await cache.get<Uint8Array | ArrayBuffer>("key", n === 0 ? { l1: true } : undefined);
        expect(mine).toEqual(make());
        new Uint8Array(mine as ArrayBuffer).fill(9);
        if (mine instanceof Uint8Array) mine.fill(9);
      }
      await cache.delete("key");
    }
    expect(cache.stats().l1Hits).toBe(4);
  });

  test("what a read gets that goes past it is its own", async () => {
    await hold(ada());
    const mine = await here.cache.get<Learner>("key", { l1: false });
    expect(Object.isFrozen(mine)).toBe(false);
    (mine as Learner).name = "Eve";
    expect(await here.cache.get("key")).toEqual(ada());
  });

  test.for([
    undefined,
    null,
    0,
    "",
    "text",
    [],
    { __proto__: null, a: { b: [] } },
  ])("what has nothing to change comes back as it is: %j", async (value) => {
    await hold(value);
    const { value: held, l1 } = await here.cache.lookup("key");
    expect([held, l1]).toEqual([value, true]);
  });
});

describe("what puts it out", () => {
  const WRITES: [string, (cache: CacheClient) => Promise<unknown>][] = [
    ["an invalidation of the key", (cache) => cache.invalidate({ keys: ["key"] })],
    ["an invalidation of the tag", (cache) => cache.invalidate({ tags: ["tag"] })],
    ["an invalidation of all", (cache) => cache.invalidate({ all: true })],
    ["an expiry", (cache) => cache.expire({ tags: ["tag"] })],
    ["delete", (cache) => cache.delete("key")],
    ["set", (cache) => cache.set("key", "new")],
    ["mutate", (cache) => cache.mutate({ keys: ["key"] }, () => {})],
  ];

  test.for(WRITES)("%s, in this isolate, at once and before Redis has heard of it", async ([, write]) => {
    await hold("old", here.cache, ["tag"]);
    expect(await here.cache.lookup("key")).toMatchObject({ l1: true });
    const written = write(here.cache);
    const looked = await here.cache.lookup("key");
    expect(looked.l1).toBe(false);
    expect(looked.outcome === "hit" && looked.value === "old").toBe(false);
    await written;
  });

  test.for(WRITES)("%s, in another isolate, when its time is over", async ([, write]) => {
    time.stop();
    await hold("old", here.cache, ["tag"]);
    await write(there.cache);
    time.advance(4999);
    expect(await here.cache.lookup("key")).toMatchObject({ value: "old", l1: true });
    time.advance(1);
    const looked = await here.cache.lookup("key");
    expect(looked.outcome === "hit" && looked.value === "old").toBe(false);
  });

  test("an invalidation that Redis has not acknowledged, for as long", async () => {
    await hold("old");
    await stage.gateway.stop();
    expect(await rejection(here.cache.delete("key"))).toMatchObject({ state: "pending" });
    expect(await here.cache.lookup("key", () => "new")).toMatchObject({ value: "new", l1: false });
  });

  test("the end of the core, also in the middle of an invalidation", async () => {
    await hold("old");
    const trapped = trapAt(here, 1);
    // The next core holds nothing.
    expect(await here.cache.lookup("key", () => "own")).toMatchObject({ value: "old", l1: false });
    expect(trapped()).toBe(true);
    expect(await here.cache.lookup("key")).toMatchObject({ value: "old", l1: true });

    const again = trapAt(here, 1);
    const written = rejection(here.cache.delete("key"));
    expect(again()).toBe(true);
    expect(await written).toMatchObject({ state: "pending" });
    expect(await here.cache.lookup("key", () => "new")).toMatchObject({ value: "new" });
  });

  test("other caches, namespaces and tenants never meet", async () => {
    await hold("mine");
    const other = await startStage();
    for (const { cache } of [other.cache(FROZEN), other.cache(COPIED), stage.cache(FROZEN)]) {
      expect(await cache.lookup("key")).toMatchObject({ value: undefined, l1: false });
    }
    for (const cache of [here.cache.namespace("a"), here.cache.namespace("a").namespace("b")]) {
      expect(await cache.lookup("key")).toMatchObject({ value: undefined, l1: false });
    }
    expect(await here.cache.lookup("key")).toMatchObject({ value: "mine", l1: true });
  });
});

describe("a reader", () => {
  test("who names tags gets it only if it carries them", async () => {
    await hold("value", here.cache, ["a", "b"]);
    expect(await here.cache.lookup("key", undefined, { tags: ["b"] })).toMatchObject({ l1: true });
    const load = vi.fn(() => "own");
    expect(await here.cache.lookup("key", load, { tags: ["b", "c"] })).toMatchObject({
      value: "own",
      l1: false,
    });
    expect(load).toHaveBeenCalledOnce();
  });

  test("names the same tags as the one for whom it was held, or others that it carries", async () => {
    const { cache } = here;
    await cache.getOrSet("key", () => "value", { tags: ["a", "b"] });
    await stage.filled(cache, 1);
    for (const tags of [["a", "b"], ["b", "a"], ["b"], []]) {
      expect(await cache.lookup("key", undefined, { tags }), String(tags)).toMatchObject({ l1: true });
    }
    for (const tags of [["a", "c"], ["a", "b", "c"], ["ab"]]) {
      expect(await cache.lookup("key", undefined, { tags }), String(tags)).toMatchObject({ l1: false });
    }
    // The last that asked Redis found nothing for itself: what is held stays as it is.
    expect(await cache.lookup("key", undefined, { tags: ["a", "b"] })).toMatchObject({ l1: true });
    await there.cache.invalidate({ tags: ["b"] });
    await cache.invalidate({ tags: ["b"] });
    expect(await cache.lookup("key", undefined, { tags: ["a", "b"] })).toMatchObject({ outcome: "miss" });
  });

  test.for([[{ l1: false }], [{ freshness: "strict" }]] as const)("of %j goes past it", async ([options]) => {
    await hold("old");
    await there.cache.set("key", "new");
    expect(await here.cache.lookup("key", undefined, options)).toMatchObject({ value: "new", l1: false });
    const held = await here.cache.lookup("key");
    // What a strict read has found takes its place.
    expect(held).toMatchObject({ l1: true, value: "freshness" in options ? "new" : "old" });
  });

  test("who forces a fresh one has it put out", async () => {
    await hold("old");
    expect(await here.cache.getOrSet("key", () => "new", { forceFresh: true })).toBe("new");
    await stage.filled(here.cache, 1);
    expect(await here.cache.get("key")).toBe("new");
  });

  test("is told what is wrong with the call, as ever", async () => {
    await hold("value");
    const { cache } = here;
    expect(await rejection(cache.getOrSet("key", 7 as never))).toBeInstanceOf(TypeError);
    expect(await rejection(cache.get("key", { tags: "t" } as never))).toMatchObject({
      message: expect.stringContaining('option "tags"'),
    });
    expect(await rejection(cache.get("key", { l1: 1 } as never))).toMatchObject({
      message: 'option "l1" must be true or false, got 1',
    });
    // Also after the same option was in order, and before it is again.
    for (const swr of [1000, -1, 1000, "2 weeks", 1000] as const) {
      const read = cache.getOrSet("key", () => "own", { swr: swr as number });
      if (swr === 1000) expect(await read).toBe("value");
      else expect(await rejection(read)).toMatchObject({ message: expect.stringContaining('option "swr"') });
    }
    const reason = new Error("gone");
    expect(await rejection(cache.get("key", { signal: AbortSignal.abort(reason) }))).toBe(reason);
    expect(await cache.get("key", { signal: new AbortController().signal })).toBe("value");
    expect(cost(stage.gateway)).toEqual([0, 0]);
  });

  test("stores nothing that follows from it", async () => {
    await hold(1);
    const client = here.cache.for(undefined, context);
    const seen = (await client.lookup<number>("key")).value as number;
    await there.cache.set("key", 10);
    expect(await client.set("key", seen + 1)).toEqual({ state: "applied", stored: false });
    expect(await there.cache.get("key")).toBeUndefined();
    await hold(1);
    const again = here.cache.for(undefined, context);
    await again.get("key");
    // Whoever has begun to read has not read yet.
    const reading = again.get<number>("key", { l1: false });
    expect(await again.set("key", 5)).toMatchObject({ stored: false });
    await reading;
    await hold(1);
    const read = (await again.get<number>("key", { l1: false })) as number;
    expect(await again.set("key", read + 1)).toEqual({ state: "applied", stored: true });
    expect(await there.cache.get("key")).toBe(2);
    await Promise.all(waits);
  });
});

describe("a bad option is a warning, and a disabled cache", () => {
  test.for([
    [{ ttl: "61s", maxBytes: 1 << 20 }, /option "l1\.ttl" must be a duration from 1 ms to 1 min/],
    [{ ttl: 0, maxBytes: 1 << 20 }, /option "l1\.ttl"/],
    [
      { ttl: "5s", maxBytes: 65_535 },
      /option "l1\.maxBytes" must be a whole number of bytes from 65536 to 67108864, got 65535/,
    ],
    [{ ttl: "5s", maxBytes: 70_000.5 }, /option "l1\.maxBytes"/],
    [{ ttl: "5s", maxBytes: "1MB" }, /option "l1\.maxBytes"/],
    [{ ttl: "5s" }, /option "l1" must be given with both ttl and maxBytes, got no maxBytes/],
    [{ maxBytes: 1 << 20 }, /got no ttl/],
    [{ ttl: "5s", maxBytes: 1 << 20, values: "shared" }, /option "l1\.values" must be "frozen" or "copied"/],
    [{ ttl: "5s", maxBytes: 1 << 20, size: 5 }, /unknown option "l1\.size"/],
    [true, /option "l1" must be an object with ttl, maxBytes, values/],
  ] as [unknown, RegExp][])("%j", async ([l1, message]) => {
    const { cache, events } = stage.cache({ l1: l1 as never });
    expect(await cache.getOrSet("key", () => 1)).toBe(1);
    expect(ofType(events, "warning")).toMatchObject([
      { code: "disabled", message: expect.stringMatching(message) },
    ]);
  });
});
