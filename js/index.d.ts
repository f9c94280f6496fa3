/**
 * Leeward: the cache-aside layer that edge workers can trust.
 *
 * These types are written by hand and are the contract; the tests check them.
 */

/**
 * Whole milliseconds, or a number with its unit: `"250ms"`, `"5s"`, `"5m"`, `"1h"`, `"7d"`.
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

/**
 * How a call was answered: from Redis, or what this isolate holds of it, fresh (`hit`) or no longer so (`stale`); by the callback
 * after a look in Redis (`miss`), also with what Redis had, which it found to be still good (`revalidated`); or without Redis
 * (`bypass`).
 */
export type Outcome = "hit" | "stale" | "revalidated" | "miss" | "bypass";

/**
 * What of Standard Schema, version 1 (https://standardschema.dev) is used: zod, valibot, arktype and others make such objects.
 * `Input` is what passes `validate`.
 */
export interface StandardSchemaV1<Input = unknown, Output = unknown> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => unknown;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  };
}

/** A read's schema, for values of the type that it gives. */
export interface Checked<T> {
  /**
   * What a stored value must satisfy to be served, fresh or stale; for one that does not, the read goes on as after a miss: the
   * callback runs, and its value is stored in the other's place; without a callback there is none. A `rejected` event tells. What
   * the callback returns is not checked. The value given is the stored one, not the schema's output: what a schema transforms or
   * fills in would be there after a hit and not after a miss; so the schema's **input** type must fit `T`. May be asynchronous,
   * and has until the read's deadline (`timeout.read`); one that throws or rejects has not taken the value. Default: none.
   */
  schema?: StandardSchemaV1<T> | undefined;
}

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
  | "budget"
  | "invalidation"
  | "callback";

/** What the callback gets. */
export interface Fill {
  /**
   * Aborted when nobody waits for the value any more: the caller's own `signal` was aborted, or `timeout.hard` has passed
   * (`reason` is the error with the code `callback-timeout` then), and no other request has joined. Where others have, it is
   * aborted when their wait has ended, too (`timeout.flight`). Never because of a default: without a `signal` or a
   * `timeout.hard` of the caller it never fires. A value that comes all the same is stored.
   */
  readonly signal: AbortSignal;
  /**
   * The stale value that this read has found in Redis, a copy of the callback's own, and its age in milliseconds: for a
   * conditional request, see `notModified`. It is there for as long as the entry is kept (the larger of the `swr` and
   * `staleIfError` with which it was stored, after its `ttl`), also where the reader's own options keep the caller from being
   * served it. `undefined` when there is none, with `forceFresh` or `freshness: "strict"`, and to a read with `leaseWait` that
   * takes nothing stale.
   */
  readonly stale: { readonly value: unknown; readonly age: number } | undefined;
  /** Sets the time to live of the value being computed, in place of the option. Same range as `ttl`. */
  ttl(ttl: Duration): void;
  /** The same for `swr`. What is set here is how the value is stored, no bound of this or another reader. */
  swr(swr: Duration): void;
  /** The same for `staleIfError`. */
  staleIfError(staleIfError: Duration): void;
  /**
   * What a callback returns, at once, to say that `stale.value` is still good, as after a 304: it is the answer, and is stored
   * again with a new life, unless it was invalidated since this read. The type adds nothing to that of what the callback gives.
   *
   * @throws a `TypeError` when `stale` is `undefined`.
   */
  notModified(): never;
  /** The value is returned, not stored; the key is passed through for a bounded time, as for any value that cannot be. */
  skip(): void;
  /**
   * Declares more tags of the value being computed, for tags that only the data tell. At most 64 in all calls.
   *
   * **Await it before reading the data** that the tags stand for: then their versions are known, and an invalidation of them
   * from that moment on keeps the value from being stored. Data read before is not covered. Nothing is asked of Redis unless
   * it is awaited, and nothing when the versions are known already, as they are once this isolate has seen them on the key.
   * Not awaited, it is declared only: a value whose tags' versions were not known before the callback started is returned,
   * not stored, and the next miss reads them first. Never rejects because of the cache.
   *
   * @throws a `TypeError`, at once, for what is no list of tags.
   */
  tags(names: readonly string[]): PromiseLike<void>;
}

/** Computes the value of a key. Its own error reaches the caller as the same object. */
export type Load<T> = (fill: Fill) => T | Promise<T>;

/** How long what a call stores lives, where it differs from the cache's own. */
export interface LifeOptions {
  /** Time to live: so long it is fresh. Default: the cache's `ttl`. Range: 1 ms to 30 days. */
  ttl?: Duration | undefined;
  /**
   * Stale while revalidate: so long after its `ttl` it is still served, while one of all isolates refreshes it behind an answer.
   * `expire` makes it stale before that. Default: the cache's `swr`. Range: 0 (off) to 30 days. What counts is the smaller of the
   * entry's, given when it was stored, and the reader's.
   */
  swr?: Duration | undefined;
  /**
   * So long after its `ttl` it is served in place of an error of the callback; a `failure` event of the kind `callback` tells.
   * The same in place of a callback that is late, see `ReadTimeouts`.
   * Default: the cache's `staleIfError`. Range: 0 (off) to 30 days. Bounded by the reader as `swr` is.
   */
  staleIfError?: Duration | undefined;
  /**
   * The entry's `ttl` is shortened by up to this part of it, at random, so that what is stored together does not expire together.
   * Never lengthened; `swr` and `staleIfError` are not changed. Holds for a `ttl` that the callback sets, too. Default: the cache's
   * `jitter`. Range: 0 (off) to 0.5.
   */
  jitter?: number | undefined;
  /**
   * What the value depends on: `invalidate({ tags })` ends it with all others that carry the tag, at the cost of one command.
   * A stored value that lacks one of a reader's tags is a miss. At most 64, each 1 to 512 bytes of UTF-8, well-formed; of the
   * client's namespace. Default: none.
   */
  tags?: readonly string[] | undefined;
}

/** How long a read waits for Redis. */
export interface LookTimeouts {
  /** How long it waits for Redis. Default: the cache's `timeout.read`, 250 ms. Range: 1 ms to 30 s. */
  read?: Duration | undefined;
}

/**
 * How long a read waits. What counts for `soft` and `hard` is the time in which a callback runs that the caller waits for: its
 * own, or another request's or isolate's whose value it would take. Time in which Redis is asked does not.
 */
export interface ReadTimeouts extends LookTimeouts {
  /**
   * So long the caller waits for the callback if a stale value may be served in its place (`staleIfError`): then it is served
   * that, and the callback goes on behind the answer and its value is stored. Without such a value it changes nothing.
   * An event `timeout` tells. Default: the cache's `timeout.soft`, none. Range: 1 ms to 5 min.
   */
  soft?: Duration | undefined;
  /**
   * So long the caller waits for the callback at all: then it is served the stale value, if one may be (`staleIfError`), or the
   * call rejects with a `LeewardError` of the code `callback-timeout`. If nobody else waits for the value, the callback's
   * `signal` fires. Holds without Redis, too. A follower cannot tell a slow callback from one whose request has ended, and
   * gets the error in either case; `retryable` is `true`. Default: the cache's `timeout.hard`, none. Range: 1 ms to 5 min.
   */
  hard?: Duration | undefined;
}

/** Options of a read without a callback. */
export interface LookOptions {
  /** As in `LifeOptions`: a stored value that lacks one of them is none. */
  tags?: readonly string[] | undefined;
  /**
   * `"strict"`: nothing stale, whatever `swr` and `staleIfError` say, and nothing from another request but what Redis has
   * confirmed, also while it is down. Without a callback that is so in any case. Default: as those options allow.
   */
  freshness?: "strict" | undefined;
  /** How long this read waits, where that is not as the cache says. */
  timeout?: LookTimeouts | undefined;
  /**
   * Ends this caller's wait: the call rejects with `signal.reason`. It ends nobody else's: a callback that other requests
   * wait for goes on.
   */
  signal?: AbortSignal | undefined;
  /**
   * `false`: past what this isolate holds itself, and nothing of what is read is held, as if the cache had no `l1`. Default
   * `true`. `freshness: "strict"`, `forceFresh` and reads with a `schema` take nothing from it either; what they bring takes
   * the place of what is held.
   */
  l1?: boolean | undefined;
}

/** What an isolate holds of values itself: see `CacheOptions`. */
export interface L1Options {
  /**
   * How long a value is served without a look in Redis, from when the read was sent that found it valid, or under which it was
   * stored; never longer than it is fresh. So long an invalidation by **another** isolate may go unseen; one by this isolate
   * counts at once. Range: 1 ms to 60 s.
   */
  ttl: Duration;
  /**
   * How many bytes of this isolate's memory are taken at most, for all caches with the same options, and for all their
   * connections; each entry counts with its value in memory, its key, and 384 bytes. Values over an eighth of it are not held.
   * Range: 65,536 to 67,108,864.
   */
  maxBytes: number;
  /**
   * As what readers get values that are stored, from L1 or from Redis. `"frozen"`: all the same object, frozen through and through, so
   * that to serve a large one costs no more than a small one; changing it throws a TypeError. What a callback returns is never
   * frozen. `"copied"`: each a copy of his own, at the cost of making it at each hit. Bytes are copied in any case.
   * Default `"frozen"`.
   */
  values?: "frozen" | "copied" | undefined;
}

/** Options of `getMany` without a callback. */
export interface ManyLookOptions extends Omit<LookOptions, "tags"> {
  /** As in `ManyOptions`. */
  tags?: readonly string[] | ((key: string) => readonly string[]) | undefined;
}

/** Options of one read. */
export interface ReadOptions extends LifeOptions, LookOptions {
  /** How long this read waits, where that is not as the cache says. */
  timeout?: ReadTimeouts | undefined;
  /**
   * How long to wait, on a miss, for another isolate that computes the value already, before running the callback all the same.
   * Saves callbacks, costs latency. Default: the cache's `leaseWait`. Range: 0 (off) to 30 s.
   */
  leaseWait?: Duration | undefined;
  /**
   * How eagerly a fresh value is refreshed before its `ttl` is over, so that a busy key has no miss: `beta` of XFetch (Vattani et al.
   * 2015). Each hit is refreshed with the probability `exp(-left / (took * earlyRefresh))`, where `took` is how long the callback took
   * for the stored value, and `left` how long it is fresh still. It is served first, and refreshed behind the answer, by one of all
   * isolates. 1 is the paper's; more is earlier. What `set` stored, or took no measurable time, is not refreshed early; nor is
   * anything without `waitUntil`. Default: the cache's `earlyRefresh`. Range: 0 (off) to 10.
   */
  earlyRefresh?: number | undefined;
  /**
   * Time to live where the callback returns `undefined` or `null`: "there is none" may be true for a shorter time than a value. 0: it is
   * returned, not stored, and keeps nobody from storing one. `fill.ttl()` beats it. Such an entry has no `swr` and no `staleIfError` but
   * what this call gives. Default: the cache's `negativeTtl`; without one it is stored as any other value. Range: 0 to 30 days.
   */
  negativeTtl?: Duration | undefined;
  /** `true`: what is stored will not do; the callback runs, and its value is stored. Default `false`. Beats `freshness`. */
  forceFresh?: boolean | undefined;
}

/** What the callback of `getMany` gets: what it says is about all the values that it computes, but by `of`. */
export interface FillMany {
  /** As `Fill.signal`: aborted when nobody waits for any of the values any more. */
  readonly signal: AbortSignal;
  /** As `Fill.ttl`. */
  ttl(ttl: Duration): void;
  /** As `Fill.swr`. */
  swr(swr: Duration): void;
  /** As `Fill.staleIfError`. */
  staleIfError(staleIfError: Duration): void;
  /** As `Fill.skip`. */
  skip(): void;
  /**
   * The same for one of the missing keys, and what is there for one alone: the stale value that was found for it, tags that only
   * its data tell, and `notModified()`, which stands for its value in the Map or the list. What is said last counts, of one or of
   * all.
   *
   * @throws a `TypeError` for a key that is not missing.
   */
  of(key: string): Fill;
}

/**
 * Computes the values of the keys that are missing: each once, in the order in which they were given. It returns a `Map`, in
 * which a key may be left out, or a list with one value for each, in their order, in which `undefined` is no value. A key without
 * a value is not stored, and not in the answer. Its own error reaches the caller as the same object; anything else that it
 * returns, and a list of another length, is a `TypeError`. The list of keys is frozen.
 */
export type LoadMissing<T> = (
  missing: readonly string[],
  fill: FillMany,
) => ManyValues<T> | Promise<ManyValues<T>>;

type ManyValues<T> = ReadonlyMap<string, T> | readonly (T | undefined)[];

/** Options of `getMany`: those of a read, for each of the keys. It waits for no other isolate, and refreshes nothing early. */
export interface ManyOptions extends Omit<ReadOptions, "tags" | "leaseWait" | "earlyRefresh"> {
  /** As in `LifeOptions`: of all keys, or by a function that gives those of a key. What it throws rejects the call. */
  tags?: readonly string[] | ((key: string) => readonly string[]) | undefined;
}

/** A function whose results can be stored; as of a `Load`, the first half infers, the second checks. */
export type Computes<A extends unknown[], T> = ((...args: A) => T | Promise<T>) &
  ((...args: A) => Storable<T> | Promise<Storable<T>>);

/** Options of `wrap`; those of reads hold for each call. */
export interface WrapOptions<A extends unknown[]> extends Omit<ReadOptions, "tags" | "signal"> {
  /**
   * What stands for the arguments in the key, in place of their JSON. Calls for which it gives the same text share an entry; those of
   * another name never do.
   */
  key?: ((...args: A) => string) | undefined;
  /** As of a read, or a function of the arguments. */
  tags?: readonly string[] | ((...args: A) => readonly string[]) | undefined;
  /** `true`: the function gets what a callback gets, before its arguments. Default `false`. */
  fill?: false | undefined;
}

/** The same, for a function that takes a `Fill` first. */
export interface FillWrapOptions<A extends unknown[]> extends Omit<WrapOptions<A>, "fill"> {
  fill: true;
}

/** What `wrap` of a client gives. */
export interface BoundWrapped<A extends unknown[], T> {
  /** As `getOrSet`. Rejects with the function's own error, or with a `TypeError` for what `wrap` was given, or for these arguments. */
  (...args: A): Promise<T>;
  /** Ends what is stored for these arguments; as `CacheClient.invalidate`. */
  invalidate(...args: A): Promise<Invalidated>;
  /**
   * The key for these arguments, fit for the other calls of the same client.
   *
   * @throws a `TypeError`, at once, for arguments that JSON does not give back exactly.
   */
  key(...args: A): string;
}

/** What `wrap` of a cache gives. On Workers it takes env and `waitUntil` from "cloudflare:workers", as the cache does. */
export interface Wrapped<A extends unknown[], T> extends BoundWrapped<A, T> {
  /** The same function bound to one request, as `Cache.for`. */
  for(env?: unknown, ctx?: ExecutionContextLike): BoundWrapped<A, T>;
}

/** Options of `set`. */
export interface WriteOptions extends LifeOptions {}

/** Options of `mutate`. */
export interface MutateOptions {
  /**
   * How long the callback is expected to take at most. For so long, counted from the call, marks in Redis keep every isolate from
   * serving and storing what the call covers, should the callback never end or its isolate die; a callback that takes longer is
   * not ended, but not covered any more until it ends. Default 10 s. Range: 1 ms to 5 min.
   */
  timeout?: Duration | undefined;
}

/** The answer of `lookup`. */
export interface Lookup<T> {
  /** The value; `undefined` when there is none and no callback was given. */
  readonly value: T;
  /** How this one call was answered. */
  readonly outcome: Outcome;
  /** Milliseconds since the value was stored, by Redis' clock; 0 when the callback has just made it, or found it still good. */
  readonly age: number;
  /**
   * Whether an entry stands behind the value: `true` after a hit (which tells a stored `undefined` from a miss) and after
   * another request's acknowledged fill; `false` when the value could not be stored; `undefined` while the fill is still
   * under way in the background.
   */
  readonly stored: boolean | undefined;
  /** Whether the value comes from the read or the callback of another request of this isolate. */
  readonly shared: boolean;
  /** Whether this isolate held the value itself (`CacheOptions`, `l1`): Redis was not asked. Only with the outcome `hit`. */
  readonly l1: boolean;
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
  | "budget"
  | "unavailable";

/** What an invalidation is about: keys, tags, or the whole namespace of the client. At least one of them. */
export type Invalidation = Targets &
  ({ keys: readonly string[] } | { tags: readonly string[] } | { all: true });

interface Targets {
  keys?: readonly string[] | undefined;
  /** As in `LifeOptions`, but more of them: up to 65,536 keys and tags in a call, and 4 MiB of names. */
  tags?: readonly string[] | undefined;
  /**
   * Everything in the namespace, and in all namespaces within it, by one command; for a client without a namespace, everything
   * under the cache's prefix. Default `false`.
   */
  all?: boolean | undefined;
}

/** Redis has acknowledged it for everything that was named: no read that starts later, in any isolate, returns older data. */
export interface Invalidated {
  readonly state: "applied";
}

/** An invalidation that is not applied; the error tells what of it and why. */
export interface NotInvalidated {
  readonly state: "pending" | "refused";
  readonly error: InvalidationError;
}

/** The answer of `mutate`. */
export interface Mutated<T> {
  /** What the callback returned. */
  readonly value: T;
  /** What became of the invalidation after it. */
  readonly invalidation: Invalidated | NotInvalidated;
  /**
   * Whether marks kept every isolate from serving and storing what is covered while the callback ran. `false` when Redis could
   * not be reached or refused them: then only the invalidation before and after guards it.
   */
  readonly marked: boolean;
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
  /** Reads answered from Redis, fresh. */
  readonly hits: number;
  /** Reads answered from what this isolate holds itself; not among the `hits`. */
  readonly l1Hits: number;
  /** Reads answered from Redis, no longer fresh. */
  readonly stale: number;
  /** Reads answered by what Redis had, no longer fresh, and the callback found to be still good. */
  readonly revalidated: number;
  /** Reads that Redis had no valid entry for. */
  readonly misses: number;
  /** Reads that went past Redis: it was disabled, down, late or failing. */
  readonly bypasses: number;
  /** Reads, of those above, answered by another request's read or callback. */
  readonly shared: number;
  /** Callbacks started; one of `getMany` counts for each of its keys. */
  readonly callbacks: number;
  /** Fills that Redis stored. */
  readonly fills: number;
  /** Fills that an invalidation had overtaken. */
  readonly fillsRefused: number;
  /** Fills that failed. */
  readonly fillsFailed: number;
  /** Values that could not be stored. */
  readonly unstorable: number;
  /** Stored values that a read's `schema` did not take. */
  readonly rejected: number;
  /** Bytes of the texts that were compressed and stored, as they were before. */
  readonly compressedFrom: number;
  /** Bytes of the same texts, as they were stored: `1 - compressedTo / compressedFrom` is what compression has gained. */
  readonly compressedTo: number;
  /** Drops that Redis acknowledged, for each key, tag and namespace; repeated ones count again. */
  readonly invalidationsApplied: number;
  /** Calls that ended with an invalidation pending. */
  readonly invalidationsPending: number;
  /** Calls whose invalidation was refused. */
  readonly invalidationsRefused: number;
  /** Invalidations that wait for Redis now. */
  readonly journal: number;
  /** Values that this isolate holds itself now, for all caches. */
  readonly l1Entries: number;
  /** Bytes of memory that are counted for them. */
  readonly l1Bytes: number;
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

/** One tagged union serves logs, metrics and tests. Keys and tags are a short hash unless `debug` is set; never a value or a token. */
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
      /** As in `Lookup`. */
      readonly l1: boolean;
      readonly reason: BypassReason | null;
    })
  | (EventBase & {
      readonly type: "fill";
      readonly key: string;
      readonly stored: boolean;
      readonly reason: string | null;
      /** Bytes of the value's text before and after compression; `null`: it was not compressed, or had not become smaller. */
      readonly compression: { readonly from: number; readonly to: number } | null;
    })
  | (EventBase & {
      /** A stored value was not served: the read's `schema` did not take it. */
      readonly type: "rejected";
      readonly key: string;
      /** Where in the value the first issue lies, as `$.user.born`; `null`: the schema does not say. */
      readonly path: string | null;
      /** `schema`: it found issues. `schema-failed`: it threw, rejected, or gave no result that is one. */
      readonly reason: "schema" | "schema-failed";
    })
  | (EventBase & {
      readonly type: "unstorable";
      readonly key: string;
      /** Where in the value, as `$.user.born`. */
      readonly path: string;
      readonly reason: string;
    })
  | (EventBase & {
      /** An invalidation, an expiry, or what a `mutate` or a `set` ended. */
      readonly type: "invalidation";
      readonly keys: readonly string[];
      readonly tags: readonly string[];
      /**
       * The path of the namespace that is ended as a whole, as a short hash unless `debug` is set; "" for everything under the
       * prefix; `null` for none.
       */
      readonly namespace: string | null;
      readonly state: "applied" | "pending" | "refused";
      readonly reason: string | null;
      /** Sent again after its call had ended. */
      readonly replay: boolean;
    })
  | (EventBase & {
      /** The wait for another isolate's callback (`leaseWait`) has ended. */
      readonly type: "lease";
      readonly key: string;
      /** Milliseconds. */
      readonly waited: number;
      /** `filled`: its value was there. `taken`: it gave up, and this isolate computes. `timed-out`: the wait was over. */
      readonly outcome: "filled" | "taken" | "timed-out";
    })
  | (EventBase & {
      /** A caller waits for a callback no longer: the bound of its `timeout` has passed. */
      readonly type: "timeout";
      readonly key: string;
      readonly bound: "soft" | "hard";
      /** Whether it is served a stale value; else it gets the error `callback-timeout`. */
      readonly stale: boolean;
    })
  | (EventBase & {
      /**
       * The cache cannot do its work at all: bad configuration, no wasm, a trapped instance; or not all of it: scripts are
       * refused for this token. Said once for each cause.
       */
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
   * At most 64 characters without white space.
   *
   * `{ binding }` names a variable of the handler's env that holds it: an object with an `id`, as Cloudflare's version metadata
   * (`{ binding: "CF_VERSION_METADATA" }`, with `version_metadata` in the worker's settings), or a text. Where it holds neither, the
   * cache is disabled, with a warning: one that went on would read what other builds have written.
   */
  version?: string | { readonly binding: string } | undefined;
  /** Time to live. Default 60 s. Range: 1 ms to 30 days. */
  ttl?: Duration | undefined;
  /** See `LifeOptions`. Default 0: nothing stale is served while it is refreshed. Range: 0 to 30 days. */
  swr?: Duration | undefined;
  /** See `LifeOptions`. Default 0: an error of the callback is the answer. Range: 0 to 30 days. */
  staleIfError?: Duration | undefined;
  /** See `ReadOptions`. Default 0: nobody waits for another isolate. Range: 0 to 30 s. */
  leaseWait?: Duration | undefined;
  /** See `LifeOptions`. Default 0: what is stored lives for its whole `ttl`. Range: 0 to 0.5. */
  jitter?: number | undefined;
  /** See `ReadOptions`. Default 0: nothing is refreshed before it expires. Range: 0 to 10. */
  earlyRefresh?: number | undefined;
  /** See `ReadOptions`. Default: none, `undefined` and `null` are stored as any other value. Range: 0 to 30 days. */
  negativeTtl?: Duration | undefined;
  /**
   * Lets each isolate hold values in its own memory for a short while, and serve them without Redis. Default: none are. In at most
   * four caches of an isolate, those with the same options counting as one; beyond, none are.
   */
  l1?: L1Options | undefined;
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
        /** See `ReadTimeouts`. Default: none. */
        soft?: Duration | undefined;
        /** See `ReadTimeouts`. Default: none. */
        hard?: Duration | undefined;
      }
    | undefined;
  /**
   * What one request (a client of `cache.for(env, ctx)`) may take for Redis of what its runtime allows: Cloudflare Workers allow 50
   * subrequests a request on the free plan (10,000 on the paid one), and 6 connections at the same time. A client without `ctx` counts
   * for each turn.
   */
  budget?:
    | {
        /**
         * HTTP requests to Redis. Beyond, reads run their callbacks (reason `budget`), fills are not sent, `redis` rejects, and
         * one warning tells. An eighth, at least one, is kept for invalidations; beyond that they are `pending`, and
         * sent by the next request. Default 40. Range: 2 to 10,000.
         */
        subrequests?: number | undefined;
        /**
         * HTTP requests to Redis at the same time. Beyond, what is to be sent waits for one of them to end, and goes as one
         * request then; nobody waits longer than its own timeout. Default 4. Range: 1 to 1000.
         */
        connections?: number | undefined;
      }
    | undefined;
  /**
   * Values whose texts have at least so many bytes are compressed (gzip) before they are stored: in the background, with what
   * CPU time that costs, and at most for half of `timeout.write`. Kept is the smaller text; `fill` events and `stats()` tell the gain.
   * Reading decompresses, whatever this option says. Where the runtime has no `CompressionStream` values are stored as they are.
   * Default `false`. Range: 1,024 to 4,194,304.
   */
  compress?: false | number | undefined;
  /**
   * The largest value, in bytes of its text (JSON in UTF-8, or bytes in base64) before compression. What is larger is returned, not
   * stored; and what is larger in Redis is not read. Default and maximum 4,194,304 (4 MiB), minimum 1,024.
   */
  maxValueBytes?: number | undefined;
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
   * @throws the callback's error; `signal.reason`; a `LeewardError` of the code `callback-timeout` after `timeout.hard`; a
   * `TypeError` for a bad key or option, before any work.
   */
  getOrSet<T>(
    key: string,
    load: Load<T> & Load<Storable<T>>,
    options?: ReadOptions & Checked<NoInfer<T>>,
  ): Promise<T>;
  /** As `getOrSet`, with the outcome of this one call. Without `load` it only looks. */
  lookup<T>(
    key: string,
    load: Load<T> & Load<Storable<T>>,
    options?: ReadOptions & Checked<NoInfer<T>>,
  ): Promise<Lookup<T>>;
  lookup<T = unknown>(
    key: string,
    load?: undefined,
    options?: LookOptions & Checked<T>,
  ): Promise<Lookup<T | undefined>>;
  /**
   * The stored value, else `undefined`, also while Redis cannot be reached. `lookup` tells the difference. With a `schema`, `T` is
   * its input type.
   */
  get<T = unknown>(key: string, options?: LookOptions & Checked<T>): Promise<T | undefined>;
  /** Whether `get` would find a value, at the same cost; `false` also while Redis cannot be reached. `lookup` tells the difference. */
  has(key: string, options?: LookOptions): Promise<boolean>;
  /**
   * The values of many keys, in their order, each key once: by one request to Redis and one command for each. `loadMissing` is
   * called at most once, for exactly those that Redis has no valid entry of (or could not be asked for), and those whose value
   * the `schema` does not take; what it returns is stored, by one request. A key without a value is not in the answer. Without
   * `loadMissing` it only looks.
   *
   * It asks Redis, not what this isolate holds (`l1`), which it brings up to date. It waits for no callback of another
   * request; calls for a single key do join this one. A value that is stale within `swr` is served; it is refreshed by the
   * same call of `loadMissing`, behind the answer if nothing is missing. If `loadMissing` fails, the call fails, unless each
   * missing one has a value within `staleIfError`.
   *
   * What all reads of a turn find is one reply, up to 16 MiB: beyond, none of them has been answered. Larger values are to be
   * asked for in portions, one after the other.
   *
   * @throws the callback's error; `signal.reason`; a `TypeError` for a bad key or option, before any work.
   */
  getMany<T>(
    keys: readonly string[],
    loadMissing: LoadMissing<T> & LoadMissing<Storable<T>>,
    options?: ManyOptions & Checked<NoInfer<T>>,
  ): Promise<Map<string, T>>;
  getMany<T = unknown>(
    keys: readonly string[],
    loadMissing?: undefined,
    options?: ManyLookOptions & Checked<T>,
  ): Promise<Map<string, T>>;
  /**
   * A Redis command of your own, in the same request as all else that begins in this turn, in the order in which it was
   * begun. It gives the reply as JSON says it: a text, an integer, `null`, a list. Arguments are texts and finite numbers; bytes
   * cannot be said in JSON. It waits for `timeout.write` at most and is never sent twice, and its failure is nobody else's.
   *
   * Nothing is known of what it does: what it does to the cache's own keys (`<prefix>:`) is your responsibility.
   *
   * @throws a `TypeError`, before any work, for a bad argument, and for a command that would take the pipeline from the others: one of
   * transactions (`MULTI`), subscriptions, the connection (`SELECT`, `AUTH`, `CLIENT`), `SCRIPT`, or one that waits (`BLPOP`, `XREAD` with
   * `BLOCK`).
   * @throws RedisError
   */
  redis<T = unknown>(command: string, ...args: readonly (string | number)[]): Promise<T>;
  /**
   * Ends the stored entry and stores a new one. Never blindly: a value may follow from what this client (one made by
   * `cache.for(env, ctx)`) has read for the key. Then it is stored, in one request, only if nothing was invalidated since: not by
   * others, and not by this client itself; and only with tags that the read named, or the entry carried. Otherwise what was
   * stored ends, and the answer is `stored: false`; so it does if the client got the value from L1 (read with `l1: false` what
   * is to be stored anew). Without such a read it is stored in two requests, as if the value had been read when
   * the call began.
   *
   * @throws a `TypeError` for a value that cannot be stored, before any work; one that is too large (`maxValueBytes`) ends the
   * entry and gives `stored: false`.
   * @throws InvalidationError when Redis has not acknowledged that the old entry is gone.
   */
  set<T>(key: string, value: T & Storable<T>, options?: WriteOptions): Promise<Stored>;
  /** `invalidate` for one key. */
  delete(key: string): Promise<Invalidated>;
  /**
   * Ends what is stored for the keys, with the tags, or in the namespace, in every build. When it resolves, no read that
   * starts later, in any isolate, returns data read before. One command for each key and tag, and for `all`.
   *
   * @throws a `TypeError` when nothing or anything else is named, before any work.
   * @throws InvalidationError, `state: "pending"`: Redis has not acknowledged all of it; it is sent again in the background
   * and before any read that it covers, and until then this isolate serves nothing stored of it. `state: "refused"`: it cannot
   * be carried out (no configuration, read-only token).
   */
  invalidate(what: Invalidation): Promise<Invalidated>;
  /**
   * As `invalidate`, but what is stored becomes stale in place of ended: it is served within `swr` and `staleIfError`, and to
   * nobody else. The same answers and errors.
   */
  expire(what: Invalidation): Promise<Invalidated>;
  /**
   * Runs `fn`, which changes the source of what is named, between two invalidations. While it runs, marks in Redis keep
   * every isolate from serving what the call covers and from storing what was read meanwhile, so that no read that began
   * before the change outlives it. `fn` runs exactly once, whatever the cache does, as soon as the marks are set: without
   * Redis unmarked, after `timeout.write` at the latest, and `invalidation` tells.
   *
   * @throws `fn`'s own error, the same object; everything is invalidated then, too. A `TypeError` for bad arguments, before
   * any work.
   */
  mutate<T>(what: Invalidation, fn: () => T | Promise<T>, options?: MutateOptions): Promise<Mutated<T>>;
  /**
   * Gives `fn`, cached: its results are stored under `name` and its arguments, as by `getOrSet`. Does nothing before it is called, and
   * never throws: fit for module scope. No two names share entries; `name` is for one function, in all builds.
   *
   * The key is `name` (with "%" and ":" in it encoded), ":", and the arguments as JSON. Arguments that JSON does not give back exactly (a
   * `Date`, `undefined`, `-0`, a class instance) are a rejected `TypeError` that names which, unless the option `key` is given.
   */
  wrap<A extends unknown[], T>(
    name: string,
    fn: Computes<A, T>,
    options?: WrapOptions<A> & Checked<NoInfer<T>>,
  ): BoundWrapped<A, T>;
  wrap<A extends unknown[], T>(
    name: string,
    fn: Computes<[fill: Fill, ...args: A], T>,
    options: FillWrapOptions<A> & Checked<NoInfer<T>>,
  ): BoundWrapped<A, T>;
  /**
   * The same interface for keys and tags of a namespace of their own: `invalidate({ all: true })` of it ends them all by one
   * command. Namespaces nest, and the outer one's end ends the inner ones; at most 4 deep. Connection, options and request are
   * those of this client. Does no I/O.
   *
   * @throws a `TypeError`, at once, for what is no name: 1 to 64 characters, well-formed, none of them a control character.
   */
  namespace(name: string): CacheClient;
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
  /** As a client's, and `for` is there, too. */
  wrap<A extends unknown[], T>(
    name: string,
    fn: Computes<A, T>,
    options?: WrapOptions<A> & Checked<NoInfer<T>>,
  ): Wrapped<A, T>;
  wrap<A extends unknown[], T>(
    name: string,
    fn: Computes<[fill: Fill, ...args: A], T>,
    options: FillWrapOptions<A> & Checked<NoInfer<T>>,
  ): Wrapped<A, T>;
  /** As a client's, and `for` is there, too: `cache.namespace("eu").for(env, ctx)` is `cache.for(env, ctx).namespace("eu")`. */
  namespace(name: string): Cache;
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
  /** `pending`: it will be sent again. `refused`: at least a part of it will not. */
  readonly state: "pending" | "refused";
  /** The keys that are not acknowledged, as given. Not enumerable, nor are the next two: a logger does not print them. */
  readonly keys: readonly string[];
  /** The tags that are not acknowledged. */
  readonly tags: readonly string[];
  /** Whether the namespace as a whole is not acknowledged. */
  readonly all: boolean;
}

/** A command of `redis` that has no reply. */
export interface RedisError extends LeewardError {
  readonly name: "RedisError";
  /**
   * `redis-error`: Redis answered with an error. `not-executed`: it was not sent, or not let in (down, no room, over the budget,
   * refused credentials). `unknown-outcome`: the reply is lost, and it may have been executed. `unconfigured`: there is no usable
   * Redis.
   */
  readonly code: "redis-error" | "not-executed" | "unknown-outcome" | "unconfigured";
  /** The word that Redis' message begins with, as `WRONGTYPE`; `null` without one. The message itself is told with `debug` alone. */
  readonly word: string | null;
  /** The same command may succeed later, and has not been executed. Never with `unknown-outcome`. */
  readonly retryable: boolean;
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
