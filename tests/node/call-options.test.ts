/** Bad options of a call: a rejected TypeError that names option, value and what is allowed, before any work. */
import type { MutateOptions, ReadOptions, WriteOptions } from "leeward";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { rejection, type Stage, startStage } from "./stage.ts";

let stage: Stage;
beforeEach(async () => {
  stage = await startStage();
});

const TTL = /option "ttl" must be a duration from 1 ms to 30 days, .*got /;

describe("a bad option of a call", () => {
  const BAD_TTLS: [unknown, string][] = [
    [0, "got 0"],
    [-1, "got -1"],
    [0.5, "got 0.5"],
    [Number.NaN, "got NaN"],
    [Number.POSITIVE_INFINITY, "got inf"],
    [30 * 86_400_000 + 1, "got 2592000001"],
    ["31d", 'got "31d"'],
    ["5 minutes", 'got "5 minutes"'],
    ["0s", 'got "0s"'],
    ["", 'got ""'],
    ["-5m", 'got "-5m"'],
    [true, "got true"],
    [null, "got null"],
    [{}, "got object"],
    [["5m"], "got an array"],
    [5n, "got bigint"],
  ];

  test.for(BAD_TTLS)("ttl: %s is named with its range", async ([bad, got]) => {
    const { cache, events } = stage.cache();
    const ttl = bad as number;
    const load = vi.fn(() => 1);
    const refused = await Promise.all([
      rejection(cache.getOrSet("key", load, { ttl })),
      rejection(cache.lookup("key", load, { ttl })),
      rejection(cache.set("key", 1, { ttl })),
    ]);
    for (const error of refused) {
      expect(error).toBeInstanceOf(TypeError);
      expect((error as TypeError).message).toMatch(TTL);
      expect((error as TypeError).message.toLowerCase()).toContain(got.toLowerCase());
    }
    expect(load).not.toHaveBeenCalled();
    expect({ events, requests: stage.gateway.counters().httpRequests }).toEqual({ events: [], requests: 0 });
  });

  test.for([
    [
      { tll: "5m" },
      /unknown option "tll": known are ttl, swr, staleIfError, negativeTtl, jitter, .*, signal$/,
    ],
    [
      { tags: "a" },
      /option "tags" must be a list of at most 64 texts of 1 to 512 bytes of UTF-8, got a text/,
    ],
    [{ tags: { 0: "a" } }, /option "tags" must be .*, got object/],
    [{ tags: ["a", 7] }, /option "tags" must be .*, got a list with number/],
    [{ tags: [""] }, /option "tags" must be .*, got an empty text/],
    [{ tags: ["€".repeat(171)] }, /option "tags" must be .*, got one of 513 bytes/],
    [{ tags: ["\udc00"] }, /option "tags" must be .*, got one with a lone surrogate/],
    [{ tags: Array.from({ length: 65 }, (_, i) => `t${i}`) }, /option "tags" must be .*, got 65/],
    [{ swr: "31d" }, /option "swr" must be a duration from 0 ms to 30 days/],
    [{ staleIfError: -1 }, /option "staleIfError" must be a duration from 0 ms to 30 days/],
    [{ negativeTtl: "31d" }, /option "negativeTtl" must be a duration from 0 ms to 30 days/],
    [{ jitter: 0.51 }, /option "jitter" must be a number from 0 to 0\.5, got 0\.51$/],
    [{ jitter: "0.1" }, /option "jitter" must be a number from 0 to 0\.5, got "0\.1"$/],
    [{ earlyRefresh: -1 }, /option "earlyRefresh" must be a number from 0 to 10, got -1$/],
    [{ earlyRefresh: true }, /option "earlyRefresh" must be a number from 0 to 10, got true$/],
    [{ leaseWait: "31s" }, /option "leaseWait" must be a duration from 0 ms to 30 s/],
    [{ leaseWait: true }, /option "leaseWait" must be a duration/],
    [{ forceFresh: "yes" }, /option "forceFresh" must be true or false, got "yes"/],
    [{ freshness: "strong" }, /option "freshness" must be "strict", got "strong"/],
    [{ freshness: true }, /option "freshness" must be "strict", got true/],
    [{ ["x".repeat(500)]: 1 }, /unknown option "x{40}": known/],
    [{ signal: "now" }, /option "signal" must be an AbortSignal, got "now"/],
    [{ signal: {} }, /option "signal" must be an AbortSignal, got object/],
    [null, /options must be an object/],
    [5, /options must be an object/],
    ["ttl", /options must be an object/],
  ] as const)("%j is named with what there is", async ([options, message]) => {
    const { cache, events } = stage.cache();
    const load = vi.fn(() => 1);
    const error = await rejection(cache.getOrSet("key", load, options as unknown as ReadOptions));
    expect(error).toBeInstanceOf(TypeError);
    expect((error as TypeError).message).toMatch(message);
    expect(load).not.toHaveBeenCalled();
    expect({ events, requests: stage.gateway.counters().httpRequests }).toEqual({ events: [], requests: 0 });
  });

  // One connection for all of them: an isolate has room for 64.
  test("timeouts, and what is no options at all, are named with what there is", async () => {
    const { cache } = stage.cache();
    const load = vi.fn(() => 1);
    for (const [options, message] of [
      [{ timeout: 5 }, /option "timeout" must be an object with read, soft, hard, got 5/],
      [{ timeout: null }, /option "timeout" must be an object with read, soft, hard, got null/],
      [{ timeout: { read: "31s" } }, /option "timeout\.read" must be a duration from 1 ms to 30 s/],
      [{ timeout: { soft: 0 } }, /option "timeout\.soft" must be a duration from 1 ms to 5 min/],
      [{ timeout: { hard: "6m" } }, /option "timeout\.hard" must be a duration from 1 ms to 5 min/],
      [{ timeout: { flight: 5 } }, /unknown option "timeout\.flight": known are .*timeout\.read/],
      [{ timeout: [5] }, /option "timeout" must be an object with read, soft, hard/],
      [{ "timeout.hard": 20 }, /unknown option "timeout\.hard"/],
      [[], /options must be an object, got a value of type Array/],
      [new Map(), /options must be an object, got a value of type Map/],
      [AbortSignal.abort(), /options must be an object, got a value of type AbortSignal/],
      ["ttl", /options must be an object, got string/],
    ] as const) {
      const error = await rejection(cache.getOrSet("key", load, options as unknown as ReadOptions));
      expect(error).toBeInstanceOf(TypeError);
      expect((error as TypeError).message).toMatch(message);
    }
    expect(load).not.toHaveBeenCalled();
    expect(stage.gateway.counters().httpRequests).toBe(0);
  });

  test("a set, which nothing can end, takes no signal", async () => {
    const { cache } = stage.cache();
    const options = { signal: AbortSignal.abort() } as WriteOptions;
    const error = await rejection(cache.set("key", 1, options));
    expect(error).toBeInstanceOf(TypeError);
    expect((error as TypeError).message).toMatch(/unknown option "signal": known are ttl/);
    expect(stage.gateway.counters().httpRequests).toBe(0);
  });

  test.for([
    [{ freshness: "strict" }, /unknown option "freshness": known are ttl, swr, staleIfError, jitter, tags$/],
    [{ forceFresh: true }, /unknown option "forceFresh"/],
    [{ leaseWait: 1 }, /unknown option "leaseWait"/],
    [{ earlyRefresh: 1 }, /unknown option "earlyRefresh"/],
    [{ negativeTtl: 1 }, /unknown option "negativeTtl"/],
    [{ jitter: 1 }, /option "jitter" must be a number from 0 to 0\.5, got 1$/],
    [{ tags: ["a".repeat(513)] }, /option "tags" must be .*, got one of 513 bytes/],
    [{ swr: "31d" }, /option "swr" must be a duration from 0 ms to 30 days/],
  ] as const)("a set with %j is refused", async ([options, message]) => {
    const { cache } = stage.cache();
    const error = await rejection(cache.set("key", 1, options as unknown as WriteOptions));
    expect(error).toBeInstanceOf(TypeError);
    expect((error as TypeError).message).toMatch(message);
    expect(stage.gateway.counters().httpRequests).toBe(0);
  });

  test.for([
    [{ timeout: 0 }, /option "timeout" must be a duration from 1 ms to 5 min/],
    [{ timeout: "6m" }, /option "timeout" must be a duration from 1 ms to 5 min/],
    [{ ttl: 5 }, /unknown option "ttl": known are timeout$/],
    [{ tags: ["a"] }, /unknown option "tags"/],
    [{ signal: AbortSignal.abort() }, /unknown option "signal"/],
    [null, /options must be an object/],
  ] as const)("a mutate with %j is refused before its callback runs", async ([options, message]) => {
    const { cache } = stage.cache();
    const fn = vi.fn();
    const error = await rejection(cache.mutate({ keys: ["key"] }, fn, options as unknown as MutateOptions));
    expect(error).toBeInstanceOf(TypeError);
    expect((error as TypeError).message).toMatch(message);
    expect(fn).not.toHaveBeenCalled();
    expect(stage.gateway.counters().httpRequests).toBe(0);
  });

  test("the longest that are allowed are taken", async () => {
    const { cache } = stage.cache();
    const tags = Array.from({ length: 64 }, (_, i) => `${i}`.padEnd(512, "t"));
    const timeout = { read: "30s", soft: "5m", hard: "5m" } as const;
    const options = { tags, swr: "30d", staleIfError: "30d", leaseWait: "30s", timeout } as const;
    expect(await cache.getOrSet("key", () => 1, options)).toBe(1);
    await stage.filled(cache, 1);
    expect(await cache.lookup("key", () => 2, options)).toMatchObject({ value: 1, outcome: "hit" });
    const none = { tags: [], swr: 0, staleIfError: 0, leaseWait: 0, forceFresh: false } as const;
    expect(await cache.set("key", 3, { tags, swr: "30d", staleIfError: "30d" })).toEqual({
      ...{ state: "applied", stored: true },
    });
    expect(await cache.lookup("key", () => 4, none)).toMatchObject({ value: 3, outcome: "hit" });
    const mutated = await cache.mutate({ tags }, async () => 5, { timeout: "5m" });
    expect(mutated).toEqual({ value: 5, invalidation: { state: "applied" }, marked: true });
    expect(await cache.get("key")).toBeUndefined();
  });

  test("a callback that is none is refused", async () => {
    const { cache } = stage.cache();
    for (const load of [undefined, null, 7, "value", {}]) {
      const error = await rejection(cache.getOrSet("key", load as () => number));
      expect((error as TypeError).message).toMatch(/the callback must be a function, got /);
      if (load === undefined) continue;
      expect(await rejection(cache.lookup("key", load as () => number))).toBeInstanceOf(TypeError);
    }
    expect(stage.gateway.counters().httpRequests).toBe(0);
  });

  test("fill.ttl() throws it inside the callback, and what the callback does with it counts", async () => {
    const { cache } = stage.cache();
    const error = await rejection(
      cache.getOrSet("key", ({ ttl }) => {
        ttl("5 minutes" as "5m");
        return 1;
      }),
    );
    expect((error as TypeError).message).toMatch(TTL);
  });

  test("an explicit undefined is the default", async () => {
    const { cache } = stage.cache({
      ttl: undefined,
      prefix: undefined,
      debug: undefined,
      timeout: undefined,
    });
    const options = { ttl: undefined, signal: undefined };
    expect(await cache.getOrSet("key", () => 1, options)).toBe(1);
    expect(await cache.set("key", 2, { ttl: undefined })).toEqual({ state: "applied", stored: true });
    expect(await cache.getOrSet("key", () => 3, options)).toBe(2);
  });
});

describe("a bad name of a namespace is a TypeError at once", () => {
  test.for([
    [undefined, /a namespace must be named by a string, got undefined/],
    [7, /a namespace must be named by a string, got number/],
    ["", /must have 1 to 64 characters, got 0/],
    ["x".repeat(65), /must have 1 to 64 characters, got 65/],
    ["a\nb", /without control characters/],
    ["a\u0085", /without control characters/],
    ["\ud800", /well-formed Unicode/],
  ] as const)("%j", ([name, message]) => {
    const { cache } = stage.cache();
    for (const client of [cache, cache.for()]) {
      expect(() => client.namespace(name as string)).toThrow(TypeError);
      expect(() => client.namespace(name as string)).toThrow(message);
    }
  });

  test("nested more than 4 deep", () => {
    const { cache } = stage.cache();
    const four = cache.namespace("a").namespace("👩‍👩‍👧".repeat(12)).namespace("c:/%").namespace("d");
    expect(() => four.namespace("e")).toThrow(/at most 4 deep, got 5/);
  });
});
