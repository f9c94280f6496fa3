/** Type-checked as a program for node, with node's own module resolution. */
import { createCache, type Lookup, redisCache } from "leeward";

const { REDIS_URL: url, REDIS_TOKEN: token } = process.env;
const cache = createCache({ url, token });
const lookup: Lookup<{ n: number }> = await cache.lookup("key", () => ({ n: 1 }), {
  signal: AbortSignal.timeout(1000),
});
const old: number = await redisCache(() => lookup.value.n, ["key", 7], { revalidate: false });

// @ts-expect-error: the value is a number
const wrong: string = await cache.getOrSet("key", () => old);
console.log(wrong);
