/**
 * A Redis in memory for tests of code that uses Leeward: it speaks the part of Upstash's REST protocol that Leeward
 * needs, runs Leeward's own scripts, and fails when it is told to. Nothing of it belongs into a deployed worker.
 *
 * These types are written by hand and are the contract; the tests check them.
 */
import type { Duration } from "./index.js";

/** Options of `createTestRedis`. */
export interface TestRedisOptions {
  /**
   * Unix ms at which its clock stands still until `advance` or `now` moves it. Default: the clock runs, by `Date.now()`
   * at each look, so that a test runner's fake time moves it, too.
   */
  now?: number | undefined;
}

/** A Redis in memory. */
export interface TestRedis {
  /**
   * An address of its own that nobody can guess and that resolves nowhere: without `install` or `fetch` it is refused.
   */
  readonly url: string;
  readonly token: string;
  /** Both, by the names that Leeward looks for: `cache.for(redis.env, ctx)`. */
  readonly env: { readonly UPSTASH_REDIS_REST_URL: string; readonly UPSTASH_REDIS_REST_TOKEN: string };

  /**
   * From now on the global `fetch` brings requests for `url` here; all others go where they went before. Any number of
   * them may be installed at a time.
   *
   * @returns what undoes it: `afterAll(redis.install())`.
   */
  install(): () => void;
  /**
   * As the global `fetch`, with requests for `url` answered here: for places that take such a function, e.g.
   * Miniflare's `outboundService: (request) => redis.fetch(request)`. It follows no redirects.
   */
  readonly fetch: (input: string | URL | Request, init?: RequestInit) => Promise<Response>;

  /**
   * Its clock, Unix ms: what TIME tells, and by which entries age and keys expire. Setting it makes it stand still
   * there.
   */
  now: number;
  /**
   * Moves its clock forward, and ends the waits of `slow`, `late` and `twice` whose time is reached; while the clock
   * runs, timers end them, too. The clock by which Leeward's own timeouts and backoff go is another: the runtime's.
   */
  advance(duration: Duration): void;

  /**
   * The entries that a reader could be given now: not those that an invalidation or a running `mutate` has ended. In
   * the order of their Redis keys.
   */
  entries(): TestEntry[];
  /**
   * Runs one command at once, past faults, switches, counters and the log: `await redis.command("SET", "x", "1")`. It
   * knows what Leeward sends, and DEL, EXISTS, GET, SET, HGET, HSET, HKEYS, HGETALL, PTTL, PEXPIRE, PEXPIREAT, DBSIZE,
   * FLUSHALL, PING, TIME.
   *
   * @throws an Error with Redis' own text.
   */
  command(...words: readonly [string, ...(string | number)[]]): TestReply;

  /**
   * Switches a fault on for the requests that arrive from now on; `"healthy"` switches it off. One fault is on at a
   * time.
   *
   * @throws a `TypeError` for a name or an option that does not exist, which names those that do; then nothing changes.
   */
  fault<Name extends FaultName>(name: Name, ...options: FaultArguments<Name>): void;
  /**
   * Executes what `late` and `twice` hold, oldest first, whether or not its client still waits; with `match` only
   * requests with this text in a command.
   *
   * @returns the number of those requests, when they are executed.
   */
  release(match?: string): Promise<number>;
  /** Resolves when nothing is held any more: executed, or dropped by `reset`. */
  settled(): Promise<void>;
  /** `true`: there is no memory for what writes, as with `maxmemory` reached. Default `false`. */
  outOfMemory: boolean;
  /** `true`: the token may read only, and run no scripts (NOPERM). Default `false`. */
  readOnly: boolean;
  /** `true`: the token may run no scripts (NOPERM). Default `false`. */
  noScripts: boolean;

  /** What has been sent so far. */
  readonly counters: TestCounters;
  /** The last 1000 requests, oldest first. */
  readonly requests: readonly TestRequest[];
  /**
   * Resolves when nothing is under way: no request is open, and none comes in the same turn. Wait for it before looking
   * at what Leeward does behind the answer. A request that hangs is open until its client gives up.
   */
  idle(): Promise<void>;
  /** As new: empty, healthy, without scripts; clock, switches, counters and log as they began. What is open is cut. */
  reset(): void;
}

/** What is stored for a key. */
export interface TestEntry {
  /** As the cache was given it; of one over 512 bytes the SHA-256, in base64url, under which it is stored. */
  readonly key: string;
  /** The names of its namespaces, outermost first; empty for none. */
  readonly namespace: readonly string[];
  readonly prefix: string;
  /** The build that wrote it. */
  readonly version: string;
  /** `undefined` for a compressed one where the runtime has no `node:zlib` (workerd without `nodejs_compat`). */
  readonly value: unknown;
  /** Whether `compress` has made it smaller. */
  readonly compressed: boolean;
  readonly tags: readonly string[];
  /** `stale`: past its `ttl` or after `expire`, but within `swr` or `staleIfError`. */
  readonly state: "fresh" | "stale";
  /** Milliseconds for which it will be fresh; 0 when it is stale. */
  readonly ttl: number;
  /** Milliseconds since it was stored. */
  readonly age: number;
  /** The hash in Redis that holds it. */
  readonly redisKey: string;
}

/** The reply to a command. */
export type TestReply = string | number | bigint | null | TestReply[];

export interface TestCounters {
  /** HTTP requests that arrived, whatever became of them; refused connections are not among them. */
  readonly requests: number;
  /** Commands that were executed or answered by a `redisError`: each of a pipeline is one, a script is one. */
  readonly commands: number;
  /** Error replies, and requests refused as a whole. */
  readonly errors: number;
  /** Requests to which a fault was applied. */
  readonly faults: number;
  /** Requests that are neither answered nor given up. */
  readonly open: number;
  /** `commands` by name, in capitals. */
  readonly byCommand: Readonly<Record<string, number>>;
  /** How often Leeward's scripts ran. */
  readonly byScript: { readonly read: number; readonly fill: number; readonly drop: number };
}

/** A request, as the log has it. */
export interface TestRequest {
  /** Counts up from 1. */
  readonly id: number;
  /** When it arrived, by `Date.now()`. */
  readonly at: number;
  readonly method: string;
  readonly path: string;
  /** One list of words for each command; empty if they could not be read. */
  readonly commands: readonly (readonly string[])[];
  /** The fault that was applied, or `"healthy"`. */
  readonly fault: FaultName;
  /** How often its commands were executed. */
  readonly executions: number;
  /** The status answered; `null` as long as, and if, there is none. */
  readonly status: number | null;
}

/** What all faults know, but for `healthy` and `refuse`. */
export interface CommonFaultOptions {
  /** Only the next so many requests that match, then healthy. Default all (flushScripts: 1). */
  times?: number | undefined;
  /** Only requests whose commands contain this text: words of a command parted by one space, e.g. `"user:7"`. */
  match?: string | undefined;
  /** Only each so many-th request that matches, beginning with the first: with 2 it flaps. Default each. */
  every?: number | undefined;
  /** Whether the commands are executed all the same. Each fault has its own default. */
  execute?: boolean | undefined;
}

/**
 * The faults, each with the options that it knows besides the common ones. They are those of Leeward's development
 * gateway, by the same code.
 */
export interface Faults {
  /** No fault. */
  healthy: Record<never, never>;
  /** Nobody listens: `fetch` rejects with a TypeError. What is open is cut. */
  refuse: Record<never, never>;
  /** The connection breaks before the answer. Not executed. */
  resetBeforeHeaders: Record<never, never>;
  /** The connection breaks after the status. Executed. */
  resetAfterHeaders: Record<never, never>;
  /** The connection breaks in the body. Executed. */
  resetMidBody: Record<never, never>;
  /** No answer. Not executed. */
  hang: Record<never, never>;
  /** A status, and no body. Executed. */
  hangAfterHeaders: Record<never, never>;
  /**
   * The answer takes its time: `delayMs`, default 1000, then whole or in pieces of `chunkBytes` every `chunkMs`,
   * default 10. Executed.
   */
  slow: { delayMs?: number | undefined; chunkBytes?: number | undefined; chunkMs?: number | undefined };
  /**
   * Answers `code` (default 503) with `body` (a string as it is, anything else as JSON) and `headers`. Not executed.
   */
  status: { code?: number | undefined; body?: unknown; headers?: Record<string, string> | undefined };
  /** Answers a page, as of a sign-in in between. Not executed. */
  html: { body?: unknown };
  /** Half of the answer, as if it were whole. Executed. */
  truncated: Record<never, never>;
  /**
   * JSON that is no answer: an object for a list and the other way around (`container`, the default), results that no
   * reply can be, too few, too many. Not executed.
   */
  wrongTypes: { shape?: "container" | "results" | "fewer" | "more" | undefined };
  /** No body. Not executed. */
  empty: Record<never, never>;
  /** An answer of `megabytes`, default 32, which a Content-Length tells before, unless `announced` is `false`. Not executed. */
  oversize: { megabytes?: number | undefined; announced?: boolean | undefined };
  /** Redirects to `location` by `code`, default 302. Not executed. */
  redirect: { location: string; code?: number | undefined };
  /** Executed, but the connection breaks before the answer. */
  loseReply: Record<never, never>;
  /** No answer; executed after `delayMs`, or when `release` says so, whether or not the client has given up. */
  late: { delayMs?: number | undefined };
  /**
   * Executed twice, and answered with the result of the `first` (the default) or `second` time. The second is at once,
   * after `delayMs`, or with `hold` when `release` says so.
   */
  twice: {
    answer?: "first" | "second" | undefined;
    hold?: boolean | undefined;
    delayMs?: number | undefined;
  };
  /** Every command (with `match` those that contain it) is answered with this error. */
  redisError: { error: string };
  /** The scripts are forgotten first, so that those called by their hash are answered NOSCRIPT. */
  flushScripts: Record<never, never>;
}

export type FaultName = keyof Faults;

/** The options of a fault. */
export type FaultOptions<Name extends FaultName> = Name extends "healthy" | "refuse"
  ? Record<string, never>
  : Faults[Name] & CommonFaultOptions;

/** May be left out where none is needed. */
type FaultArguments<Name extends FaultName> =
  Record<never, never> extends FaultOptions<Name>
    ? [options?: FaultOptions<Name>]
    : [options: FaultOptions<Name>];

/** Makes a Redis in memory, empty. Does no I/O, and changes nothing outside of itself until `install`. */
export function createTestRedis(options?: TestRedisOptions): TestRedis;
