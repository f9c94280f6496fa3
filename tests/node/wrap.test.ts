/** Functions whose results are stored under their name and arguments. */
import { type BoundWrapped, createCache, type Fill } from "leeward";
import * as v from "valibot";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { cost, rejection, type Stage, startStage } from "./stage.ts";

let stage: Stage;
beforeEach(async () => {
  stage = await startStage();
});

/** A wrapped function that takes what the compiler would not let through. */
type Any = BoundWrapped<unknown[], unknown>;

describe("a wrapped function", () => {
  test("runs once for equal arguments, and again when they are invalidated", async () => {
    const { cache } = stage.cache();
    const load = vi.fn(async (id: string, page: { n: number }) => ({
      id,
      ...page,
      run: load.mock.calls.length,
    }));
    const pageOf = cache.wrap("page", load, { tags: (id) => [`user:${id}`] });
    const first = { id: "7", n: 1, run: 1 };
    expect(await pageOf("7", { n: 1 })).toEqual(first);
    await stage.filled(cache, 1);
    expect(await pageOf("7", { n: 1 })).toEqual(first);
    expect(await pageOf("7", { n: 2 })).toEqual({ id: "7", n: 2, run: 2 });
    await stage.filled(cache, 2);
    await stage.gateway.reset();
    expect(await pageOf.invalidate("7", { n: 1 })).toEqual({ state: "applied" });
    expect(cost(stage.gateway)).toEqual([1, 1]);
    expect(await pageOf("7", { n: 1 })).toMatchObject({ run: 3 });
    await stage.filled(cache, 3);
    expect(await pageOf("7", { n: 2 })).toMatchObject({ run: 2 });
    await cache.invalidate({ tags: ["user:7"] });
    expect(await pageOf("7", { n: 2 })).toMatchObject({ run: 4 });
    await stage.filled(cache, 4);
  });

  test("has a key for the other calls of its cache", async () => {
    const { cache } = stage.cache();
    const userOf = cache.wrap("user", async (id: number) => ({ id }));
    expect(userOf.key(7)).toBe("user:[7]");
    await userOf(7);
    await stage.filled(cache, 1);
    expect(await cache.get(userOf.key(7))).toEqual({ id: 7 });
    const byName = cache.wrap("user", async (id: number) => ({ id }), { key: (id) => `no. ${id}` });
    expect(byName.key(7)).toBe("user:no. 7");
  });

  test("meets no other name, whatever its arguments are", () => {
    const { cache } = stage.cache();
    const keyOf = (name: string, ...args: unknown[]) =>
      (cache.wrap(name, () => 1) as unknown as Any).key(...args);
    const plain = (name: string, text: string) => cache.wrap(name, () => 1, { key: () => text }).key();
    const keys = [
      ...[keyOf("a"), keyOf("a", []), keyOf("a", [[]]), keyOf("a", null), keyOf("a", "null"), keyOf("a", "")],
      ...[
        keyOf("a", 1),
        keyOf("a", "1"),
        keyOf("a", 1, 2),
        keyOf("a", [1, 2]),
        keyOf("a", "1,2"),
        keyOf("a", {}),
      ],
      ...[
        keyOf("a:[]"),
        keyOf("a%3A[]"),
        keyOf("a%3a[]"),
        plain("a", "b:[]"),
        plain("a:b", "[]"),
        plain("b", ""),
      ],
      ...[keyOf("a", "\ud800"), keyOf("a", "\ud801"), keyOf("a", "\\ud800"), keyOf("a", "\ufffd")],
    ];
    expect(new Set(keys).size).toBe(keys.length);
  });

  test("gets what a callback gets, before its arguments, if it asks for it", async () => {
    const { cache } = stage.cache({ ttl: "1h" });
    const load = async (fill: Fill, id: string) => {
      fill.ttl("5s");
      return `user ${id}`;
    };
    const userOf = cache.wrap("user", load, { fill: true });
    expect(await userOf("7")).toBe("user 7");
    await stage.filled(cache, 1);
    const header = (await stage.redis.command("HGET", `leeward:k::${userOf.key("7")}`, "h:")) as string;
    expect(header.split(" ")[4]).toBe("5000");
  });

  test("runs again for a stored value that the schema does not take", async () => {
    const { cache } = stage.cache();
    const load = vi.fn(async (id: string): Promise<{ id: string; name?: string }> => ({ id, name: "new" }));
    const schema = v.object({ id: v.string(), name: v.string() });
    const userOf = cache.wrap("user", load, { schema });
    await cache.set(userOf.key("7"), { id: "7" });
    expect(await userOf("7")).toEqual({ id: "7", name: "new" });
    await stage.filled(cache, 2);
    expect(await userOf("7")).toEqual({ id: "7", name: "new" });
    expect(load).toHaveBeenCalledOnce();
  });

  test("rejects with its own error, the same object", async () => {
    const { cache } = stage.cache();
    const own = new Error("own");
    const sync = () => {
      throw own;
    };
    expect(await rejection(cache.wrap("sync", sync)())).toBe(own);
    expect(await rejection(cache.wrap("async", () => Promise.reject(own))())).toBe(own);
  });

  test("runs without Redis, too", async () => {
    const { cache } = stage.cache();
    await stage.gateway.fault("refuse", {});
    expect(await cache.wrap("user", async (id: string) => id)("7")).toBe("7");
    const unconfigured = createCache({ onEvent() {} });
    expect(await unconfigured.wrap("user", async (id: string) => id)("7")).toBe("7");
  });

  test("of a cache can be bound to a request, and is its namespace's own", async () => {
    const { url, token } = stage.settings;
    const cache = createCache({ timeout: { read: "15s", write: "15s" } });
    const kept: Promise<unknown>[] = [];
    const ctx = { waitUntil: (promise: Promise<unknown>) => void kept.push(promise) };
    const env = { UPSTASH_REDIS_REST_URL: url, UPSTASH_REDIS_REST_TOKEN: token };
    const load = vi.fn(async (id: string) => id);
    const userOf = cache.namespace("eu").wrap("user", load);
    expect(await userOf.for(env, ctx)("7")).toBe("7");
    await Promise.all(kept);
    expect(await userOf.for(env, ctx)("7")).toBe("7");
    expect(load).toHaveBeenCalledOnce();
    const there = cache.for(env, ctx);
    expect(await there.namespace("eu").has(userOf.key("7"))).toBe(true);
    expect(await there.has(userOf.key("7"))).toBe(false);
    expect(await there.namespace("eu").wrap("user", load)("7")).toBe("7");
    expect(load).toHaveBeenCalledOnce();
  });
});

describe("arguments that JSON does not give back exactly", () => {
  class Id {
    id = 7;
  }
  test.for<[unknown[], RegExp]>([
    [[new Date(0)], /"user".*a Date would come back as something else, at arguments\[0\]/],
    [["7", { born: new Date(0) }], /at arguments\[1\]\.born/],
    [["7", undefined], /undefined in a list has no JSON, at arguments\[1\]/],
    [[{ page: undefined }], /undefined has no JSON, at "page"/],
    [[-0], /-0 would come back as 0, at "0"/],
    [[Number.NaN], /NaN has no JSON, at arguments\[0\]/],
    [[7n], /a bigint has no JSON/],
    [[new Map()], /a Map would/],
    [[new Uint8Array(1)], /a Uint8Array would/],
    [[new Id()], /a Id would/],
    [[() => 7], /a function has no JSON/],
  ])("%o are a rejected TypeError, before any work", async ([args, message]) => {
    const { cache } = stage.cache();
    const load = vi.fn(() => 1);
    const wrapped = cache.wrap("user", load) as unknown as Any;
    const error = await rejection(wrapped(...args));
    expect(error).toBeInstanceOf(TypeError);
    expect((error as Error).message).toMatch(message);
    expect((error as Error).message).toContain('the option "key"');
    expect(await rejection(wrapped.invalidate(...args))).toBeInstanceOf(TypeError);
    expect(() => wrapped.key(...args)).toThrow(TypeError);
    expect(load).not.toHaveBeenCalled();
    expect(cost(stage.gateway)).toEqual([0, 0]);
    const named = cache.wrap("user", load, { key: () => "named" }) as unknown as Any;
    expect(await named(...args)).toBe(1);
  });
});

test("what wrap is given is looked at when the function is called, not before", async () => {
  const { cache } = stage.cache();
  const wrap = cache.wrap.bind(cache) as (...args: unknown[]) => Any;
  const fn = () => 1;
  for (const [wrapped, message] of [
    [wrap(7, fn), "a function must be named by a text, got number"],
    [wrap("", fn), "a function must be named by a text, got an empty one"],
    [wrap("a", 7), "what is wrapped must be a function, got number"],
    [wrap("a", fn, 7), "options must be an object"],
    [wrap("a", fn, { key: "a" }), 'option "key" must be a function, got string'],
    [wrap("a", fn, { key: () => 7 }), 'option "key" must give a string, got number'],
    [wrap("a", fn, { fill: 1 }), 'option "fill" must be true or false, got number'],
    [wrap("a", fn, { tags: () => "a" }), /option "tags" must be a list/],
    [wrap("a", fn, { tll: 1 }), /unknown option "tll": known are ttl/],
    [wrap("a", fn, { jitter: 0.6 }), 'option "jitter" must be a number from 0 to 0.5, got 0.6'],
  ] as const) {
    const error = (await rejection(wrapped())) as Error;
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toMatch(message);
  }
  const own = new Error("own");
  const tags = () => {
    throw own;
  };
  expect(await rejection(wrap("a", fn, { tags })())).toBe(own);
  expect(wrap("a", fn, { tags }).key()).toBe("a:[]");
});
