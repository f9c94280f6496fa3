/** Options, events, errors and the old contract, as the compiler sees them. Checked by tsc alone; nothing here runs. */
import {
  type Cache,
  type CacheClient,
  type CacheEvent,
  type CacheOptions,
  createCache,
  createCacheKey,
  type Duration,
  type ErrorKind,
  type ExecutionContextLike,
  type Fill,
  type Invalidated,
  invalidateCache,
  isLeewardError,
  type LeewardError,
  type Mutated,
  type NotInvalidated,
  type Outcome,
  redisCache,
} from "leeward";
import { expectTypeOf } from "vitest";

const cache = createCache();
const load = () => 1;

// Durations.
const durations: Duration[] = [0, 250, "250ms", "5s", "5m", "1.5h", "7d"];
expectTypeOf(durations).toExtend<CacheOptions["ttl"][]>();
// @ts-expect-error: units are short
cache.getOrSet("key", load, { ttl: "5 minutes" });
// @ts-expect-error: a number of what?
cache.getOrSet("key", load, { ttl: "5" });
// @ts-expect-error: there is no such unit
cache.getOrSet("key", load, { ttl: "5w" });
// @ts-expect-error: nor is this a duration
cache.getOrSet("key", load, { ttl: "m" });

// Options of a call.
cache.getOrSet("key", load, { ttl: "5m", signal: AbortSignal.timeout(5) });
cache.getOrSet("key", load, { ttl: undefined, signal: undefined });
cache.lookup("key", load, { ttl: 5 });
cache.set("key", 1, { ttl: "5m" });
// @ts-expect-error: there is no such option
cache.getOrSet("key", load, { timeToLive: "5m" });
// @ts-expect-error: nor of lookup
cache.lookup("key", load, { tll: "5m" });
// @ts-expect-error: nothing ends a set
cache.set("key", 1, { signal: AbortSignal.timeout(5) });
// @ts-expect-error: a signal
cache.getOrSet("key", load, { signal: true });
// @ts-expect-error: a callback must be given
cache.getOrSet("key");
// @ts-expect-error: a value is no callback
cache.getOrSet("key", 1);
// @ts-expect-error: keys are texts
cache.getOrSet(7, load);

// Options of a cache.
createCache({
  prefix: "shop",
  version: "v1",
  ttl: "5m",
  timeout: { read: "250ms", write: 1000, flight: undefined },
  url: "https://host",
  token: undefined,
  debug: true,
  onEvent: (event) => expectTypeOf(event).toEqualTypeOf<CacheEvent>(),
});
createCache({ onEvent: async () => {} });
// @ts-expect-error: there is no such option
createCache({ timeToLive: "5m" });
// @ts-expect-error: nor this timeout
createCache({ timeout: { connect: 5 } });
// @ts-expect-error: a duration
createCache({ ttl: true });
// @ts-expect-error: a function
createCache({ onEvent: "log" });

// The callback's context.
cache.getOrSet("key", (fill) => {
  expectTypeOf(fill).toEqualTypeOf<Fill>();
  expectTypeOf(fill.signal).toEqualTypeOf<AbortSignal>();
  fill.ttl("5m");
  fill.skip();
  // @ts-expect-error: no duration
  fill.ttl("soon");
  return 1;
});
// @ts-expect-error: it gets a context, not an id
cache.getOrSet("key", (id: number) => id);

// A bound client is a client and no more.
expectTypeOf(cache.for({}, { waitUntil() {} })).toEqualTypeOf<CacheClient>();
expectTypeOf(cache).toExtend<CacheClient>();
expectTypeOf<{
  waitUntil(promise: Promise<unknown>): void;
  props: unknown;
}>().toExtend<ExecutionContextLike>();
// @ts-expect-error: it is bound already
cache.for().for();
// @ts-expect-error: that is no context
cache.for({}, {});

// Options of reads and writes.
cache.getOrSet("key", load, {
  ...{ tags: ["a"], swr: "1m", staleIfError: "1h", leaseWait: 100, forceFresh: true, freshness: "strict" },
});
cache.getOrSet("key", load, { tags: ["a"] as const, freshness: undefined, forceFresh: undefined });
cache.lookup("key", undefined, { tags: ["a"], freshness: "strict", signal: AbortSignal.timeout(5) });
cache.get("key", { tags: ["a"], freshness: "strict", signal: AbortSignal.timeout(5) });
cache.set("key", 1, { ttl: "5m", swr: "1m", staleIfError: "1h", tags: ["a"] });
createCache({ swr: "1m", staleIfError: "1h", leaseWait: "1s" });
createCache({ jitter: 0.1, earlyRefresh: 1, negativeTtl: "10s" });
cache.getOrSet("key", load, { jitter: 0.5, earlyRefresh: 10, negativeTtl: 0 });
cache.set("key", 1, { jitter: undefined });
// @ts-expect-error: a part, not a duration
cache.set("key", 1, { jitter: "10s" });
// @ts-expect-error: a set stores what it is given
cache.set("key", null, { negativeTtl: "10s" });
// @ts-expect-error: a number
createCache({ earlyRefresh: true });
expectTypeOf(cache.has("key", { tags: ["a"], freshness: "strict" })).toEqualTypeOf<Promise<boolean>>();
// @ts-expect-error: it computes nothing
cache.has("key", load);
// @ts-expect-error: a list of tags
cache.getOrSet("key", load, { tags: "a" });
// @ts-expect-error: tags are texts
cache.getOrSet("key", load, { tags: [7] });
// @ts-expect-error: there is no other word
cache.getOrSet("key", load, { freshness: "fresh" });
// @ts-expect-error: yes or no
cache.getOrSet("key", load, { forceFresh: "yes" });
// @ts-expect-error: nothing is computed
cache.get("key", { ttl: "5m" });
// @ts-expect-error: nothing is forced without a callback
cache.lookup("key", undefined, { forceFresh: true });
// @ts-expect-error: a set waits for nobody
cache.set("key", 1, { leaseWait: 100 });
// @ts-expect-error: tags are of values, not of caches
createCache({ tags: ["a"] });

// Tags that the callback declares.
cache.getOrSet("key", async ({ tags }) => {
  expectTypeOf(tags(["a"] as const)).toEqualTypeOf<PromiseLike<void>>();
  expectTypeOf(await tags(["a"])).toEqualTypeOf<void>();
  // @ts-expect-error: a list of tags
  tags("a");
  return 1;
});

// Invalidations.
expectTypeOf(cache.invalidate({ keys: ["a"] as const })).toEqualTypeOf<Promise<Invalidated>>();
expectTypeOf(cache.expire({ tags: ["a"] as const })).toEqualTypeOf<Promise<Invalidated>>();
expectTypeOf(cache.delete("a")).toEqualTypeOf<Promise<Invalidated>>();
cache.invalidate({ keys: ["a"], tags: ["b"] });
cache.invalidate({ keys: ["a"], tags: undefined, all: false });
cache.invalidate({ all: true });
// @ts-expect-error: of what?
cache.invalidate({});
// @ts-expect-error: of nothing
cache.invalidate({ all: false });
// @ts-expect-error: a list of keys
cache.invalidate({ keys: "a" });
// @ts-expect-error: a list of tags
cache.expire({ tags: "a" });
// @ts-expect-error: there is nothing else
cache.invalidate({ keys: ["a"], prefix: "b" });

// Mutations.
expectTypeOf(cache.mutate({ keys: ["a"] }, () => 7)).toEqualTypeOf<Promise<Mutated<number>>>();
expectTypeOf(cache.mutate({ tags: ["a"] }, async () => new Date(), { timeout: "5s" })).toEqualTypeOf<
  Promise<Mutated<Date>>
>();
export async function mutated() {
  const { value, invalidation, marked } = await cache.mutate({ all: true }, () => "x" as const);
  expectTypeOf(value).toEqualTypeOf<"x">();
  expectTypeOf(marked).toBeBoolean();
  if (invalidation.state === "applied") return undefined;
  expectTypeOf(invalidation).toEqualTypeOf<NotInvalidated>();
  expectTypeOf(invalidation.error.tags).toEqualTypeOf<readonly string[]>();
  return invalidation.error.all;
}
// @ts-expect-error: of what?
cache.mutate({}, load);
// @ts-expect-error: a callback must be given
cache.mutate({ keys: ["a"] });
// @ts-expect-error: it gets nothing
cache.mutate({ keys: ["a"] }, (fill: Fill) => fill.skip());
// @ts-expect-error: there is no such option
cache.mutate({ keys: ["a"] }, load, { ttl: 5 });

// Namespaces are the same interface, bound or not.
expectTypeOf(cache.namespace("a")).toEqualTypeOf<Cache>();
expectTypeOf(cache.namespace("a").for({}, { waitUntil() {} })).toEqualTypeOf<CacheClient>();
expectTypeOf(cache.for().namespace("a").namespace("b")).toEqualTypeOf<CacheClient>();
// @ts-expect-error: a name
cache.namespace();
// @ts-expect-error: it is bound already
cache.for().namespace("a").for();

// Events are one union, told apart by their type.
export function told(event: CacheEvent): unknown {
  expectTypeOf(event.at).toBeNumber();
  expectTypeOf(event.request).toBeNumber();
  switch (event.type) {
    case "attempt":
      return expectTypeOf(event.probe).toBeBoolean();
    case "reuse":
      return expectTypeOf(event.attempt).toBeNumber();
    case "connection":
      return expectTypeOf(event.error).toEqualTypeOf<ErrorKind | null>();
    case "failure":
      return expectTypeOf(event.error).toEqualTypeOf<ErrorKind>();
    case "read":
      return expectTypeOf(event.outcome).toEqualTypeOf<Outcome>();
    case "fill":
      expectTypeOf(event.compression).toEqualTypeOf<{ readonly from: number; readonly to: number } | null>();
      return expectTypeOf(event.stored).toBeBoolean();
    case "rejected":
      expectTypeOf(event.path).toEqualTypeOf<string | null>();
      return expectTypeOf(event.reason).toEqualTypeOf<"schema" | "schema-failed">();
    case "unstorable":
      return expectTypeOf(event.path).toBeString();
    case "invalidation":
      expectTypeOf(event.tags).toEqualTypeOf<readonly string[]>();
      expectTypeOf(event.namespace).toEqualTypeOf<string | null>();
      return expectTypeOf(event.state).toEqualTypeOf<"applied" | "pending" | "refused">();
    case "lease":
      return expectTypeOf(event.outcome).toEqualTypeOf<"filled" | "taken" | "timed-out">();
    case "warning":
      return expectTypeOf(event.code).toBeString();
    // @ts-expect-error: there is no such event
    case "hit":
      return undefined;
    default:
      // Nothing is left.
      return expectTypeOf(event).toBeNever();
  }
}
export const keyOf = (event: CacheEvent) =>
  // @ts-expect-error: not every event has a key
  event.key;

// Errors.
export function codeOf(error: unknown): string | undefined {
  if (!isLeewardError(error)) return undefined;
  expectTypeOf(error).toEqualTypeOf<LeewardError>();
  expectTypeOf(error.kind).toEqualTypeOf<ErrorKind>();
  expectTypeOf(error.retryable).toBeBoolean();
  return error.code;
}

// What is looked at cannot be written.
// @ts-expect-error: a snapshot
cache.connection.attempts = 0;
// @ts-expect-error: a snapshot, too
cache.stats().hits = 0;

// The old contract.
expectTypeOf(redisCache(async () => ({ id: 7 }), ["user", 7])).toEqualTypeOf<Promise<{ id: number }>>();
expectTypeOf(redisCache(() => new Date(), ["now"] as const, { revalidate: 60 })).toEqualTypeOf<
  Promise<Date>
>();
redisCache(load, ["a"], { revalidate: false });
redisCache(load, ["a"], { revalidate: undefined });
// @ts-expect-error: seconds, or false
redisCache(load, ["a"], { revalidate: true });
// @ts-expect-error: seconds are a number
redisCache(load, ["a"], { revalidate: "60" });
// @ts-expect-error: parts are texts and numbers
redisCache(load, [null]);
// @ts-expect-error: a list of parts
createCacheKey("a");
expectTypeOf(createCacheKey(["a", 7])).toBeString();
expectTypeOf(invalidateCache("a")).toEqualTypeOf<Promise<Invalidated>>();
expectTypeOf(invalidateCache(["a", "b"] as const)).toEqualTypeOf<Promise<Invalidated>>();
// @ts-expect-error: finished keys
invalidateCache([7]);
