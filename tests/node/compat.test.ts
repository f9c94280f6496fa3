/** The old contract: redisCache, createCacheKey, invalidateCache. */
import { createCacheKey, type InvalidationError, invalidateCache, isLeewardError, redisCache } from "leeward";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { rejection, type Stage, startStage, until } from "./stage.ts";

let stage: Stage;
beforeEach(async () => {
  stage = await startStage();
  vi.stubEnv("UPSTASH_REDIS_REST_URL", stage.gateway.url);
  vi.stubEnv("UPSTASH_REDIS_REST_TOKEN", stage.gateway.token);
  const warn = vi.spyOn(console, "warn").mockReturnValue();
  return () => {
    vi.unstubAllEnvs();
    warn.mockRestore();
  };
});

/** The fills that Redis has seen, told by the number of their arguments: build, stamps, namespaces, tags' begin, ttl, ... */
function fills(): { key: string | undefined; ttl: number }[] {
  const commands = stage.gateway.requests.flatMap((request) => request.commands);
  return commands
    .filter((words) => words[0]?.startsWith("EVAL"))
    .map((words) => ({ key: words[3], args: words.slice(3 + Number(words[2])) }))
    .filter(({ args }) => args.length === 10)
    .map(({ key, args }) => ({ key, ttl: Number(args[4]) }));
}

/** Calls once, and waits until what was computed is in Redis. */
async function filled(parts: (string | number)[], options?: Parameters<typeof redisCache>[2]): Promise<void> {
  // Its deadline for reads is the default, which a busy machine may miss: then it does not store.
  await until(async () => {
    await redisCache(() => "value", parts, options);
    return fills().some(({ key }) => key === `leeward:k::${createCacheKey(parts)}`);
  });
  await stage.gateway.idle();
}

/** What is stored is found: not at each call, on a machine so busy that a read misses its deadline. */
async function found(parts: (string | number)[], value: string): Promise<void> {
  await until(async () => (await redisCache(() => "not found", parts)) === value);
}

describe("redisCache", () => {
  test("gives the callback's value, then the stored one", async () => {
    await filled(["user", 7]);
    await found(["user", 7], "value");
  });

  test.for([
    [undefined, 60_000],
    [{}, 60_000],
    [{ revalidate: undefined }, 60_000],
    [{ revalidate: 1 }, 1_000],
    [{ revalidate: 90 }, 90_000],
    [{ revalidate: 0.5 }, 500],
    [{ revalidate: 0.0001 }, 1],
    [{ revalidate: 30 * 86_400 }, 30 * 86_400_000],
    [{ revalidate: false }, 30 * 86_400_000],
  ] as const)("takes %j in seconds", async ([options, ttl]) => {
    await filled(["key"], options);
    expect(fills()[0]).toEqual({ key: "leeward:k::key", ttl });
  });

  test("does not give back what has outlived its seconds", async () => {
    await filled(["key"], { revalidate: 0.05 });
    await stage.gateway.reset();
    await until(async () => {
      await redisCache(() => "next", ["key"]);
      // A second fill of the first value may be under way; the default tells the next one from it.
      return fills().some(({ ttl }) => ttl === 60_000);
    });
    // A read that overtakes the fill would store "not found" in its place.
    await stage.gateway.idle();
    await found(["key"], "next");
  });

  test.for([
    ...[-1, Number.NaN, Number.POSITIVE_INFINITY, 30 * 86_400 + 1],
    ...[true, null, "60", "5m", [60], {}, 60n, () => 60],
  ])("refuses revalidate: %s before any work", async (revalidate) => {
    const callback = vi.fn(() => 1);
    const error = await rejection(redisCache(callback, ["key"], { revalidate } as { revalidate: number }));
    expect(error).toBeInstanceOf(TypeError);
    expect((error as TypeError).message).toMatch(
      /"revalidate" must be a number of seconds from .* to .*, got /,
    );
    expect(callback).not.toHaveBeenCalled();
    expect(stage.gateway.counters().httpRequests).toBe(0);
  });

  test("does not cache with revalidate: 0", async () => {
    await filled(["key"]);
    await stage.gateway.reset();
    for (let i = 1; i <= 3; i += 1)
      expect(await redisCache(async () => i, ["key"], { revalidate: 0 })).toBe(i);
    expect(stage.gateway.counters().httpRequests).toBe(0);
  });

  test("passes the callback's own error on as the same object", async () => {
    const own = new Error("own");
    expect(await rejection(redisCache(() => Promise.reject(own), ["key"]))).toBe(own);
    const nothing: unknown = undefined;
    expect(
      await rejection(
        redisCache(() => {
          throw nothing;
        }, ["key"]),
      ),
    ).toBe(nothing);
  });

  test("returns what cannot be stored as it is", async () => {
    const at = new Date();
    expect(await redisCache(() => at, ["key"])).toBe(at);
    expect(fills()).toEqual([]);
  });

  test("warns and runs the callback when Redis is not there", async () => {
    await stage.gateway.fault("refuse");
    for (let i = 1; i <= 5; i += 1) expect(await redisCache(async () => i, ["key"])).toBe(i);
    expect(console.warn).toHaveBeenCalled();
    expect(vi.mocked(console.warn).mock.calls[0]?.join(" ")).toMatch(
      /^leeward: Redis is not there, callbacks run/,
    );
    // Once for each time that it goes down: not for each call.
    expect(vi.mocked(console.warn).mock.calls.length).toBeLessThanOrEqual(3);
    const said = vi.mocked(console.warn).mock.calls.flat().join(" ");
    for (const secret of [stage.gateway.token, stage.gateway.url]) expect(said).not.toContain(secret);

    await stage.gateway.fault("healthy");
    await until(async () => {
      await redisCache(() => 6, ["key"]);
      return fills().length > 0;
    });
  });

  test("warns and runs the callback when Redis does not answer", async () => {
    await stage.gateway.fault("hang");
    const began = Date.now();
    expect(await redisCache(() => 1, ["key"])).toBe(1);
    expect(Date.now() - began).toBeLessThan(5_000);
    expect(console.warn).toHaveBeenCalledOnce();
  });

  test("warns once and runs the callback without credentials", async () => {
    for (const name of ["URL", "TOKEN"]) vi.stubEnv(`UPSTASH_REDIS_REST_${name}`, "");
    for (let i = 1; i <= 3; i += 1) expect(await redisCache(() => i, ["key"])).toBe(i);
    expect(console.warn).toHaveBeenCalledOnce();
    const error = (await rejection(invalidateCache("key"))) as InvalidationError;
    expect(error).toMatchObject({ code: "unconfigured", state: "refused", keys: ["key"] });
  });
});

describe("createCacheKey", () => {
  test("joins plain parts by colons", () => {
    expect(createCacheKey(["user", 7, "posts"])).toBe("user:7:posts");
    expect(createCacheKey(["a:b", "c d", "100%", "tab\t", "line\n"])).toBe(
      "a%3Ab:c%20d:100%25:tab%09:line%0A",
    );
    expect(createCacheKey([""])).toBe("");
    expect(createCacheKey(["", ""])).toBe(":");
  });

  const undone = (key: string) => key.split(":").map(decodeURIComponent);

  test("makes no key of two lists, for all short lists of awkward parts", () => {
    const letters = ["a", ":", "%", "3", "A", " "];
    const parts = ["", ...letters, ...letters.flatMap((a) => letters.map((b) => a + b)), "%3A", "%25"];
    const lists = [...parts.map((a) => [a]), ...parts.flatMap((a) => parts.map((b) => [a, b]))];
    lists.push(...["", ":", "%", "a"].flatMap((a) => parts.flatMap((b) => parts.map((c) => [a, b, c]))));
    const keys = new Set(lists.map(createCacheKey));
    expect(keys.size).toBe(lists.length);
  });

  test("can be undone, and holds no white space, for random lists of parts", () => {
    // Seeded, so that a failure comes back.
    let state = 0x5eed;
    const random = (below: number) => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    const alphabet = [..."ab:%/ \t\n\r\u00a0\u2028\u3000\ufeff\v\f0123AF\u0000é漢", "👩", "%3A", "%20", "::"];
    for (let run = 0; run < 5_000; run += 1) {
      const parts = Array.from({ length: 1 + random(5) }, () =>
        random(5) === 0
          ? random(1_000) - 500
          : Array.from({ length: random(6) }, () => alphabet[random(alphabet.length)]).join(""),
      );
      const key = createCacheKey(parts);
      expect(undone(key), JSON.stringify(parts)).toEqual(parts.map(String));
      expect(key).not.toMatch(/\s/);
    }
  });

  test.for([
    undefined,
    null,
    "user:7",
    {},
    [],
    [null],
    [undefined],
    [true],
    [["a"]],
    [7n],
  ])("refuses %s", async (parts) => {
    const given = parts as string[];
    expect(() => createCacheKey(given)).toThrow(TypeError);
    const callback = vi.fn(() => 1);
    expect(await rejection(redisCache(callback, given))).toBeInstanceOf(TypeError);
    expect(callback).not.toHaveBeenCalled();
  });
});

describe("invalidateCache", () => {
  test("takes one finished key, or a list of them", async () => {
    for (const parts of [
      ["user", 1],
      ["user", 2],
      ["a:b", "c d"],
    ])
      await filled(parts);
    expect(await invalidateCache(createCacheKey(["user", 1]))).toEqual({ state: "applied" });
    expect(await redisCache(() => "new", ["user", 1])).toBe("new");
    await found(["user", 2], "value");
    const keys = [createCacheKey(["user", 2]), createCacheKey(["a:b", "c d"])];
    expect(await invalidateCache(keys)).toEqual({ state: "applied" });
    expect(await redisCache(() => "new", ["a:b", "c d"])).toBe("new");
  });

  test("reports in place of swallowing when Redis is not there", async () => {
    await filled(["key"]);
    await stage.gateway.fault("refuse");
    const error = await rejection(invalidateCache(["key", "other"]));
    expect(isLeewardError(error)).toBe(true);
    expect(error).toMatchObject({ code: "invalidation-pending", state: "pending", keys: ["key", "other"] });
    // Until Redis has acknowledged it, what it covers is not served.
    expect(await redisCache(() => "fresh", ["key"])).toBe("fresh");
    await stage.gateway.fault("healthy");
    expect(await redisCache(() => "fresher", ["key"])).toMatch(/^fresh/);
  });

  test("refuses what is no key", async () => {
    for (const keys of [[], 7, undefined, null, [7], {}]) {
      expect(await rejection(invalidateCache(keys as string[])), String(keys)).toBeInstanceOf(TypeError);
    }
  });
});
