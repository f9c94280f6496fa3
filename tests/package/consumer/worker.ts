/** A worker as a user of the package writes it; type-checked against the shipped types and Cloudflare's own. */
import { type CacheEvent, createCache, isLeewardError } from "leeward";

interface Env {
  UPSTASH_REDIS_REST_URL: string;
  UPSTASH_REDIS_REST_TOKEN: string;
  CF_VERSION_METADATA: WorkerVersionMetadata;
}

interface User {
  id: string;
  name?: string;
}

const events: CacheEvent["type"][] = [];
const cache = createCache({
  prefix: "consumer",
  version: { binding: "CF_VERSION_METADATA" },
  ttl: "5m",
  timeout: { read: "15s", write: "15s" },
  onEvent: ({ type }) => void events.push(type),
});

// @ts-expect-error: there is no such option
createCache({ timeToLive: "5m" });

async function loadUser(id: string): Promise<User> {
  return { id, name: `user ${id}` };
}

export default {
  async fetch(request, env, ctx) {
    const { pathname } = new URL(request.url);
    const [, verb = "", id = ""] = pathname.split("/");
    const c = cache.for(env, ctx);
    switch (verb) {
      case "user": {
        const { value, outcome } = await c.lookup(id, () => loadUser(id));
        const name: string | undefined = value.name;
        return Response.json({ name, outcome });
      }
      case "unbound":
        return Response.json({ name: (await cache.getOrSet(id, () => loadUser(id))).name });
      case "invalidate":
        try {
          return Response.json(await c.invalidate({ keys: [id] }));
        } catch (error) {
          return Response.json({ code: isLeewardError(error) && error.code }, { status: 503 });
        }
      default:
        // @ts-expect-error: a Date does not come back from JSON
        ctx.waitUntil(c.getOrSet("now", () => ({ at: new Date() })));
        return Response.json({ state: c.connection.state, events });
    }
  },
} satisfies ExportedHandler<Env>;
