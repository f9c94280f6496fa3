/**
 * Leeward: the cache-aside layer that edge workers can trust.
 *
 * These types are written by hand and are the contract; the tests check them.
 */

/**
 * Milliseconds, or a number with its unit: `"250ms"`, `"5s"`, `"5m"`, `"1h"`, `"7d"`.
 * Not negative; each option states its own range.
 */
export type Duration = number | `${number}${"ms" | "s" | "m" | "h" | "d"}`;

/**
 * What may be stored: JSON that comes back as it went in, or one `Uint8Array` or `ArrayBuffer` as the whole value.
 * Everything else (`Date`, `Map`, `bigint`, functions, class instances) is refused by the compiler; at run time it is
 * returned to the caller, not stored, and one event names the path.
 *
 * Two things JSON cannot say are tolerated: a property whose value is `undefined` comes back absent, and `-0` as `0`.
 *
 * A callback is checked as `Load<T> & Load<Storable<T>>`: `T` is inferred from the first half alone, so that a union stays
 * whole (from `Load<T & Storable<T>>` the compiler takes its first arm), and a generic helper can say the same.
 */
export type Storable<T> = T extends Uint8Array | ArrayBuffer ? T : StorableJson<T>;

type StorableJson<T> = T extends string | number | boolean | null | undefined
  ? T
  : T extends bigint | symbol | ((...args: never[]) => unknown) | ArrayBuffer | ArrayBufferView
    ? never
    : T extends object
      ? { [K in keyof T]: StorableJson<T[K]> }
      : unknown extends T
        ? T
        : never;

/** How a call was answered: from Redis, by the callback after a look in Redis, or by the callback without Redis. */
export type Outcome = "hit" | "miss" | "bypass";

/** The kind of a failure; stable, meant for programs. */
export type ErrorKind =
  | "config"
  | "timeout"
  | "transport"
  | "protocol"
  | "server"
  | "auth"
  | "decode"
  | "too-large"
  | "invalidation";

/** What the callback gets. */
export interface Fill {
  /**
   * Aborted when nobody waits for the value any more: the caller's own `signal` was aborted and no other request has
   * joined. Never because of a default: without a `signal` of the caller it never fires.
   */
  readonly signal: AbortSignal;
  /** Sets the time to live of the value being computed, in place of the option. Same range as `ttl`. */
  ttl(ttl: Duration): void;
  /** The value is returned, not stored; the key is passed through for a bounded time, as for any value that cannot be. */
  skip(): void;
}

/** Computes the value of a key. Its own error reaches the caller as the same object. */
export type Load<T> = (fill: Fill) => T | Promise<T>;

/** Options of one read. */
export interface ReadOptions {
  /** Time to live of what this call stores. Default: the cache's `ttl`. Range: 1 ms to 30 days. */
  ttl?: Duration | undefined;
  /**
   * Ends this caller's wait: the call rejects with `signal.reason`. It ends nobody else's: a callback that other requests
   * wait for goes on.
   */
  signal?: AbortSignal | undefined;
}

/** Options of `set`. */
export interface WriteOptions {
  /** Time to live of the value. Default: the cache's `ttl`. Range: 1 ms to 30 days. */
  ttl?: Duration | undefined;
}

/** The answer of `lookup`. */
export interface Lookup<T> {
  /** The value; `undefined` when there is none and no callback was given. */
  readonly value: T;
  /** How this one call was answered. */
  readonly outcome: Outcome;
  /** Milliseconds since the value was stored, by Redis' clock; 0 when the callback has just made it. */
  readonly age: number;
  /**
   * Whether an entry stands behind the value: `true` after a hit (which tells a stored `undefined` from a miss) and after
   * another request's acknowledged fill; `false` when the value could not be stored; `undefined` while the fill is still
   * under way in the background.
   */
  readonly stored: boolean | undefined;
  /** Whether the value comes from the read or the callback of another request of this isolate. */
  readonly shared: boolean;
  /** Why Redis was not asked or its answer not used; only with the outcome `bypass`. */
  readonly reason: BypassReason | undefined;
}

/** Why a read went past Redis. */
export type BypassReason =
  | "disabled"
  | "down"
  | "timeout"
  | "failed"
  | "pending-invalidation"
  | "pass-through"
  | "unavailable";

/** What to invalidate. At least one key. */
export interface Invalidation {
  keys: readonly string[];
}

/** An invalidation that Redis has acknowledged for every key: no read that starts later, in any isolate, returns older data. */
export interface Invalidated {
  readonly state: "applied";
}

/** The answer of `set`. The old entry is gone in any case. */
export interface Stored {
  readonly state: "applied";
  /** Whether the new value was stored: not when a newer invalidation overtook it, or it is too large. */
  readonly stored: boolean;
}

/** The state of the connection; see DESIGN.md, "Connection". */
export type ConnectionState = "disabled" | "idle" | "connecting" | "ready" | "down";

/** A snapshot of the one connection that this isolate holds to an endpoint with these credentials. */
export interface Connection {
  readonly state: ConnectionState;
  /** `connecting`, `ready`, or `down` after having been ready. */
  readonly isOpen: boolean;
  /** The last exchange succeeded. */
  readonly isReady: boolean;
  /** Attempts to connect so far. */
  readonly attempts: number;
  /** How often an operation waited for an attempt that another one had under way, instead of making its own. */
  readonly reuses: number;
  /** Failed exchanges so far. */
  readonly failures: number;
  /** The kind of the last failure; `null` before the first. */
  readonly lastError: ErrorKind | null;
  /** When the state last changed, Unix ms; `null` before the first change. */
  readonly changedAt: number | null;
  /** While `down`: when the next attempt is allowed, Unix ms; else `null`. */
  readonly until: number | null;
}

/** Counters of this isolate since it started, for one connection. */
export interface Stats {
  /** Reads answered from Redis. */
  readonly hits: number;
  /** Reads that Redis had no valid entry for. */
  readonly misses: number;
  /** Reads that went past Redis: it was disabled, down, late or failing. */
  readonly bypasses: number;
  /** Reads, of those above, answered by another request's read or callback. */
  readonly shared: number;
  /** Callbacks started. */
  readonly callbacks: number;
  /** Fills that Redis stored. */
  readonly fills: number;
  /** Fills that an invalidation had overtaken. */
  readonly fillsRefused: number;
  /** Fills that failed. */
  readonly fillsFailed: number;
  /** Values that could not be stored. */
  readonly unstorable: number;
  /** Drops that Redis acknowledged, for each key; repeated ones count again. */
  readonly invalidationsApplied: number;
  /** Calls that ended with an invalidation pending. */
  readonly invalidationsPending: number;
  /** Calls whose invalidation was refused. */
  readonly invalidationsRefused: number;
  /** Invalidations that wait for Redis now. */
  readonly journal: number;
  /** HTTP requests sent to Redis. */
  readonly requests: number;
  /** Redis commands sent, as they are billed. */
  readonly commands: number;
}

/** What is common to all events. */
interface EventBase {
  /** Unix ms, by the isolate's clock. */
  readonly at: number;
  /** Which request of this isolate, counted from 1. */
  readonly request: number;
}

/** One tagged union serves logs, metrics and tests. Keys are a short hash unless `debug` is set; never a value or a token. */
export type CacheEvent =
  | (EventBase & {
      /** `connect` runs: this request's operation is the attempt. */
      readonly type: "attempt";
      readonly attempt: number;
      /** The attempt follows a failure. */
      readonly probe: boolean;
    })
  | (EventBase & {
      /** The operation waits for the attempt of another one: the memo was reused. */
      readonly type: "reuse";
      readonly attempt: number;
    })
  | (EventBase & {
      readonly type: "connection";
      readonly from: ConnectionState;
      readonly to: ConnectionState;
      readonly error: ErrorKind | null;
      readonly message: string | null;
      readonly until: number | null;
    })
  | (EventBase & {
      /** One exchange with Redis failed. */
      readonly type: "failure";
      readonly error: ErrorKind;
      readonly message: string;
    })
  | (EventBase & {
      readonly type: "read";
      readonly key: string;
      readonly outcome: Outcome;
      readonly shared: boolean;
      readonly reason: BypassReason | null;
    })
  | (EventBase & {
      readonly type: "fill";
      readonly key: string;
      readonly stored: boolean;
      readonly reason: string | null;
    })
  | (EventBase & {
      readonly type: "unstorable";
      readonly key: string;
      /** Where in the value, as `$.user.born`. */
      readonly path: string;
      readonly reason: string;
    })
  | (EventBase & {
      readonly type: "invalidation";
      readonly keys: readonly string[];
      readonly state: "applied" | "pending" | "refused";
      readonly reason: string | null;
      /** Sent again after its call had ended. */
      readonly replay: boolean;
    })
  | (EventBase & {
      /** The cache cannot do its work at all: bad configuration, no wasm, a trapped instance. Said once for each cause. */
      readonly type: "warning";
      readonly code: string;
      readonly message: string;
    });

/** Options of `createCache`. A bad one is a warning at first use and a disabled cache, never a throw. */
export interface CacheOptions {
  /** First part of every Redis key. Default `"leeward"`. 1 to 64 characters. */
  prefix?: string | undefined;
  /**
   * The build that wrote an entry: another build does not read it, but its invalidations reach it. Default `""`.
   * At most 64 characters.
   */
  version?: string | undefined;
  /** Time to live. Default 60 s. Range: 1 ms to 30 days. */
  ttl?: Duration | undefined;
  timeout?:
    | {
        /** How long a read waits for Redis before the callback runs. Default 250 ms. Range: 1 ms to 30 s. */
        read?: Duration | undefined;
        /** How long a write or invalidation waits for Redis before it is told as pending. Default 1 s. Range: 1 ms to 30 s. */
        write?: Duration | undefined;
        /**
         * How long a request waits for another request's callback before it runs its own. It ends no callback.
         * Default 2 s. Range: 1 ms to 5 min.
         */
        flight?: Duration | undefined;
      }
    | undefined;
  /**
   * The Redis endpoint, `https://` or `http://`. Default: from the handler's env, the first pair that is set of
   * `UPSTASH_REDIS_REST_URL`/`_TOKEN`, `KV_REST_API_URL`/`_TOKEN`, `REDIS_REST_URL`/`_TOKEN`.
   */
  url?: string | undefined;
  /** The endpoint's token. Given together with `url`. */
  token?: string | undefined;
  /** Called with every event, at once and in order. What it throws is swallowed. */
  onEvent?: ((event: CacheEvent) => void) | undefined;
  /** Events name keys in full in place of a short hash. Default `false`. */
  debug?: boolean | undefined;
}

/** What a handler works with: the cache, or the cache bound to one request by `for`. */
export interface CacheClient {
  /**
   * Gives the value of `key`: from Redis, else from another request's callback under way, else from `load`, and stores
   * what it returned in the background. Never fails because of the cache; `load`'s own error is thrown as the same object.
   *
   * @throws the callback's error; `signal.reason`; a `TypeError` for a bad key or option, before any work.
   */
  getOrSet<T>(key: string, load: Load<T> & Load<Storable<T>>, options?: ReadOptions): Promise<T>;
  /** As `getOrSet`, with the outcome of this one call. Without `load` it only looks. */
  lookup<T>(key: string, load: Load<T> & Load<Storable<T>>, options?: ReadOptions): Promise<Lookup<T>>;
  lookup<T = unknown>(key: string): Promise<Lookup<T | undefined>>;
  /** The stored value, else `undefined`, also while Redis cannot be reached. `lookup` tells the difference. */
  get<T = unknown>(key: string): Promise<T | undefined>;
  /**
   * Ends the stored entry and stores a new one.
   *
   * @throws a `TypeError` for a value that cannot be stored, before any work; one that is too large (4 MiB encoded) ends the
   * entry and gives `stored: false`.
   * @throws InvalidationError when Redis has not acknowledged that the old entry is gone.
   */
  set<T>(key: string, value: T & Storable<T>, options?: WriteOptions): Promise<Stored>;
  /** `invalidate` for one key. */
  delete(key: string): Promise<Invalidated>;
  /**
   * Ends what is stored for the keys, in every build. When it resolves, no read that starts later, in any isolate, returns
   * data read before.
   *
   * @throws InvalidationError, `state: "pending"`: Redis has not acknowledged all keys; it is sent again in the background
   * and before any read of them, and until then this isolate serves nothing stored for them. `state: "refused"`: it cannot
   * be carried out (no configuration, read-only token).
   */
  invalidate(what: Invalidation): Promise<Invalidated>;
  /** Counters of this isolate. */
  stats(): Stats;
  /** The isolate's connection. */
  readonly connection: Connection;
}

/** The part of Cloudflare's `ExecutionContext` that is used. */
export interface ExecutionContextLike {
  waitUntil(promise: Promise<unknown>): void;
}

/** A cache. On Workers its own methods take env and `waitUntil` from "cloudflare:workers" where the runtime has them. */
export interface Cache extends CacheClient {
  /**
   * The cache bound to one request: credentials from `env`, background work under `ctx.waitUntil`. Cheap; call it once a
   * request. Without `ctx` (and without "cloudflare:workers") nothing is shared between requests and fills are awaited.
   */
  for(env?: unknown, ctx?: ExecutionContextLike): CacheClient;
}

/** Makes a cache. Does no I/O, reads nothing, never throws: fit for module scope. */
export function createCache(options?: CacheOptions): Cache;

/** An error of Leeward's own, told by brand and not by class: see `isLeewardError`. */
export interface LeewardError extends Error {
  readonly code: string;
  readonly kind: ErrorKind;
  readonly retryable: boolean;
}

/** An invalidation that is not applied. */
export interface InvalidationError extends LeewardError {
  readonly name: "InvalidationError";
  readonly code: "invalidation-pending" | "invalidation-refused" | "unconfigured";
  /** `pending`: it will be sent again. `refused`: at least one of the keys will not. */
  readonly state: "pending" | "refused";
  /** The keys that are not acknowledged, as given. Not enumerable: a logger does not print them. */
  readonly keys: readonly string[];
}

/** Whether `error` is Leeward's, of whatever copy of the package. */
export function isLeewardError(error: unknown): error is LeewardError;

/** Options of `redisCache`. */
export interface RedisCacheOptions {
  /** Time to live in **seconds**; `false`: the longest there is, 30 days; 0: not cached. Default: the cache's `ttl`. */
  revalidate?: number | false | undefined;
}

/**
 * The contract of the service Leeward comes from: the value of `createCacheKey(keyParts)`, from Redis or from `callback`.
 * When Redis is not there it warns and runs the callback. Credentials as for `createCache()` without options.
 */
export function redisCache<T>(
  callback: () => T | Promise<T>,
  keyParts: readonly (string | number)[],
  options?: RedisCacheOptions,
): Promise<T>;

/** Joins the parts by ":" so that no two lists of parts meet: white space, "%" and ":" inside a part are percent-encoded. */
export function createCacheKey(keyParts: readonly (string | number)[]): string;

/**
 * Invalidates finished keys, as `createCacheKey` made them, and reports in place of swallowing.
 *
 * @throws InvalidationError, as `invalidate` does.
 */
export function invalidateCache(keys: string | readonly string[]): Promise<Invalidated>;
