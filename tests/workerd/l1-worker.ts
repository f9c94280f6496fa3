/** A worker whose visitors try to change what they get. */
import { createCache } from "leeward";

interface Learner {
  name: string;
  badges: string[];
}

const l1 = { ttl: "60s", maxBytes: 1 << 20 } as const;
const caches = {
  frozen: createCache({ l1 }),
  copied: createCache({ l1: { ...l1, values: "copied" } }),
};

function attempt(change: () => void): string {
  try {
    change();
    return "changed";
  } catch (error) {
    return (error as Error).name;
  }
}

export default {
  async fetch(request: Request, env: unknown, ctx: { waitUntil(promise: Promise<unknown>): void }) {
    const { searchParams, pathname } = new URL(request.url);
    if (pathname !== "/visit") return new Response("no such place", { status: 404 });
    const cache = caches[searchParams.get("values") as keyof typeof caches].for(env, ctx);
    const { value, l1, outcome } = await cache.lookup<Learner>("learner", () => ({
      name: "Ada",
      badges: ["first"],
    }));
    const bytes = await cache.getOrSet("bytes", () => Uint8Array.of(1, 2, 3));
    const got = { learner: structuredClone(value), bytes: [...bytes] };
    const changes = [
      attempt(() => {
        value.name = "Eve";
      }),
      attempt(() => value.badges.push("stolen")),
      attempt(() => bytes.fill(9)),
    ];
    return Response.json({ got, changes, l1, outcome, requests: cache.stats().requests });
  },
};
