/**
 * The demo worker: reads of a learner's banked XP go through the cache, a submission ends what is cached for the learner. Its
 * page, at `/`, is in `page/`, and served by the runtime.
 *
 *   GET  /learners/:id/xp            the XP; `Cache-Status` tells how it was answered
 *   POST /learners/:id/submissions   { "lesson": "fractions-4", "xp": 20 }; the body tells what became of the invalidation
 *   GET  /connection                 this isolate's connection to Redis and its counters
 *   GET  /events?since=:n            what has changed since the page asked last: events, connection, fault
 *
 * With DEMO=1, which only `npm start` sets; else 404:
 *
 *   POST /fault/:name                breaks Redis, or mends it: healthy, refused, hung, slow, 500, truncated
 *   POST /burst?learner=:id          100 requests at once for what nobody has cached; the body counts what they cost
 */
import { type CacheClient, type CacheOptions, createCache } from "leeward";
import { type Answer, burst, type Plan } from "./burst.js";
import type { Context, Env } from "./env.js";
import type { Events } from "./events.js";
import { currentFault, switchFault } from "./fault.js";
import { Feed } from "./feed.js";
import { answerTo, Failure, json } from "./http.js";
import { lookupXp, readXp, submit, TTL } from "./learners.js";
import { logEvent } from "./log.js";
import { Upstream } from "./upstream.js";

const feed = new Feed();

/** @param source whose events these are, if not the visitors' */
function makeCache(source = "", options: CacheOptions = {}) {
  return createCache({
    ...options,
    prefix: "demo",
    ttl: TTL,
    // Names keys in the log, which hold nothing secret here.
    debug: true,
    onEvent(event) {
      // A burst has a hundred of these, and a line of its own that counts them.
      if (!(source && event.type === "read" && event.shared)) logEvent(event);
      feed.record(event, source);
    },
  });
}

// At module scope: this does no I/O and cannot throw.
const cache = makeCache();
// A hundred requests at once may keep a small machine busy for longer than the 250 ms that a read waits by default.
const burstCache = makeCache("Burst", { timeout: { read: "500ms" } });

interface Call {
  readonly request: Request;
  readonly url: URL;
  readonly env: Env;
  readonly context: Context;
  readonly client: CacheClient;
  readonly upstream: Upstream;
  /** What stands in the path for `:id` or `:name`. */
  readonly part: string;
}

interface Route {
  readonly path: RegExp;
  readonly methods: readonly string[];
  readonly demo?: boolean;
  answer(call: Call): Promise<Response>;
}

const GET = ["GET", "HEAD"];
const POST = ["POST"];

const ROUTES: readonly Route[] = [
  {
    path: /^\/learners\/([\w-]{1,64})\/xp$/,
    methods: GET,
    answer: ({ client, upstream, part }) => readXp(client, upstream, part),
  },
  {
    path: /^\/learners\/([\w-]{1,64})\/submissions$/,
    methods: POST,
    answer: ({ client, upstream, part, request }) => submit(client, upstream, part, request),
  },
  {
    path: /^\/connection$/,
    methods: GET,
    answer: async ({ client }) => json(connectionOf(client)),
  },
  { path: /^\/events$/, methods: GET, answer: news },
  {
    path: /^\/fault\/([^/]{1,64})$/,
    methods: POST,
    demo: true,
    answer: async ({ env, part }) => json({ fault: await switchFault(env.GATEWAY_CONTROL_URL, part) }),
  },
  { path: /^\/burst$/, methods: POST, demo: true, answer: sendBurst },
];

function connectionOf(client: CacheClient) {
  return { ...client.connection, stats: client.stats() };
}

async function news({ url, env, client }: Call): Promise<Response> {
  const since = Number(url.searchParams.get("since") ?? 0);
  if (!Number.isSafeInteger(since) || since < 0) throw new Failure(400, "since: expected a number from 0");
  const demo = isDemo(env);
  const fault = demo ? await currentFault(env.GATEWAY_CONTROL_URL) : null;
  const events: Events = {
    now: Date.now(),
    demo,
    fault,
    connection: connectionOf(client),
    ...feed.news(since),
  };
  return json(events);
}

async function sendBurst({ url, env, context, upstream }: Call): Promise<Response> {
  const learner = url.searchParams.get("learner") ?? "ada";
  if (!/^[\w-]{1,64}$/.test(learner)) throw new Failure(400, "learner: expected an id such as ada");
  const report = await burst({
    learner,
    token: env.UPSTASH_REDIS_REST_TOKEN,
    upstream,
    bind: (token) => burstCache.for({ ...env, UPSTASH_REDIS_REST_TOKEN: token }, context),
    async visit(plan) {
      const started = Date.now();
      const response = await context.exports.visitor({ props: plan }).fetch(new Request(url));
      return { ...((await response.json()) as Omit<Answer, "ms">), ms: Date.now() - started };
    },
  });
  const { requests, ok, attempts, computations } = report;
  console.log(
    `demo: a burst of ${requests} requests, ${ok} answered: attempts ${attempts}, computations ${computations}`,
  );
  return json(report);
}

function isDemo(env: Env): boolean {
  return env.DEMO === "1";
}

async function route(call: Omit<Call, "part">): Promise<Response> {
  const { pathname } = call.url;
  const found = ROUTES.find(({ path, demo }) => path.test(pathname) && (!demo || isDemo(call.env)));
  if (!found) throw new Failure(404, "no such route");
  if (!found.methods.includes(call.request.method)) {
    const allow = found.methods.join(", ");
    throw new Failure(405, `expected ${allow}`, { allow });
  }
  const [, part = ""] = found.path.exec(pathname) ?? [];
  return found.answer({ ...call, part });
}

export default {
  async fetch(request: Request, env: Env, context: Context): Promise<Response> {
    try {
      const url = new URL(request.url);
      const upstream = new Upstream(env.UPSTREAM_URL);
      return await route({ request, url, env, context, upstream, client: cache.for(env, context) });
    } catch (error) {
      return answerTo(error);
    }
  },
};

/** One visitor of a burst: an entry point for this worker alone, no address leads to it. */
export const visitor = {
  async fetch(_: Request, env: Env, context: Context): Promise<Response> {
    const { learner, key, token } = context.props as Plan;
    const client = burstCache.for({ ...env, UPSTASH_REDIS_REST_TOKEN: token }, context);
    try {
      const found = await lookupXp(client, new Upstream(env.UPSTREAM_URL), learner, key);
      return json({ ok: true, outcome: found.outcome, shared: found.shared, banked: found.value.banked });
    } catch {
      return json({ ok: false, outcome: null, shared: false, banked: null });
    }
  },
};
