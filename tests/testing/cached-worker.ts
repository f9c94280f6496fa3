/** A worker as a user has it: what a test wants to see of it, is what it answers. */
import { createCache, isLeewardError } from "leeward";

interface Env {
  UPSTASH_REDIS_REST_URL: string;
  UPSTASH_REDIS_REST_TOKEN: string;
}

const cache = createCache({ prefix: "worker", timeout: { read: "15s", write: "15s" } });
let calls = 0;

export default {
  async fetch(
    request: Request,
    env: Env,
    ctx: { waitUntil(promise: Promise<unknown>): void },
  ): Promise<Response> {
    const c = cache.for(env, ctx);
    const { pathname } = new URL(request.url);
    if (pathname === "/invalidate") {
      const told = await c.invalidate({ tags: ["t"] }).catch((error: unknown) => error);
      return Response.json(isLeewardError(told) ? told.code : told);
    }
    const { value, outcome } = await c.lookup(pathname, () => ({ calls: ++calls }), { tags: ["t"] });
    return Response.json({ ...value, outcome });
  },
};
