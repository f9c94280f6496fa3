/** The cache itself, as it is built, on the Redis in memory: what users' tests do. */
import { createHash } from "node:crypto";
import { type CacheEvent, type CacheOptions, createCache } from "leeward";
import { createTestRedis } from "leeward/testing";
import { beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";

function start(options: CacheOptions = {}) {
  const redis = createTestRedis();
  onTestFinished(redis.install());
  const events: CacheEvent[] = [];
  const { url, token } = redis;
  const cache = createCache({ url, token, onEvent: (event) => void events.push(event), ...options });
  let calls = 0;
  const load = () => ({ calls: ++calls });
  return { redis, cache, events, load };
}

// Leeward's timeouts and backoff go by the runtime's clock.
beforeEach(() => {
  vi.useFakeTimers();
  return () => void vi.useRealTimers();
});

test("a miss stores, a hit costs one request and one command", async () => {
  const { redis, cache, load } = start({ prefix: "sh:op", version: "v1", ttl: "5m" });
  const shop = cache.namespace("eu/1").namespace("\u00fc");
  expect(await shop.lookup("k:1", load, { tags: ["a b", "\u20ac"] })).toMatchObject({
    value: { calls: 1 },
    outcome: "miss",
  });
  await redis.idle();
  expect(redis.entries()).toEqual([
    {
      ...{
        key: "k:1",
        namespace: ["eu/1", "\u00fc"],
        prefix: "sh:op",
        version: "v1",
        tags: ["a b", "\u20ac"],
      },
      ...{ value: { calls: 1 }, compressed: false, state: "fresh", ttl: 300_000, age: 0 },
      redisKey: "sh%3Aop:k:eu%2F1/\u00fc:k:1",
    },
  ]);
  const { requests, commands } = redis.counters;
  expect({ requests, commands }).toEqual({ requests: 2, commands: 2 });
  expect(await shop.lookup("k:1", load, { tags: ["a b", "\u20ac"] })).toMatchObject({
    outcome: "hit",
    value: { calls: 1 },
  });
  expect(redis.counters).toMatchObject({
    requests: 3,
    commands: 3,
    errors: 0,
    byScript: { read: 2, fill: 1, drop: 0 },
  });
});

test("an entry ends by its clock", async () => {
  const { redis, cache, load } = start({ ttl: "1m" });
  await cache.getOrSet("k", load);
  await redis.idle();
  redis.advance("59s");
  expect(redis.entries()).toMatchObject([{ ttl: 1000, age: 59_000 }]);
  expect(await cache.getOrSet("k", load)).toEqual({ calls: 1 });
  redis.advance("1s");
  expect(redis.entries()).toEqual([]);
  expect(await cache.getOrSet("k", load)).toEqual({ calls: 2 });
});

test.for([
  { keys: ["k"] },
  { tags: ["t"] },
  { all: true as const },
])("%o ends what it covers", async (what) => {
  const { redis, cache, load } = start();
  await cache.getOrSet("k", load, { tags: ["t"] });
  await redis.idle();
  expect(redis.entries()).toHaveLength(1);
  expect(await cache.invalidate(what)).toEqual({ state: "applied" });
  expect(redis.entries()).toEqual([]);
  expect(await cache.lookup("k", load, { tags: ["t"] })).toMatchObject({
    outcome: "miss",
    value: { calls: 2 },
  });
});

test("what is expired is stale, and served while it is refreshed", async () => {
  const { redis, cache, load } = start({ swr: "1h" });
  await cache.getOrSet("k", load);
  await redis.idle();
  await cache.expire({ keys: ["k"] });
  expect(redis.entries()).toMatchObject([{ state: "stale", ttl: 0 }]);
  expect(await cache.lookup("k", load)).toMatchObject({ outcome: "stale", value: { calls: 1 } });
  await redis.idle();
  expect(redis.entries()).toMatchObject([{ state: "fresh", value: { calls: 2 } }]);
});

test("values of every kind come back in entries", async () => {
  const { redis, cache } = start();
  const bytes = Uint8Array.of(0, 128, 255);
  const values = {
    a: bytes,
    b: bytes.buffer,
    c: undefined,
    d: null,
    e: "\u0000\u00e9\u20ac\ud83d\ude00",
    f: [1, { x: true }],
  };
  for (const [key, value] of Object.entries(values)) await cache.set(key, value);
  await redis.idle();
  expect(redis.entries().map(({ value }) => value)).toEqual(Object.values(values));
});

test("while a mutate runs nothing is served or stored", async () => {
  const { redis, cache, load } = start();
  await cache.getOrSet("k", load, { tags: ["t"] });
  await redis.idle();
  const { marked, value } = await cache.mutate({ tags: ["t"] }, async () => {
    const during = await cache.lookup("k", load, { tags: ["t"] });
    await redis.idle();
    return { during, entries: redis.entries() };
  });
  expect(marked).toBe(true);
  expect(value.entries).toEqual([]);
  expect(value.during).toMatchObject({ value: { calls: 2 } });
  expect(await cache.lookup("k", load, { tags: ["t"] })).toMatchObject({
    outcome: "miss",
    value: { calls: 3 },
  });
});

describe("an outage", () => {
  test.for([
    "refuse",
    "resetBeforeHeaders",
    "loseReply",
    "hang",
    "html",
    "empty",
  ] as const)("%s: the callback answers, an invalidation is pending, and applied before the next read", async (fault) => {
    const { redis, cache, load } = start();
    await cache.getOrSet("k", load);
    await redis.idle();

    redis.fault(fault);
    const pending = cache.invalidate({ keys: ["k"] }).catch((error: unknown) => error);
    await vi.advanceTimersByTimeAsync(2000);
    expect(await pending).toMatchObject({ name: "InvalidationError", state: "pending", keys: ["k"] });
    const read = cache.lookup("k", load);
    await vi.advanceTimersByTimeAsync(2000);
    expect(await read).toMatchObject({ value: { calls: 2 }, outcome: "bypass" });

    redis.fault("healthy");
    // What has been executed without an answer has ended it; else the old entry is still there.
    expect(redis.entries()).toHaveLength(fault === "loseReply" ? 0 : 1);
    await vi.advanceTimersByTimeAsync(120_000);
    expect(await cache.lookup("k", load)).toMatchObject({ outcome: "miss", value: { calls: 3 } });
    await redis.idle();
    expect(redis.entries()).toMatchObject([{ value: { calls: 3 } }]);
  });

  test("a fill that comes late does not undo an invalidation", async () => {
    const { redis, cache, load } = start();
    redis.fault("late", { match: "fill KEYS" });
    await cache.getOrSet("k", load);
    await vi.waitFor(() => expect(redis.requests).toHaveLength(2));
    redis.fault("healthy");
    await cache.invalidate({ keys: ["k"] });
    expect(await redis.release()).toBe(1);
    expect(redis.counters.byScript.fill).toBe(1);
    expect(redis.entries()).toEqual([]);
  });

  test("forgotten scripts are told again", async () => {
    const { redis, cache, load } = start();
    await cache.getOrSet("k", load);
    await redis.idle();
    redis.fault("flushScripts");
    expect(await cache.lookup("k", load)).toMatchObject({ outcome: "hit" });
    expect(redis.counters.byCommand).toEqual({ EVAL: 3, EVALSHA: 1 });
  });

  test("without memory what is there is served, and nothing is stored", async () => {
    const { redis, cache, load } = start();
    await cache.getOrSet("there", load);
    await redis.idle();
    redis.outOfMemory = true;
    expect(await cache.lookup("there", load)).toMatchObject({ outcome: "hit" });
    expect(await cache.getOrSet("new", load)).toEqual({ calls: 2 });
    expect(await cache.invalidate({ keys: ["there"] })).toEqual({ state: "applied" });
    await redis.idle();
    expect(redis.entries()).toEqual([]);
  });

  test("a token that may only read: served, not stored, and an invalidation is refused", async () => {
    const { redis, cache, load } = start();
    await cache.getOrSet("k", load);
    await redis.idle();
    redis.readOnly = true;
    expect(await cache.lookup("k", load)).toMatchObject({ outcome: "hit", value: { calls: 1 } });
    expect(await cache.getOrSet("new", load)).toEqual({ calls: 2 });
    await expect(cache.invalidate({ keys: ["k"] })).rejects.toMatchObject({ state: "refused" });
    await redis.idle();
    expect(redis.entries().map(({ key }) => key)).toEqual(["k"]);
  });
});

test("compressed values and long keys are entries like others", async () => {
  const { cache, redis } = start({ compress: 1024 });
  const value = "x".repeat(5000);
  await cache.set("k".repeat(600), value);
  const key = createHash("sha256").update("k".repeat(600)).digest("base64url");
  expect(redis.entries()).toMatchObject([{ key, redisKey: `leeward:h::${key}`, value, compressed: true }]);
  expect(await cache.get("k".repeat(600))).toBe(value);
});
