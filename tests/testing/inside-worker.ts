/**
 * Tests that run in workerd themselves, as those of Cloudflare's pool for vitest do: the Redis in memory in the
 * isolate, too.
 */
import { createCache, isLeewardError } from "leeward";
import { createTestRedis } from "leeward/testing";

export default {
  async fetch(
    _: Request,
    __: unknown,
    ctx: { waitUntil(promise: Promise<unknown>): void },
  ): Promise<Response> {
    const redis = createTestRedis();
    redis.install();
    const cache = createCache({ timeout: { read: "15s", write: "15s" } }).for(redis.env, ctx);
    const seen: unknown[] = [];
    let calls = 0;
    const look = async () => {
      const { value, outcome } = await cache.lookup("k", () => ({ calls: ++calls }), { tags: ["t"] });
      await redis.idle();
      seen.push({ ...value, outcome });
    };
    await look();
    await look();
    seen.push(redis.entries().map(({ key, tags, value }) => ({ key, tags, value })));
    await cache.invalidate({ tags: ["t"] });
    await look();
    for (const fault of ["refuse", "resetBeforeHeaders", "resetMidBody", "hang", "truncated"] as const) {
      const own = createTestRedis();
      own.install();
      own.fault(fault);
      const broken = createCache({ timeout: { read: 20, write: 20 } }).for(own.env, ctx);
      const { outcome, reason } = await broken.lookup("k", () => fault);
      const told = await broken.invalidate({ keys: ["k"] }).catch((error: unknown) => error);
      seen.push({ fault, outcome, reason, told: isLeewardError(told) && told.code });
    }
    return Response.json(seen);
  },
};
