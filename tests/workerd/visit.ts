/** What the tests ask of the worker under test, and what it tells of itself: plain JSON, both ways. */
import type { CacheEvent, Connection, ReadOptions, ReadTimeouts, Stats } from "leeward";

/**
 * One call of the cache. `look` and `lookMany` are `lookup` and `getMany` without a callback, `update` a `set` after a `get`; those of
 * `wrap` take a key as it makes them, `name:argument`; the last two are of the old contract, and on its own cache.
 */
export interface Call {
  op:
    | "getOrSet"
    | "lookup"
    | "look"
    | "get"
    | "has"
    | "getMany"
    | "lookMany"
    | "set"
    | "update"
    | "delete"
    | "invalidate"
    | "expire"
    | "mutate"
    | "redis"
    | "wrapped"
    | "invalidateWrapped"
    | "redisCache"
    | "invalidateCache";
  key: string;
  /** More keys of an `invalidate` or a `getMany`. */
  also?: string[];
  /** In place of keys, what an `invalidate`, an `expire` or a `mutate` is about. */
  what?: Targets;
  /** Names of namespaces, the outer one first. */
  namespace?: string[];
  /** More options of the call. */
  options?: Omit<ReadOptions, "ttl" | "signal" | "timeout"> & { timeout?: number | ReadTimeouts };
  /** Of `redis`. */
  command?: [string, ...(string | number)[]];
  /** What `set` and `update` store, and what it is that `has` finds. */
  value?: unknown;
  load?: Load;
  ttl?: number;
  /** The caller's own signal is aborted when this gate opens. */
  abortAt?: string;
}

/** What an invalidation is about. */
export interface Targets {
  keys?: string[];
  tags?: string[];
  all?: true;
}

/** What the callback does, in this order. */
export interface Load {
  /** Waits until the test opens this gate. */
  gate?: string;
  /** Only the first callback of its key waits at `gate`, the others at this one. */
  laterGate?: string;
  /** Never settles: `alone` with nothing of its own under way, `busy` with a timer that goes on. */
  never?: "alone" | "busy";
  /** Throws an Error with this message. */
  fail?: string;
  skip?: boolean;
  /** Tags that the callback declares before it does anything else, and whether it awaits them. */
  tags?: { names: string[]; awaited: boolean };
  /** Says that the stale value is still good, in place of `value`. */
  unchanged?: boolean;
  /** A value that JSON cannot say, in place of `value`. */
  make?: "date";
  /** `getMany` has one of its own for each key without it. */
  value?: unknown;
}

/** One request to the worker. All calls begin in the same turn. */
export interface Visit {
  /** Which cache of the isolate: made at its first use, with `options`. Default "default". */
  cache?: string;
  /** For `createCache`; anything, since anything may be given. */
  options?: unknown;
  /** Nobody listens to the events. */
  unobserved?: boolean;
  /** In place of the worker's own env. */
  env?: Record<string, string> | null;
  /**
   * How `waitUntil` comes: by the handler's ctx, or from "cloudflare:workers". `deaf`: it keeps nothing alive, so that the request
   * is dead once it has answered.
   */
  ctx?: "given" | "imported" | "deaf";
  /** The calls are made on the cache itself, not through `for`. */
  direct?: boolean;
  /** The response does not wait for the calls. */
  early?: boolean;
  calls: Call[];
}

export interface Thrown {
  name: string;
  message: string;
  /** It is the very object that the callback threw, or the reason of the caller's signal. */
  own: boolean;
  leeward: boolean;
  /** Its fields, as JSON says them. */
  printed: string;
  code?: unknown;
  state?: unknown;
  kind?: unknown;
  retryable?: unknown;
  word?: unknown;
  keys?: unknown;
}

/** How a call ended. */
export interface Ended {
  value?: unknown;
  /** JSON says nothing of `undefined`. */
  type?: string;
  error?: Thrown;
  /** By the isolate's clock. */
  ms: number;
}

/** What callbacks of one key have done so far. */
export interface Book {
  /** Calls made. */
  asked: number;
  /** Calls ended. */
  ended: number;
  /** Callbacks started. */
  started: number;
  /** Callbacks that wait at a gate now. */
  waiting: number;
  /** Most callbacks that ran at the same time. */
  peak: number;
  /** Signals of callbacks that have fired. */
  cancelled: number;
}

/** A look into the isolate. */
export interface State {
  books: Record<string, Book>;
  events: CacheEvent[];
  stats: Stats;
  connection: Connection;
  /** The core's tables: operations, requests, batches, flights. */
  underWay: number[];
  /** The cache's requests whose clients have gone, where the runtime says so (`enable_request_signal`). */
  gone: number;
  /** Rejections that nobody has handled. */
  unhandled: string[];
}
