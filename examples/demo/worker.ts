/**
 * The demo worker: reads of a learner's banked XP go through the cache, a submission ends what is cached for the learner.
 *
 *   GET  /learners/:id/xp            the XP; `Cache-Status` tells how it was answered
 *   POST /learners/:id/submissions   { "lesson": "fractions-4", "xp": 20 }; the body tells what became of the invalidation
 *   GET  /connection                 this isolate's connection to Redis and its counters
 */
import { type CacheClient, createCache, type ExecutionContextLike } from "leeward";
import { cacheStatus } from "./cache-status.js";
import { answerTo, Failure, json } from "./http.js";
import { invalidate } from "./invalidate.js";
import { logEvent } from "./log.js";
import { readSubmission, Upstream } from "./upstream.js";

interface Env {
  UPSTREAM_URL?: string;
  // The cache finds these by itself; without them every read is a bypass.
  UPSTASH_REDIS_REST_URL?: string;
  UPSTASH_REDIS_REST_TOKEN?: string;
}

const TTL = 5 * 60_000;

// At module scope: this does no I/O and cannot throw. `debug` names keys in the log, which hold nothing secret here.
const cache = createCache({ prefix: "demo", ttl: TTL, onEvent: logEvent, debug: true });

const xpKey = (id: string): string => `xp:${id}`;

async function readXp(client: CacheClient, upstream: Upstream, id: string): Promise<Response> {
  const started = Date.now();
  const found = await client.lookup(xpKey(id), async (fill) => {
    const xp = await upstream.xp(id, fill.signal);
    // A streak ends by itself, without a submission that would invalidate: the entry must not outlive it.
    if (xp.streakEndsAt) fill.ttl(clamp(Date.parse(xp.streakEndsAt) - Date.now()));
    return xp;
  });
  const headers = {
    "cache-status": cacheStatus(found),
    age: String(Math.floor(found.age / 1000)),
    "server-timing": `lookup;desc=${found.outcome};dur=${Date.now() - started}`,
  };
  return json(found.value, { headers });
}

async function submit(
  client: CacheClient,
  upstream: Upstream,
  id: string,
  request: Request,
): Promise<Response> {
  const wanted = await readSubmission(request);
  let submission: unknown;
  try {
    submission = await upstream.submit(id, wanted);
  } catch (error) {
    // A lost answer may hide a write that happened: invalidate, unless the upstream said that it did nothing.
    if (!(error instanceof Failure && error.status < 500)) await invalidate(client, xpKey(id));
    throw error;
  }
  // Only now, when every later read of the upstream sees the submission.
  return json({ submission, invalidation: await invalidate(client, xpKey(id)) });
}

function clamp(ttl: number): number {
  return Math.min(TTL, Math.max(1, ttl));
}

async function route(request: Request, env: Env, client: CacheClient): Promise<Response> {
  const { pathname } = new URL(request.url);
  const upstream = new Upstream(env.UPSTREAM_URL);
  const [, id = "", part] = /^\/learners\/([\w-]{1,64})\/(xp|submissions)$/.exec(pathname) ?? [];
  if (!part && pathname !== "/connection") throw new Failure(404, "no such route");
  const allowed = part === "submissions" ? ["POST"] : ["GET", "HEAD"];
  if (!allowed.includes(request.method)) {
    const allow = allowed.join(", ");
    throw new Failure(405, `expected ${allow}`, { allow });
  }
  if (part === "xp") return readXp(client, upstream, id);
  if (part === "submissions") return submit(client, upstream, id, request);
  return json({ ...client.connection, stats: client.stats() });
}

export default {
  async fetch(request: Request, env: Env, ctx: ExecutionContextLike): Promise<Response> {
    try {
      return await route(request, env, cache.for(env, ctx));
    } catch (error) {
      return answerTo(error);
    }
  },
};
