import { createCache } from "leeward";
import { createTestRedis } from "leeward/testing";
import { expect, onTestFinished, test } from "vitest";

/** One for each test: what Leeward knows of a Redis, such as that it is down, goes by its address. */
function start() {
  const redis = createTestRedis();
  onTestFinished(redis.install()); // the global `fetch` brings requests for `redis.url` to it, and no others
  const cache = createCache({ url: redis.url, token: redis.token, ttl: "5m" });
  // What you test; elsewhere, it is imported.
  const source = { xp: 120 };
  const xpOf = (id: string) => cache.getOrSet(`xp:${id}`, async () => source.xp, { tags: [`learner:${id}`] });
  return { redis, cache, source, xpOf };
}

test("a submission is seen at once", async () => {
  const { redis, cache, source, xpOf } = start();
  expect(await xpOf("ada")).toBe(120);
  await redis.idle(); // the value is stored behind the answer
  expect(redis.entries()).toMatchObject([
    { key: "xp:ada", value: 120, tags: ["learner:ada"], state: "fresh" },
  ]);

  source.xp = 140;
  expect(await xpOf("ada")).toBe(120);
  await cache.invalidate({ tags: ["learner:ada"] });
  expect(await xpOf("ada")).toBe(140);
});

test("without one, it is seen after five minutes", async () => {
  const { redis, source, xpOf } = start();
  await xpOf("ada");
  await redis.idle();
  source.xp = 140;
  redis.advance("5m");
  expect(await xpOf("ada")).toBe(140);
});

test("an outage costs no answer, and no invalidation is lost without a word", async () => {
  const { redis, cache, xpOf } = start();
  redis.fault("refuse"); // or "hang", "status", "truncated", "loseReply", "redisError", ...
  expect(await xpOf("ada")).toBe(120);
  await expect(cache.invalidate({ keys: ["xp:ada"] })).rejects.toMatchObject({ state: "pending" });
});
