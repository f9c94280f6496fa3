/** Loads the package and makes caches of it under watch, and says in a request what that has used. */

// Counters first.
import * as leeward from "leeward";
import { used, watched, watchedEnv } from "./counters.ts";

const report: Record<string, Record<string, number>> = { import: used() };

const env = watchedEnv({ UPSTASH_REDIS_REST_URL: "http://localhost:1", UPSTASH_REDIS_REST_TOKEN: "token" });
const ctx = { waitUntil() {} };
const good = leeward.createCache({ prefix: "shop", ttl: "5m", timeout: { read: 100 }, onEvent() {} });
const none = leeward.createCache();
const garbage = [null, 7, "x", [], { ttl: "soon", prefix: 4, nonsense: {} }, { url: "::", token: "" }].map(
  (options) => leeward.createCache(options as leeward.CacheOptions),
);
const trapped = leeward.createCache(
  new Proxy({} as leeward.CacheOptions, {
    get(_, name) {
      throw new Error(`option ${String(name)} was read`);
    },
    ownKeys() {
      throw new Error("options were listed");
    },
  }),
);
report.createCache = used();

const caches = [good, none, ...garbage, trapped];
const clients = caches.flatMap((cache) => [cache.for(env, ctx), cache.for(env), cache.for()]);
report.for = used();

const states = [...caches, ...clients].map((client) => client.connection.state);
const counted = [...caches, ...clients].map((client) => client.stats().requests + client.stats().commands);
report.look = used();

const bad = [undefined, undefined, { key: 7 }] as unknown as [string, () => number];
const wrapped = [...caches, ...clients].map((client) => client.wrap("user", (id: string) => id));
const unusable = caches.map((cache) => cache.wrap(...bad).for(env, ctx));
report.wrap = used();

const keys = [...new Set(wrapped.map((userOf) => userOf.key("7")))];
const key = leeward.createCacheKey(["user", 7]);
const brand = leeward.isLeewardError(new Error(key));
report.rest = used();

export default {
  async fetch(request: Request, live: Record<string, string>, context: leeward.ExecutionContextLike) {
    if (new URL(request.url).pathname === "/used") {
      used();
      const answers = [await good.for(watchedEnv(live), context).getOrSet("key", () => 1)];
      answers.push(await none.getOrSet("key", () => 2));
      return Response.json({ answers, used: used() });
    }
    return Response.json({ report, watched, states, counted, brand, keys, unusable: unusable.length });
  },
};
