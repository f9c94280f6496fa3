/** What the worker does for a learner: the banked XP, through the cache, and submissions, which end what is cached. */
import type { CacheClient, Lookup } from "leeward";
import { cacheStatus } from "./cache-status.js";
import { Failure, json } from "./http.js";
import { invalidate } from "./invalidate.js";
import { type BankedXp, readSubmission, type Upstream } from "./upstream.js";

export const TTL = 5 * 60_000;

const xpKey = (id: string): string => `xp:${id}`;

/** @param key another one than the learner's own */
export async function lookupXp(
  client: CacheClient,
  upstream: Upstream,
  id: string,
  key = xpKey(id),
): Promise<Lookup<BankedXp>> {
  return client.lookup(key, async (fill) => {
    const xp = await upstream.xp(id, fill.signal);
    // A streak ends by itself, without a submission that would invalidate: the entry must not outlive it.
    if (xp.streakEndsAt) fill.ttl(clamp(Date.parse(xp.streakEndsAt) - Date.now()));
    return xp;
  });
}

export async function readXp(client: CacheClient, upstream: Upstream, id: string): Promise<Response> {
  const started = Date.now();
  const found = await lookupXp(client, upstream, id);
  const headers = {
    "cache-status": cacheStatus(found),
    age: String(Math.floor(found.age / 1000)),
    "server-timing": `lookup;desc=${found.outcome};dur=${Date.now() - started}`,
  };
  return json(found.value, { headers });
}

export async function submit(
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
