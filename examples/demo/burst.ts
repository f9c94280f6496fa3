/**
 * A burst: a hundred visitors at the same moment ask for what nobody has cached, over a connection that nobody has opened. What a
 * deployment, or a cache that was emptied, does to a service.
 *
 * Each visitor is a request of its own, with its own context: this worker calls its entry point `visitor` a hundred times
 * through the runtime. Calls of the cache within one request would prove less, since one request may await its own promises.
 *
 * Cold means both: the key is new, and so are the credentials. Leeward keeps one connection for each endpoint with its
 * credentials, so a new label at the token (see dev/gateway.mjs) makes one that was never used, and the connection that the page
 * shows for its own reads stays as it is.
 */
import type { CacheClient, Connection, Outcome } from "leeward";
import { Failure } from "./http.js";
import type { Upstream } from "./upstream.js";

/** What the visitors of one burst have in common: the props of the entry point. */
export interface Plan {
  readonly learner: string;
  /** Makes the key new. */
  readonly key: string;
  readonly token: string;
}

/** How one visitor was answered. */
export interface Answer {
  readonly ok: boolean;
  readonly outcome: Outcome | null;
  readonly shared: boolean;
  readonly banked: number | null;
  readonly ms: number;
}

export interface BurstReport {
  readonly learner: string;
  readonly requests: number;
  readonly ok: number;
  /** The different XP that the visitors got: one, if all is well. */
  readonly banked: readonly number[];
  readonly outcomes: Readonly<Record<Exclude<Outcome, "stale" | "revalidated">, number>>;
  /** Visitors who got what another one had asked for. */
  readonly shared: number;
  /** What the upstream had to compute, by its own count. */
  readonly computations: number;
  /** Attempts to connect that the burst made. */
  readonly attempts: number;
  readonly reuses: number;
  /** HTTP requests to Redis. */
  readonly redisRequests: number;
  /** Whether nobody had used the connection before. */
  readonly newConnection: boolean;
  readonly connection: Connection;
  readonly slowestMs: number;
}

export const SIZE = 100;

/** An isolate keeps 64 connections. Later bursts use these again, and the report says so. */
const CONNECTIONS = 24;
/** How long the report waits for the fill, which happens behind the answers. */
const FILL_MS = 1500;
/** One that ended without a word, as when its client went away, holds up the next one no longer. */
const LEASE_MS = 15_000;

let bursts = 0;
let busyUntil = 0;

export interface Stage {
  readonly learner: string;
  readonly token: string | undefined;
  readonly upstream: Upstream;
  /** The cache of the burst, with these credentials. */
  bind(token: string): CacheClient;
  /** One visitor, in a request of its own. */
  visit(plan: Plan): Promise<Answer>;
}

export async function burst({ learner, token, upstream, bind, visit }: Stage): Promise<BurstReport> {
  if (!token) throw new Failure(409, "a burst needs a Redis: UPSTASH_REDIS_REST_TOKEN is not set");
  if (Date.now() < busyUntil) throw new Failure(409, "a burst is under way: try again in a moment");
  busyUntil = Date.now() + LEASE_MS;
  try {
    bursts += 1;
    const plan = {
      learner,
      key: `xp:${learner}:burst-${crypto.randomUUID().slice(0, 8)}`,
      token: `${token}.burst-${bursts % CONNECTIONS}`,
    };
    const client = bind(plan.token);
    const [before, computed] = [snapshot(client), await upstream.computations()];
    const answers = await Promise.all(Array.from({ length: SIZE }, () => visit(plan)));
    await untilFilled(client, answers);
    const after = snapshot(client);
    return {
      learner,
      requests: answers.length,
      ok: count(answers, ({ ok }) => ok),
      banked: [...new Set(answers.flatMap(({ banked }) => (banked === null ? [] : [banked])))],
      outcomes: {
        hit: count(answers, ({ outcome }) => outcome === "hit"),
        miss: count(answers, ({ outcome }) => outcome === "miss"),
        bypass: count(answers, ({ outcome }) => outcome === "bypass"),
      },
      shared: count(answers, ({ shared }) => shared),
      computations: (await upstream.computations()) - computed,
      attempts: after.connection.attempts - before.connection.attempts,
      reuses: after.connection.reuses - before.connection.reuses,
      redisRequests: after.stats.requests - before.stats.requests,
      newConnection: before.connection.attempts === 0,
      connection: after.connection,
      slowestMs: Math.max(...answers.map(({ ms }) => ms)),
    };
  } finally {
    busyUntil = 0;
  }
}

function snapshot(client: CacheClient) {
  return { connection: client.connection, stats: client.stats() };
}

/** Looks, and does not wait for a promise: that one would be another request's. */
async function untilFilled(client: CacheClient, answers: readonly Answer[]): Promise<void> {
  if (!answers.some(({ outcome }) => outcome === "miss")) return;
  const before = Date.now();
  while (Date.now() < before + FILL_MS) {
    const { callbacks, fills, fillsRefused, fillsFailed, unstorable } = client.stats();
    if (fills + fillsRefused + fillsFailed + unstorable >= callbacks) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function count(answers: readonly Answer[], what: (answer: Answer) => boolean): number {
  return answers.filter(what).length;
}
