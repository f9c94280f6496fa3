/** `getMany`, `redis` and budgets, as the compiler sees them. Checked by tsc alone; nothing here runs. */
import {
  createCache,
  type Fill,
  type FillMany,
  isLeewardError,
  type LoadMissing,
  type RedisError,
} from "leeward";
import * as v from "valibot";
import { expectTypeOf } from "vitest";

const cache = createCache({ budget: { subrequests: 20, connections: 2 } });
createCache({ budget: undefined });
createCache({ budget: { subrequests: undefined } });
// @ts-expect-error: a number
createCache({ budget: { subrequests: "20" } });
// @ts-expect-error: there is no such budget
createCache({ budget: { requests: 20 } });

interface User {
  id: string;
}

// A Map, or a list in the order of the missing keys.
expectTypeOf(cache.getMany(["a"], () => new Map([["a", 1]]))).resolves.toEqualTypeOf<Map<string, number>>();
expectTypeOf(cache.getMany(["a"], () => [1, undefined])).resolves.toEqualTypeOf<Map<string, number>>();
expectTypeOf(cache.getMany(["a"], async () => new Map<string, User>())).resolves.toEqualTypeOf<
  Map<string, User>
>();
expectTypeOf(
  cache.getMany(["a"], async (missing) => missing.map((id): User => ({ id }))),
).resolves.toEqualTypeOf<Map<string, User>>();
expectTypeOf(
  cache.getMany(["a"], async (): Promise<Map<string, "yes" | null>> => new Map()),
).resolves.toEqualTypeOf<Map<string, "yes" | null>>();

// Without a callback it only looks.
expectTypeOf(cache.getMany(["a"])).resolves.toEqualTypeOf<Map<string, unknown>>();
expectTypeOf(cache.getMany<User>(["a"], undefined, { tags: ["t"] })).resolves.toEqualTypeOf<
  Map<string, User>
>();

// The callback.
cache.getMany(["a"], (missing, fill) => {
  expectTypeOf(missing).toEqualTypeOf<readonly string[]>();
  expectTypeOf(fill).toEqualTypeOf<FillMany>();
  fill.ttl("5m");
  fill.swr("5m");
  fill.staleIfError("5m");
  expectTypeOf(fill.of("a")).toEqualTypeOf<Fill>();
  // @ts-expect-error: tags that the data tell are one key's
  fill.tags(["t"]);
  return missing.map(() => 1);
});
expectTypeOf(
  cache.getMany(["a"], (missing, fill) => missing.map((key): User => fill.of(key).notModified())),
).resolves.toEqualTypeOf<Map<string, User>>();
const loads: LoadMissing<User> = async () => new Map();
expectTypeOf(cache.getMany(["a"], loads)).resolves.toEqualTypeOf<Map<string, User>>();
// @ts-expect-error: a Date does not come back from JSON
cache.getMany(["a"], () => new Map([["a", new Date()]]));
// @ts-expect-error: nor in a list
cache.getMany(["a"], () => [new Date()]);
// @ts-expect-error: neither a Map nor a list
cache.getMany(["a"], () => ({ a: 1 }));
// @ts-expect-error: one key is no list
cache.getMany("a", () => [1]);

// Options.
cache.getMany(["a"], () => [1], { ttl: "5m", tags: (key) => [key], forceFresh: true });
// @ts-expect-error: it waits for no other isolate
cache.getMany(["a"], () => [1], { leaseWait: "1s" });
// @ts-expect-error: nor is anything refreshed early
cache.getMany(["a"], () => [1], { earlyRefresh: 1 });
// A schema of each value, which must fit it; without a callback the values' type comes from it.
expectTypeOf(cache.getMany(["a"], () => [1], { schema: v.number() })).resolves.toEqualTypeOf<
  Map<string, number>
>();
expectTypeOf(cache.getMany(["a"], undefined, { schema: v.number() })).resolves.toEqualTypeOf<
  Map<string, number>
>();
// @ts-expect-error: what passes it is no number
cache.getMany(["a"], () => [1], { schema: v.string() });
// @ts-expect-error: of one key each
cache.getOrSet("a", () => 1, { tags: (key: string) => [key] });

// Raw commands.
expectTypeOf(cache.redis("PING")).resolves.toEqualTypeOf<unknown>();
expectTypeOf(cache.redis<number>("INCRBY", "n", 5)).resolves.toEqualTypeOf<number>();
// @ts-expect-error: bytes cannot be said in JSON
cache.redis("SET", "k", new Uint8Array());
// @ts-expect-error: a command has a name
cache.redis();
// @ts-expect-error: which is a text
cache.redis(5);

const error: unknown = undefined;
if (isLeewardError(error) && error.name === "RedisError") {
  const failed = error as RedisError;
  expectTypeOf(failed.word).toEqualTypeOf<string | null>();
  expectTypeOf(failed.code).toEqualTypeOf<
    "redis-error" | "not-executed" | "unknown-outcome" | "unconfigured"
  >();
}
