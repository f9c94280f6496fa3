/** Calls the cache while the module loads, where a worker has no I/O, and says what came of it. */
import * as leeward from "leeward";

const events: leeward.CacheEvent[] = [];
const timeout = { read: "15s" } as const;
const cache = leeward.createCache({ timeout, onEvent: (event) => void events.push(event) });
const thrown = new Error("the callback's own");
const failed = (error: unknown) => error;

const bound = cache.for({ UPSTASH_REDIS_REST_URL: "http://localhost:1", UPSTASH_REDIS_REST_TOKEN: "token" });
const answers = {
  sync: await cache.getOrSet("key", () => "sync"),
  async: await cache.getOrSet("key", async () => "async"),
  bound: await bound.getOrSet("key", () => "bound"),
  lookup: await cache.lookup("key", ({ ttl, signal }) => {
    ttl("5m");
    return { aborted: signal.aborted };
  }),
  get: (await cache.get("key")) === undefined,
  look: await cache.lookup("key"),
  together: await Promise.all(["a", "b", "c"].map((key) => cache.getOrSet(key, async () => key))),
  error: (await cache.getOrSet("key", () => Promise.reject(thrown)).catch(failed)) === thrown,
  key: await cache.getOrSet(7 as unknown as string, () => 1).catch(String),
  old: await leeward.redisCache(() => "old", ["key"]),
};
const refused = await cache.invalidate({ keys: ["key"] }).catch(failed);
const loaded = [...events];

export default {
  async fetch(_: Request, env: unknown, ctx: leeward.ExecutionContextLike) {
    const lookup = await cache.for(env, ctx).lookup("later", () => "later");
    const code = leeward.isLeewardError(refused) ? refused.code : String(refused);
    return Response.json({ answers, code, loaded, lookup });
  },
};
