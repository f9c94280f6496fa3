/** Bad options: of a call, a rejected TypeError before any work; of a cache, one warning and callbacks that run. */
import { type CacheOptions, createCache, type ReadOptions, type WriteOptions } from "leeward";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { ofType, rejection, type Stage, startStage } from "./stage.ts";

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
    [{ tll: "5m" }, /unknown option "tll": known are ttl, signal/],
    [{ ttl: "5m", tags: ["a"] }, /unknown option "tags"/],
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

  test("a set, which nothing can end, takes no signal", async () => {
    const { cache } = stage.cache();
    const options = { signal: AbortSignal.abort() } as WriteOptions;
    const error = await rejection(cache.set("key", 1, options));
    expect(error).toBeInstanceOf(TypeError);
    expect((error as TypeError).message).toMatch(/unknown option "signal": known are ttl/);
    expect(stage.gateway.counters().httpRequests).toBe(0);
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

describe("a bad option of a cache", () => {
  const BAD: [unknown, RegExp][] = [
    [{ ttl: "soon" }, TTL],
    [{ ttl: 0 }, TTL],
    [{ prefix: "" }, /option "prefix" must be a text of 1 to 64 characters/],
    [{ prefix: "a b" }, /option "prefix"/],
    [{ prefix: "x".repeat(65) }, /option "prefix"/],
    [{ version: 7 }, /option "version"/],
    [{ timeout: 100 }, /option "timeout" must be an object with read, write, flight/],
    [{ timeout: { read: "31s" } }, /option "timeout\.read" must be a duration from 1 ms to 30 s/],
    [{ timeout: { flight: "6m" } }, /option "timeout\.flight" must be a duration from 1 ms to 5 min/],
    [{ timeout: { hard: 1 } }, /unknown option "timeout\.hard"/],
    [{ debug: "yes" }, /option "debug" must be true or false/],
    [{ timeToLive: 5 }, /unknown option "timeToLive": known are prefix, version, ttl/],
    [{ url: "ftp://host" }, /must begin with https:\/\/ or http:\/\//],
    [{ url: "https://user:secret@host" }, /must not hold a user or password/],
    [{ token: "sec ret" }, /token must be 1 to 4096 visible ASCII characters/],
    [{ token: "" }, /has no token beside it/],
    [{ url: 7 }, /option "url" must be a text/],
    [{ token: { secret: 1 } }, /option "token" must be a text/],
  ];

  test.for(BAD)("%j is one warning, and callbacks run", async ([bad, message]) => {
    const { cache, events } = stage.cache(bad as CacheOptions);
    expect(events).toEqual([]);
    expect(await cache.getOrSet("key", () => 1)).toBe(1);
    expect(await cache.lookup("key", () => 2)).toMatchObject({
      value: 2,
      outcome: "bypass",
      reason: "disabled",
    });
    expect(await rejection(cache.invalidate({ keys: ["key"] }))).toMatchObject({ code: "unconfigured" });
    expect(await rejection(cache.for().set("key", 1))).toMatchObject({ code: "unconfigured" });
    expect(ofType(events, "warning")).toMatchObject([
      { code: "disabled", message: expect.stringMatching(message) },
    ]);
    expect(cache.connection).toMatchObject({ state: "disabled", attempts: 0, lastError: "config" });
    expect(stage.gateway.counters().httpRequests).toBe(0);
    expect(JSON.stringify(events)).not.toMatch(new RegExp(`secret|sec ret|${stage.gateway.token}`));
  });

  test("what is no options at all is one warning, too, whatever it is", async () => {
    const warn = vi.spyOn(console, "warn").mockReturnValue();
    try {
      for (const options of [null, 7, "shop", true, Symbol("x"), () => {}]) {
        const cache = createCache(options as unknown as CacheOptions);
        expect(await cache.getOrSet("key", () => 1)).toBe(1);
        expect(await cache.getOrSet("key", () => 2)).toBe(2);
      }
      expect(warn).toHaveBeenCalledOnce();
      expect(warn.mock.calls[0]?.join(" ")).toContain("options must be an object");
    } finally {
      warn.mockRestore();
    }
  });

  test("options that throw when they are looked at cost a warning and no answer", async () => {
    const warn = vi.spyOn(console, "warn").mockReturnValue();
    try {
      const hostile = new Proxy({} as CacheOptions, {
        get() {
          throw new Error("hostile");
        },
        ownKeys() {
          throw new Error("hostile");
        },
      });
      const { cache: bystander } = stage.cache();
      await bystander.set("key", "kept");
      const cache = createCache(hostile);
      expect(await cache.getOrSet("key", () => 1)).toBe(1);
      expect(await cache.getOrSet("key", () => 2)).toBe(2);
      expect(await rejection(cache.invalidate({ keys: ["key"] }))).toMatchObject({ code: "unconfigured" });
      expect(warn).toHaveBeenCalledOnce();
      expect(await bystander.get("key")).toBe("kept");
      expect(bystander.connection.attempts).toBe(1);
    } finally {
      warn.mockRestore();
    }
  });
});
