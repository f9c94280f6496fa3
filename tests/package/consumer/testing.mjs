/** Uses the Redis for tests as anybody would: without a server, and with the package's own cache. Prints what happens. */
import { createCache } from "leeward";
import { createTestRedis } from "leeward/testing";

const redis = createTestRedis();
const uninstall = redis.install();
const cache = createCache({ url: redis.url, token: redis.token, timeout: { read: "15s", write: "15s" } });
let calls = 0;
const look = async () => {
  const { outcome } = await cache.lookup("key", async () => ({ calls: ++calls }), { tags: ["tag"] });
  await redis.idle();
  return outcome;
};

const outcomes = [await look(), await look()];
const [entry] = redis.entries();
await cache.invalidate({ tags: ["tag"] });
outcomes.push(await look());
redis.fault("refuse");
outcomes.push(await look());
uninstall();
console.log(JSON.stringify({ outcomes, stored: entry?.value, requests: redis.counters.requests }));
