/** A worker that answers each path with one call, bound to its request or not. */
import * as workers from "cloudflare:workers";
import * as leeward from "leeward";

// A busy machine is no fault of Redis'.
const cache = leeward.createCache({ timeout: { read: "15s", write: "15s", flight: "15s" } });
/** Bound once, to an environment and no request. */
const ofIsolate = cache.for((workers as { env?: unknown }).env);

function client(kind: string, env: unknown, ctx: leeward.ExecutionContextLike): leeward.CacheClient {
  switch (kind) {
    case "bound":
      return cache.for(env, ctx);
    case "no-context":
      return cache.for(env);
    case "of-isolate":
      return ofIsolate;
    default:
      return cache;
  }
}

export default {
  async fetch(request: Request, env: unknown, ctx: leeward.ExecutionContextLike) {
    const [, kind = "", key = ""] = new URL(request.url).pathname.split("/");
    if (key === "") return Response.json({ exports: Object.keys(workers).sort() });
    const lookup = await client(kind, env, ctx).lookup(key, async () => `value of ${key}`);
    return Response.json(lookup);
  },
};
