/** What `wrap` infers, and what it refuses. Checked by tsc alone; nothing here runs. */
import { type BoundWrapped, createCache, type Fill, type Invalidated, type Wrapped } from "leeward";
import * as v from "valibot";
import { expectTypeOf } from "vitest";

const cache = createCache();

interface User {
  id: string;
  name?: string | undefined;
}
declare function loadUser(id: string, deep?: boolean): Promise<User>;
declare function search(first: number, ...words: string[]): User[];

// The function's own types, sync and async.
const userOf = cache.wrap("user", loadUser, { ttl: "5m", tags: ["users"] });
expectTypeOf(userOf).toEqualTypeOf<Wrapped<[id: string, deep?: boolean | undefined], User>>();
expectTypeOf(userOf("7")).toEqualTypeOf<Promise<User>>();
expectTypeOf(userOf("7", true)).toEqualTypeOf<Promise<User>>();
expectTypeOf(userOf.key("7")).toEqualTypeOf<string>();
expectTypeOf(userOf.invalidate("7")).toEqualTypeOf<Promise<Invalidated>>();
expectTypeOf(cache.wrap("search", search)(1, "a", "b")).toEqualTypeOf<Promise<User[]>>();
expectTypeOf(cache.wrap("none", () => null)()).toEqualTypeOf<Promise<null>>();
expectTypeOf(cache.wrap("maybe", async (id: string) => (id ? { id } : undefined))("7")).toEqualTypeOf<
  Promise<{ id: string } | undefined>
>();

// A cache's can be bound, a client's is.
expectTypeOf(userOf.for({}, { waitUntil() {} })).toEqualTypeOf<
  BoundWrapped<[id: string, deep?: boolean | undefined], User>
>();
expectTypeOf(cache.namespace("a").wrap("search", search).for()(1)).toEqualTypeOf<Promise<User[]>>();
// @ts-expect-error: it is bound already
cache.for().wrap("user", loadUser).for();

// Options are told the arguments.
cache.wrap("user", loadUser, {
  key: (id, deep) => {
    expectTypeOf(id).toEqualTypeOf<string>();
    expectTypeOf(deep).toEqualTypeOf<boolean | undefined>();
    return id;
  },
  tags: (id) => [`user:${id}`],
});
cache.wrap("user", loadUser, {
  ...{ negativeTtl: "10s", jitter: 0.1, earlyRefresh: 1, swr: 5, staleIfError: "1h", leaseWait: 0 },
});

// With a fill before its arguments.
const filled = cache.wrap(
  "filled",
  async (fill: Fill, id: string, n: number) => {
    fill.ttl("5m");
    return `${id}${n}`;
  },
  { fill: true, tags: (id, n) => [`${id}${n.toFixed()}`] },
);
expectTypeOf(filled).toEqualTypeOf<Wrapped<[id: string, n: number], string>>();

// A schema must fit what the function gives, and says nothing of its type.
const user = v.object({ id: v.string(), name: v.optional(v.string()) });
expectTypeOf(cache.wrap("user", loadUser, { schema: user })("7")).toEqualTypeOf<Promise<User>>();
cache.for().wrap("filled", async (_: Fill, id: string) => id, { fill: true, schema: v.string() });
// @ts-expect-error: it does not
cache.wrap("user", loadUser, { schema: v.number() });
// @ts-expect-error: nor here
cache.for().wrap("filled", async (_: Fill, id: string) => id, { fill: true, schema: v.number() });

// @ts-expect-error: an argument is missing
userOf();
// @ts-expect-error: a number is no id
userOf(7);
// @ts-expect-error: the arguments are the function's
userOf.invalidate({ keys: ["7"] });
// @ts-expect-error: a name must be given
cache.wrap(loadUser);
// @ts-expect-error: a Date would come back as a text
cache.wrap("now", () => new Date());
// @ts-expect-error: it would get its argument first
cache.wrap("filled", async (fill: Fill) => fill.signal.aborted, { fill: "yes" });
// @ts-expect-error: a key is a text
cache.wrap("user", loadUser, { key: (id) => [id] });
// @ts-expect-error: a signal is one call's
cache.wrap("user", loadUser, { signal: AbortSignal.timeout(5) });
// @ts-expect-error: there is no such option
cache.wrap("user", loadUser, { tll: 5 });
