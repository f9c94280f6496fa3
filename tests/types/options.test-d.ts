/** Options, events, errors and the old contract, as the compiler sees them. Checked by tsc alone; nothing here runs. */
import {
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

// Invalidations.
expectTypeOf(cache.invalidate({ keys: ["a"] as const })).toEqualTypeOf<Promise<Invalidated>>();
expectTypeOf(cache.delete("a")).toEqualTypeOf<Promise<Invalidated>>();
// @ts-expect-error: of what?
cache.invalidate({});
// @ts-expect-error: a list of keys
cache.invalidate({ keys: "a" });
// @ts-expect-error: there is nothing else yet
cache.invalidate({ keys: ["a"], tags: ["b"] });

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
      return expectTypeOf(event.stored).toBeBoolean();
    case "unstorable":
      return expectTypeOf(event.path).toBeString();
    case "invalidation":
      return expectTypeOf(event.state).toEqualTypeOf<"applied" | "pending" | "refused">();
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
