/**
 * The worker under test. It does what a `Visit` says and keeps books on it; what requests share is plain data, so that
 * whatever goes wrong between requests is Leeward's doing.
 */
import {
  type Cache,
  type CacheEvent,
  type CacheOptions,
  createCache,
  type Fill,
  type Invalidation,
  invalidateCache,
  isLeewardError,
  type ReadOptions,
  redisCache,
} from "leeward";
import type { Book, Call, Ended, Load, State, Thrown, Visit } from "./visit.ts";

interface Context {
  waitUntil(promise: Promise<unknown>): void;
}

interface Kept {
  cache: Cache;
  events: CacheEvent[];
  books: Map<string, Book>;
  gone: number;
}

const caches = new Map<string, Kept>();
const open = new Set<string>();
const unhandled = new Map<Promise<unknown>, string>();

addEventListener("unhandledrejection", (event) => {
  const { promise, reason } = event as PromiseRejectionEvent;
  unhandled.set(promise, String(reason));
});
// With old compatibility dates the runtime tells of rejections that are handled a microtask later.
addEventListener("rejectionhandled", (event) => {
  unhandled.delete((event as PromiseRejectionEvent).promise);
});

function keptOf({ cache = "default", options, unobserved }: Visit): Kept {
  let kept = caches.get(cache);
  if (kept === undefined) {
    const events: CacheEvent[] = [];
    const observer = { onEvent: (event: CacheEvent) => void events.push(event) };
    const given =
      unobserved || (options !== undefined && (typeof options !== "object" || options === null))
        ? options
        : { ...options, ...observer };
    kept = { cache: createCache(given as CacheOptions), events, books: new Map(), gone: 0 };
    caches.set(cache, kept);
  }
  return kept;
}

function bookOf(kept: Kept, key: string): Book {
  let book = kept.books.get(key);
  if (book === undefined) {
    book = { asked: 0, ended: 0, started: 0, waiting: 0, peak: 0, cancelled: 0 };
    kept.books.set(key, book);
  }
  return book;
}

/** By timers of its own: one request must not settle what another one waits for. */
async function untilOpen(gate: string): Promise<void> {
  while (!open.has(gate)) await new Promise((resolve) => setTimeout(resolve, 4));
}

async function compute(
  load: Load,
  fill: Fill | undefined,
  book: Book,
  running: { now: number },
  raise: (error: Error) => void,
) {
  book.started += 1;
  running.now += 1;
  book.peak = Math.max(book.peak, running.now);
  fill?.signal.addEventListener("abort", () => {
    book.cancelled += 1;
  });
  if (load.tags !== undefined) {
    const known = fill?.tags(load.tags.names);
    if (load.tags.awaited) await known;
  }
  const gate = book.started > 1 ? (load.laterGate ?? load.gate) : load.gate;
  if (gate !== undefined) {
    book.waiting += 1;
    await untilOpen(gate);
    book.waiting -= 1;
  }
  if (load.never !== undefined) {
    if (load.never === "busy") setInterval(() => {}, 50);
    await new Promise(() => {});
  }
  running.now -= 1;
  if (load.fail !== undefined) {
    const error = new Error(load.fail);
    raise(error);
    throw error;
  }
  if (load.skip) fill?.skip();
  if (load.unchanged) return fill?.notModified();
  return load.make === "date" ? { at: new Date(0), n: book.started } : load.value;
}

const running = new Map<Book, { now: number }>();

async function perform(kept: Kept, client: Pick<Cache, "getOrSet">, call: Call): Promise<Ended> {
  const cache = (call.namespace ?? []).reduce((around, name) => around.namespace(name), client as Cache);
  const { key, op } = call;
  const what = (call.what ?? { keys: [key, ...(call.also ?? [])] }) as Invalidation;
  const book = bookOf(kept, key);
  const counter = running.get(book) ?? { now: 0 };
  running.set(book, counter);
  let thrown: unknown;
  const load = (fill?: Fill) =>
    compute(call.load ?? {}, fill, book, counter, (error) => {
      thrown = error;
    }) as Promise<never>;
  // What each call takes of these is its own business: bad ones are asked for, too.
  const options = { ...call.options } as ReadOptions & { timeout?: never };
  if (call.ttl !== undefined) options.ttl = call.ttl;
  if (call.abortAt !== undefined) {
    const controller = new AbortController();
    const reason = new Error("the caller has left");
    options.signal = controller.signal;
    const leave = () => {
      thrown = reason;
      controller.abort(reason);
    };
    if (open.has(call.abortAt)) leave();
    else untilOpen(call.abortAt).then(leave);
  }
  const began = Date.now();
  book.asked += 1;
  try {
    let value: unknown;
    if (op === "getOrSet") value = await cache.getOrSet(key, load, options);
    else if (op === "lookup") value = await cache.lookup(key, load, options);
    else if (op === "look") value = await cache.lookup(key, undefined, options);
    else if (op === "get") value = await cache.get(key, options);
    else if (op === "has") value = await cache.has(key, options);
    else if (op === "getMany" || op === "lookMany") {
      const loadMissing = async (missing: readonly string[]) => {
        const loaded: string | undefined = await load();
        return missing.map((key) => loaded ?? `value of ${key}`);
      };
      const keys = [key, ...(call.also ?? [])];
      const found =
        op === "getMany"
          ? cache.getMany(keys, loadMissing, options)
          : cache.getMany(keys, undefined, options);
      value = Object.fromEntries(await found);
    } else if (op === "redis") value = await cache.redis(...(call.command ?? ["PING"]));
    else if (op === "set") value = await cache.set(key, call.value as string, options);
    else if (op === "update") {
      await cache.get(key, options);
      value = await cache.set(key, call.value as string, options);
    } else if (op === "wrapped" || op === "invalidateWrapped") {
      // The key's two halves are the function's name and its argument.
      const [name = "", argument = ""] = key.split(":");
      const wrapped = cache.wrap(name, (fill: Fill, _: string) => load(fill), {
        ...{ fill: true, key: (argument: string) => argument },
        ...options,
      });
      value = await (op === "wrapped" ? wrapped(argument) : wrapped.invalidate(argument));
    } else if (op === "redisCache") value = await redisCache(load, key.split(":"));
    else if (op === "invalidateCache") value = await invalidateCache(key);
    else if (op === "delete") value = await cache.delete(key);
    else if (op === "expire") value = await cache.expire(what);
    else if (op === "mutate") value = await cache.mutate(what, () => load(), options);
    else value = await cache.invalidate(what);
    return { value, type: typeof value, ms: Date.now() - began };
  } catch (error) {
    return { error: describe(error, thrown), ms: Date.now() - began };
  } finally {
    book.ended += 1;
  }
}

function describe(error: unknown, thrown: unknown): Thrown {
  const { name, message } = error as Error;
  const { code, state, kind, retryable, word, keys } = error as Record<string, unknown>;
  const leeward = isLeewardError(error);
  const printed = JSON.stringify(error);
  return { name, message, own: error === thrown, leeward, printed, code, state, kind, retryable, word, keys };
}

function contextOf(visit: Visit, ctx: Context): Context | undefined {
  if (visit.ctx === "imported") return undefined;
  return visit.ctx === "deaf" ? { waitUntil() {} } : ctx;
}

function stateOf(visit: Visit, env: unknown): State {
  const kept = keptOf(visit);
  const client = visit.direct ? kept.cache : kept.cache.for(visit.env === undefined ? env : visit.env);
  const { stats, connection } = { stats: client.stats(), connection: client.connection };
  const books = Object.fromEntries(kept.books);
  return {
    books,
    events: kept.events,
    stats,
    connection,
    underWay: underWay(),
    gone: kept.gone,
    unhandled: [...unhandled.values()],
  };
}

interface Core {
  underWay(): Iterable<number>;
  [name: string]: unknown;
}

/** What every isolate has once is found as the package itself finds it. */
function instances(): { core: Core; dead: boolean }[] {
  const symbols = Object.getOwnPropertySymbols(globalThis).filter((s) =>
    s.description?.startsWith("leeward@"),
  );
  const isolates = globalThis as unknown as Record<symbol, { instance?: { core: Core; dead: boolean } }>;
  return symbols.flatMap((symbol) => isolates[symbol]?.instance ?? []);
}

function underWay(): number[] {
  return instances().flatMap(({ core, dead }) => (dead ? [] : [...core.underWay()]));
}

/** Has the core, if it was built for it, fail in place of its `n`th call from now. */
function failAt(n: number, how: string): void {
  for (const instance of instances()) {
    const { core } = instance;
    let calls = 0;
    instance.core = new Proxy(core, {
      get(target, name) {
        const member = target[name as string];
        if (typeof member !== "function") return member;
        return (...args: unknown[]) => {
          calls += 1;
          return ((calls === n ? target.fail : member) as (...args: unknown[]) => unknown).apply(
            target,
            calls === n ? [how] : args,
          ) as unknown;
        };
      },
    });
  }
}

/** Has the isolate's clock jump: what it shows from now on. */
function jump(ms: number): void {
  const { now } = Date;
  Date.now = () => now() + ms;
}

export default {
  async fetch(request: Request, env: unknown, ctx: Context): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname === "/open") {
      open.add(searchParams.get("gate") ?? "");
      return new Response("open");
    }
    if (pathname === "/shut") {
      open.clear();
      return new Response("shut");
    }
    if (pathname === "/jump") {
      jump(Number(searchParams.get("by")));
      return new Response("jumped");
    }
    if (pathname === "/fail") {
      failAt(Number(searchParams.get("at")), searchParams.get("how") ?? "");
      return new Response("armed");
    }
    const visit = (await request.json()) as Visit;
    if (pathname === "/state") return Response.json(stateOf(visit, env));
    const kept = keptOf(visit);
    request.signal?.addEventListener("abort", () => {
      kept.gone += 1;
    });
    const given = visit.env === undefined ? env : visit.env;
    const client = visit.direct ? kept.cache : kept.cache.for(given, contextOf(visit, ctx));
    const calls = visit.calls.map((call) => perform(kept, client, call));
    if (visit.early) return new Response("early");
    return Response.json(await Promise.all(calls));
  },
};
