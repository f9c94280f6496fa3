/** Many keys at once: what it costs, for what the callback is asked, and what becomes of the answer. */
import { type CacheClient, createCache, type FillMany } from "leeward";
import * as v from "valibot";
import { describe, expect, test, vi } from "vitest";
import { cost, ofType, rejection, startStage } from "./stage.ts";

const keys = Array.from({ length: 50 }, (_, i) => `key-${i}`);
const byKey = async (missing: readonly string[]) => new Map(missing.map((key) => [key, `value of ${key}`]));

describe("50 keys of one call", () => {
  test("cost two requests cold, one warm, and one command each time for each", async () => {
    const { cache, ...stage } = await withCache();
    const load = vi.fn(byKey);
    const cold = await cache.getMany(keys, load);
    expect([...cold]).toEqual(keys.map((key) => [key, `value of ${key}`]));
    await stage.filled(cache, 50);
    expect(cost(stage.gateway)).toEqual([2, 100]);
    expect(load.mock.calls.map(([missing]) => missing)).toEqual([keys]);

    await stage.gateway.reset();
    expect(await cache.getMany(keys, load)).toEqual(cold);
    expect(cost(stage.gateway)).toEqual([1, 50]);
    expect(await cache.getMany(keys)).toEqual(cold);
    expect(cost(stage.gateway)).toEqual([2, 100]);
    expect(load).toHaveBeenCalledOnce();
  });

  test("ask for exactly those that are missing, once, and give all in the order of the keys", async () => {
    const { cache, ...stage } = await withCache();
    await cache.getMany(["b", "d"], byKey);
    await stage.filled(cache, 2);
    const load = vi.fn(byKey);
    const values = await cache.getMany(["a", "b", "a", "c", "d", "c"], load);
    expect(load.mock.calls.map(([missing]) => missing)).toEqual([["a", "c"]]);
    expect([...values.keys()]).toEqual(["a", "b", "c", "d"]);
    await stage.filled(cache, 4);
    expect((await cache.lookup("c")).outcome).toBe("hit");
  });
});

test("50 calls for one key each, of one turn, cost the same", async () => {
  const { cache, ...stage } = await withCache();
  const all = () => Promise.all(keys.map((key) => cache.getOrSet(key, async () => key)));
  await all();
  await stage.filled(cache, 50);
  expect(cost(stage.gateway)).toEqual([2, 100]);
  await stage.gateway.reset();
  await all();
  expect(cost(stage.gateway)).toEqual([1, 50]);
});

describe("a key without a value", () => {
  test.each([
    ["left out of a Map", (missing: readonly string[]) => new Map([[missing[0] ?? "", 1]])],
    ["undefined in a list", () => [1, undefined]],
  ])("(%s) is not in the answer, not stored, and asked for the next time", async (_, load) => {
    const { cache, ...stage } = await withCache();
    expect(await cache.getMany(["a", "b"], load)).toEqual(new Map([["a", 1]]));
    await stage.filled(cache, 1);
    const again = vi.fn(byKey);
    await cache.getMany(["a", "b"], again);
    expect(again.mock.calls[0]?.[0]).toEqual(["b"]);
  });

  test("is one thing, undefined as a value another", async () => {
    const { cache, ...stage } = await withCache();
    await cache.getMany(["a"], () => new Map([["a", undefined]]));
    await stage.filled(cache, 1);
    expect([...(await cache.getMany(["a", "b"]))]).toEqual([["a", undefined]]);
  });
});

describe("the callback", () => {
  test("fails the call with its own error, the same object, and nothing is stored", async () => {
    const { cache } = await withCache();
    const error = new Error("no database");
    const failing = () => Promise.reject(error);
    expect(await rejection(cache.getMany<string>(["a", "b"], failing))).toBe(error);
    expect(await cache.getMany(["a", "b"])).toEqual(new Map());
  });

  test.each([
    [
      "a change of its list",
      (missing: readonly string[]) => [(missing as string[]).shift()],
      /TypeError|object is not extensible|Cannot|read only/,
    ],
    ["a list of another length", () => [1], /one value for each of the 2 missing keys, got 1/],
    ["nothing", () => undefined, /must return a Map or a list, got undefined/],
    ["an object", () => ({ a: 1 }), /must return a Map or a list, got/],
  ])("that returns %s fails it with a TypeError", async (_, load, message) => {
    const { cache } = await withCache();
    const error = await rejection(cache.getMany(["a", "b"], load as never));
    expect(error).toBeInstanceOf(TypeError);
    expect((error as Error).message).toMatch(message);
  });

  test("is asked for all while Redis is refused, and for none while nothing is missing", async () => {
    const { cache, ...stage } = await withCache();
    await stage.gateway.fault("status", { code: 503 });
    const load = vi.fn(byKey);
    expect((await cache.getMany(keys, load)).size).toBe(50);
    expect(load.mock.calls[0]?.[0]).toEqual(keys);
    expect(await cache.getMany([], load)).toEqual(new Map());
    expect(load).toHaveBeenCalledOnce();
  });

  test("sets the time to live of all of them, or has none stored", async () => {
    const { cache, ...stage } = await withCache();
    await cache.getMany(["a", "b"], (missing, fill) => {
      fill.ttl("1h");
      return missing.map(() => 1);
    });
    await stage.filled(cache, 2);
    for (const key of ["a", "b"]) {
      expect(await stage.redis.command("PTTL", `leeward:k::${key}`)).toBeGreaterThan(3_000_000);
    }
    await cache.getMany(["c"], (_, fill: FillMany) => {
      fill.skip();
      return [1];
    });
    expect((await cache.lookup("c")).outcome).toBe("miss");
  });

  test("says of one of them what is not of all", async () => {
    const { cache, ...stage } = await withCache();
    const other = stage.newCache().cache;
    await cache.getMany(["short", "long", "tagged", "none"], async (missing, fill) => {
      fill.ttl("1h");
      fill.of("short").ttl("1m");
      fill.of("none").skip();
      await fill.of("tagged").tags(["t"]);
      return missing.map(() => 1);
    });
    await stage.filled(cache, 3);
    const left = async (key: string) => Number(await stage.redis.command("PTTL", `leeward:k::${key}`));
    expect(await left("short")).toBeLessThan(200_000);
    expect(await left("long")).toBeGreaterThan(3_000_000);
    await other.invalidate({ tags: ["t"] });
    expect([...(await other.getMany(["short", "long", "tagged", "none"])).keys()]).toEqual(["short", "long"]);
  });

  test("sees what is stale of a key, and says that it is good still, or how long the new one is served stale", async () => {
    const { cache, ...stage } = await withCache();
    const other = stage.newCache().cache;
    await Promise.all(["a", "b"].map((key) => cache.set(key, `old ${key}`, { staleIfError: "1h" })));
    await other.expire({ keys: ["a", "b"] });
    const seen: unknown[] = [];
    const values = await cache.getMany(["a", "b", "c"], (missing, fill): (string | undefined)[] => {
      seen.push(...missing.map((key) => fill.of(key).stale?.value));
      fill.swr("1h");
      fill.staleIfError("1h");
      return [fill.of("a").notModified(), "new b", undefined];
    });
    expect(seen).toEqual(["old a", "old b", undefined]);
    expect([...values]).toEqual([
      ["a", "old a"],
      ["b", "new b"],
    ]);
    await stage.filled(cache, 4);
    await other.expire({ keys: ["a", "b"] });
    const stale = await other.getMany(["a", "b"], byKey, { swr: "1h" });
    expect([...stale.values()]).toEqual(["old a", "new b"]);
    for (const key of ["a", "b"]) {
      const header = (await stage.redis.command("HGET", `leeward:k::${key}`, "h:")) as string;
      expect(header).toMatch(/ 60000 3600000 3600000 j /);
    }
  });

  test.each([
    ["a key that is there", "there", "another one"],
    ["no key", undefined, "undefined"],
  ])("has a TypeError for what it says of %s", async (_, key, got) => {
    const { cache, ...stage } = await withCache();
    await cache.getMany(["there"], byKey);
    await stage.filled(cache, 1);
    const error = await rejection(
      cache.getMany(["a", "b", "there"], (missing, fill) => {
        fill.of(key as string).skip();
        return missing.map(() => 1);
      }),
    );
    expect(error).toEqual(new TypeError(`fill.of() takes one of the missing keys, got ${got}`));
  });

  test("is run by getMany without a usable Redis, once", async () => {
    const cache = createCache({ url: "", token: "", onEvent: () => {} });
    const load = vi.fn(byKey);
    expect((await cache.getMany(["a", "b"], load)).get("b")).toBe("value of b");
    expect(load).toHaveBeenCalledOnce();
    expect(await cache.getMany(["a"])).toEqual(new Map());
  });
});

test("an invalidation while the values are computed keeps the one key from being stored, and not the others", async () => {
  const { cache, ...stage } = await withCache();
  const other = stage.newCache().cache;
  await cache.getMany(["a", "b"], async (missing) => {
    await other.invalidate({ keys: ["a"] });
    return missing.map(() => "old");
  });
  await stage.filled(cache, 2);
  expect([...(await cache.getMany(["a", "b"])).keys()]).toEqual(["b"]);
  expect(cache.stats().fillsRefused).toBe(1);
});

test("tags are those of the call, or of each key by a function", async () => {
  const { cache, ...stage } = await withCache();
  await cache.getMany(["a", "b"], byKey, { tags: (key) => [`of ${key}`] });
  await cache.getMany(["c"], byKey, { tags: ["all"] });
  await stage.filled(cache, 3);
  await cache.invalidate({ tags: ["of a", "all"] });
  expect([...(await cache.getMany(["a", "b", "c"])).keys()]).toEqual(["b"]);
});

describe("a schema", () => {
  const users = () => [["a", 1] as const, ["b", "old"] as const, ["c", 3] as const];

  test.each([
    ["at once", v.number()],
    [
      "later",
      v.pipeAsync(
        v.number(),
        v.checkAsync(async () => true),
      ),
    ],
  ])("has those loaded whose stored value it does not take, %s, and these alone", async (_, schema) => {
    const { cache, events, ...stage } = await withCache();
    await cache.getMany(["a", "b", "c"], () => new Map<string, string | number>(users()));
    await stage.filled(cache, 3);
    await stage.gateway.reset();
    const load = vi.fn((missing: readonly string[]) => missing.map(() => 2));
    const keys = ["a", "b", "c", "d"];
    expect([...(await cache.getMany(keys, load, { schema })).values()]).toEqual([1, 2, 3, 2]);
    expect(load.mock.calls.map(([missing]) => missing)).toEqual([["b", "d"]]);
    await stage.filled(cache, 5);
    expect(cost(stage.gateway)).toEqual([2, 6]);
    expect(ofType(events, "rejected")).toHaveLength(1);
    expect([...(await cache.getMany(keys, load, { schema })).values()]).toEqual([1, 2, 3, 2]);
    expect(load).toHaveBeenCalledOnce();
  });

  test("leaves out what it does not take where nobody loads it", async () => {
    const { cache, ...stage } = await withCache();
    await cache.getMany(["a", "b", "c"], () => new Map<string, string | number>(users()));
    await stage.filled(cache, 3);
    expect([...(await cache.getMany(["a", "b", "c"], undefined, { schema: v.number() }))]).toEqual([
      ["a", 1],
      ["c", 3],
    ]);
  });
});

test("values that are compressed are stored by one request as well", async () => {
  const stage = await startStage();
  const { cache } = stage.cache({ compress: 1024 });
  // Of many sizes: they do not take equally long.
  const load = (missing: readonly string[]) => missing.map((key, i) => key.repeat(250 * (1 + i)));
  const values = await cache.getMany(keys, load);
  await stage.filled(cache, 50);
  expect(cost(stage.gateway)).toEqual([2, 100]);
  expect(cache.stats().compressedFrom).toBeGreaterThan(0);
  expect(await cache.getMany(keys)).toEqual(values);
});

describe("stale values", () => {
  test("are served, and refreshed behind the answer by one call of the callback", async () => {
    const { cache, ...stage } = await withCache();
    const life = { ttl: "1m", swr: "10m" } as const;
    await cache.getMany(["a", "b"], () => [1, 1], life);
    await stage.filled(cache, 2);
    await cache.expire({ keys: ["a", "b"] });
    const load = vi.fn((missing: readonly string[]) => missing.map(() => 2));
    expect([...(await cache.getMany(["a", "b"], load, life)).values()]).toEqual([1, 1]);
    await stage.filled(cache, 4);
    expect(load.mock.calls.map(([missing]) => missing)).toEqual([["a", "b"]]);
    expect([...(await cache.getMany(["a", "b"])).values()]).toEqual([2, 2]);
  });

  test("stand in for the callback's error, if all that are missing have one", async () => {
    const { cache, ...stage } = await withCache();
    const life = { ttl: "1m", staleIfError: "10m" } as const;
    await cache.getMany(["a", "b"], () => [1, 1], life);
    await stage.filled(cache, 2);
    await cache.expire({ keys: ["a", "b"] });
    const error = new Error("no database");
    const failing = () => Promise.reject(error);
    expect([...(await cache.getMany<number>(["a", "b"], failing, life)).values()]).toEqual([1, 1]);
    expect(await rejection(cache.getMany<number>(["a", "b", "c"], failing, life))).toBe(error);
  });
});

describe("with other calls", () => {
  test("a call for one of the keys joins it, from another request, too", async () => {
    const { cache, ...stage } = await withCache();
    const [one, other] = [cache.for(undefined, anchor()), cache.for(undefined, anchor())];
    await one.get("connect");
    let go = () => {};
    const gate = new Promise<void>((resolve) => {
      go = resolve;
    });
    const many = one.getMany(["a", "b"], async (missing) => {
      await gate;
      return byKey(missing);
    });
    const joined = other.lookup("a", () => "own");
    await stage.gateway.idle();
    go();
    expect(await joined).toMatchObject({ value: "value of a", shared: true });
    await many;
    await stage.filled(cache, 2);
  });

  test("it waits for nobody else's callback", async () => {
    const { cache, ...stage } = await withCache();
    const [one, other] = [cache.for(undefined, anchor()), cache.for(undefined, anchor())];
    let go = () => {};
    const slow = other.getOrSet("a", async () => {
      await new Promise<void>((resolve) => {
        go = resolve;
      });
      return "slow";
    });
    await vi.waitFor(() => expect(other.stats().callbacks).toBe(1));
    expect((await one.getMany(["a", "b"], byKey)).size).toBe(2);
    go();
    expect(await slow).toBe("slow");
    await stage.filled(cache, 3);
  });
});

describe("a signal", () => {
  test("ends the wait, and aborts the callback that nobody else waits for", async () => {
    const { cache } = await withCache();
    const controller = new AbortController();
    const aborted = Promise.withResolvers<unknown>();
    const many = cache.getMany<string>(
      ["a", "b"],
      (_, { signal }) => {
        signal.addEventListener("abort", () => aborted.resolve(signal.reason));
        controller.abort("left");
        return new Promise(() => {});
      },
      { signal: controller.signal },
    );
    expect(await rejection(many)).toBe("left");
    expect(await aborted.promise).toBeDefined();
  });

  test("that is aborted before anybody is asked asks nobody", async () => {
    const { cache, ...stage } = await withCache();
    await cache.get("connect");
    await stage.gateway.fault("hang");
    const controller = new AbortController();
    const load = vi.fn(byKey);
    const many = cache.getMany(["a", "b"], load, { signal: controller.signal });
    controller.abort("left");
    expect(await rejection(many)).toBe("left");
    await stage.gateway.release();
    await stage.gateway.idle();
    expect(load).not.toHaveBeenCalled();
    expect(await rejection(cache.getMany(["a"], load, { signal: controller.signal }))).toBe("left");
  });
});

test.each([
  [() => ["a", 1], undefined, {}, /a key must be a string/],
  [() => "a", undefined, {}, /keys must be a list/],
  [() => ["a"], 5, {}, /the callback must be a function/],
  [() => ["a"], byKey, { tags: 5 }, /option "tags"/],
  [() => ["a"], byKey, { tags: () => [""] }, /option "tags"/],
  [() => ["a"], byKey, { leaseWait: 5 }, /unknown option "leaseWait": known are ttl, swr/],
  [() => ["a"], byKey, { earlyRefresh: 1 }, /unknown option "earlyRefresh": known are .*, schema,/],
  [() => ["a"], byKey, { schema: {} }, /option "schema" must be a Standard Schema, version 1, got object/],
])("bad arguments are a TypeError before any work (%#)", async (given, load, options, message) => {
  const { cache, ...stage } = await withCache();
  const error = await rejection(cache.getMany(given() as string[], load as never, options as never));
  expect(error).toBeInstanceOf(TypeError);
  expect((error as Error).message).toMatch(message);
  expect(cost(stage.gateway)).toEqual([0, 0]);
});

test("each key is an event of its own", async () => {
  const { cache, events, ...stage } = await withCache();
  await cache.getMany(["a", "b"], byKey);
  await stage.filled(cache, 2);
  expect(ofType(events, "read").map(({ outcome }) => outcome)).toEqual(["miss", "miss"]);
  expect(ofType(events, "fill")).toHaveLength(2);
});

function anchor() {
  return { waitUntil: (promise: Promise<unknown>) => void promise.catch(() => {}) };
}

async function withCache() {
  const stage = await startStage();
  const { cache, events } = stage.cache();
  return { ...stage, newCache: stage.cache, cache: cache as CacheClient & typeof cache, events };
}
