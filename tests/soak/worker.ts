/**
 * The worker of the soak: does what a visitor asks, keeps books of its own, and sees how large the core's memory is, which the
 * package exports nowhere.
 */
import {
  type CacheClient,
  type CacheEvent,
  createCache,
  type Fill,
  type InvalidationError,
  isLeewardError,
} from "leeward";
import type { Answered, Asked, Look, Reading } from "./visit.ts";

interface Env {
  SOURCE: string;
}

/** The memory of each instance of wasm that is made from here on: the core's, which is made on first use. */
const memories: WebAssembly.Memory[] = [];
const Instance = WebAssembly.Instance;
WebAssembly.Instance = class extends Instance {
  constructor(module: WebAssembly.Module, imports?: WebAssembly.Imports) {
    super(module, imports);
    memories.push(this.exports.memory as WebAssembly.Memory);
  }
};

const books = { reads: 0, served: 0, failed: 0, callbacks: 0, unhandled: 0 };
const events: Record<string, number> = {};
addEventListener("unhandledrejection", (event) => {
  books.unhandled += 1;
  const name = `unhandled ${String((event as PromiseRejectionEvent).reason).slice(0, 120)}`;
  events[name] = (events[name] ?? 0) + 1;
});

const cache = createCache({
  ttl: 5000,
  timeout: { read: 200, write: 400, flight: 2000 },
  onEvent(event: CacheEvent) {
    const { type } = event;
    const detail = type === "failure" ? event.error : type === "warning" ? event.code : undefined;
    const name = detail === undefined ? type : `${type} ${detail}`;
    events[name] = (events[name] ?? 0) + 1;
  },
});

interface Value {
  key: string;
  version: number;
}

const OWN = new Error("the callback's own");

/** What the key is worth at the source; with `change`, after one more change. */
async function source(env: Env, key: string, change = false): Promise<number> {
  const answer = await fetch(`${env.SOURCE}/${key}`, { method: change ? "POST" : "GET" });
  return Number(await answer.text());
}

async function read(client: CacheClient, env: Env, asked: Asked, reading: Reading): Promise<Answered> {
  const { as, late, fails, ...options } = reading;
  const { key, tag } = asked;
  const tags = late ? undefined : [tag];
  const load = async (fill: Fill): Promise<Value> => {
    books.callbacks += 1;
    if (late) await fill.tags([tag]);
    if (fails) throw OWN;
    return { key, version: await source(env, key) };
  };
  books.reads += 1;
  let value: Value | undefined;
  let unverified = false;
  try {
    if (as === "get") {
      value = await client.get<Value>(key, { tags });
    } else if (as === "lookup") {
      const found = await client.lookup(key, load, { ...options, tags });
      value = found.value;
      unverified = found.shared && found.outcome === "bypass";
    } else {
      value = await client.getOrSet(key, load, { ...options, tags });
      unverified = options.freshness !== "strict";
    }
  } catch (error) {
    books.failed += Number(error === OWN);
    if (error === OWN) return { version: null, unverified, own: true };
    throw error;
  }
  books.served += 1;
  if (value !== undefined && value.key !== key) return wrong(`the value of ${value.key} for ${key}`);
  return { version: value?.version ?? null, unverified };
}

/** Changes the source, and ends what was stored. */
async function change(client: CacheClient, env: Env, asked: Asked): Promise<Answered> {
  const { key, tag } = asked;
  const what = { keys: [key] };
  let version = 0;
  const write = async () => {
    version = await source(env, key, true);
    return version;
  };
  try {
    if (asked.change === "mutate") {
      const { invalidation } = await client.mutate(what, write, { timeout: 2000 });
      return { version, unverified: false, state: invalidation.state };
    }
    // What this request has read is what its `set` may follow from.
    if (asked.change === "set") await read(client, env, asked, { as: "get" });
    await write();
    if (asked.change === "set") await client.set<Value>(key, { key, version }, { tags: [tag] });
    else if (asked.change === "delete") await client.delete(key);
    else if (asked.change === "key") await client.invalidate({ keys: [key] });
    else if (asked.change === "tag") await client.invalidate({ tags: [tag] });
    else if (asked.change === "all") await client.invalidate({ all: true });
    else await client.expire(what);
    return { version, unverified: false, state: "applied" };
  } catch (error) {
    if (!isLeewardError(error)) throw error;
    return { version, unverified: false, state: (error as InvalidationError).state };
  }
}

function wrong(message: string): Answered {
  return { version: null, unverified: true, wrong: message };
}

function look(env: unknown, ctx: ExecutionContext): Look {
  const client = cache.for(env, ctx);
  const symbol = Object.getOwnPropertySymbols(globalThis).find((s) => s.description?.startsWith("leeward@"));
  const isolate = (globalThis as unknown as Record<symbol, { instance?: { core: Core } }>)[
    symbol ?? Symbol()
  ];
  return {
    ...books,
    stats: client.stats(),
    connection: client.connection,
    events,
    instances: memories.length,
    wasmBytes: memories.at(-1)?.buffer.byteLength ?? 0,
    underWay: [...(isolate?.instance?.core.underWay() ?? [])],
  };
}

interface Core {
  underWay(): Iterable<number>;
}

interface ExecutionContext {
  waitUntil(promise: Promise<unknown>): void;
}

export default {
  async fetch(request: Request, env: Env, ctx: ExecutionContext): Promise<Response> {
    if (request.method === "GET") return Response.json(look(env, ctx));
    const asked = (await request.json()) as Asked;
    const bound = cache.for(env, ctx);
    const client = asked.namespace === undefined ? bound : bound.namespace(asked.namespace);
    try {
      const { read: reading } = asked;
      return Response.json(
        await (reading === undefined ? change(client, env, asked) : read(client, env, asked, reading)),
      );
    } catch (error) {
      return Response.json(wrong(String(error)));
    }
  },
};
