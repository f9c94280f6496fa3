/** Which values the compiler lets through, and what it infers. Checked by tsc alone; nothing here runs. */
import { createCache, type Load, type Lookup, type Storable, type Stored } from "leeward";
import { expectTypeOf } from "vitest";

const cache = createCache();

interface Address {
  street: string;
  flat?: number;
}
interface User {
  readonly id: string;
  name?: string | undefined;
  address: Address | null;
  tags: readonly string[];
  scores: Record<string, number>;
}
declare const user: User;
declare function loadUser(id: string): Promise<User>;

// What a callback gives is what comes back: interfaces, sync and async.
expectTypeOf(cache.getOrSet("key", () => loadUser("7"))).toEqualTypeOf<Promise<User>>();
expectTypeOf(cache.getOrSet("key", async () => await loadUser("7"))).toEqualTypeOf<Promise<User>>();
expectTypeOf(cache.getOrSet("key", () => user)).toEqualTypeOf<Promise<User>>();
expectTypeOf(cache.getOrSet<User>("key", async () => user)).toEqualTypeOf<Promise<User>>();
expectTypeOf(cache.for().getOrSet("key", () => loadUser("7"))).toEqualTypeOf<Promise<User>>();
expectTypeOf(cache.getOrSet("key", async () => [user])).toEqualTypeOf<Promise<User[]>>();
expectTypeOf(cache.getOrSet("key", async () => (user.name ? user : null))).toEqualTypeOf<
  Promise<User | null>
>();
expectTypeOf(cache.getOrSet("key", async () => (user.name ? user : undefined))).toEqualTypeOf<
  Promise<User | undefined>
>();

// The expectations above can fail.
// @ts-expect-error: it is a User
expectTypeOf(cache.getOrSet("key", () => loadUser("7"))).toEqualTypeOf<Promise<string>>();
// @ts-expect-error: a User has no such member
cache.getOrSet("key", () => loadUser("7")).then(({ nick }) => nick);

// Simple values.
expectTypeOf(cache.getOrSet("key", (): string => "text")).toEqualTypeOf<Promise<string>>();
expectTypeOf(cache.getOrSet("key", (): number => 7)).toEqualTypeOf<Promise<number>>();
expectTypeOf(cache.getOrSet("key", async (): Promise<boolean> => true)).toEqualTypeOf<Promise<boolean>>();
expectTypeOf(cache.getOrSet("key", () => null)).toEqualTypeOf<Promise<null>>();
expectTypeOf(cache.getOrSet("key", () => undefined)).toEqualTypeOf<Promise<undefined>>();
expectTypeOf(cache.getOrSet("key", (): [string, number] => ["a", 1])).toEqualTypeOf<
  Promise<[string, number]>
>();

// Literals, unions, brands and enums keep their types.
type Id = string & { readonly brand: unique symbol };
declare const id: Id;
declare const shape: { kind: "circle"; r: number } | { kind: "square"; side: number };
expectTypeOf(cache.getOrSet("key", () => shape)).toEqualTypeOf<Promise<typeof shape>>();
expectTypeOf(cache.getOrSet("key", async () => shape)).toEqualTypeOf<Promise<typeof shape>>();
expectTypeOf(cache.lookup("key", () => shape)).toEqualTypeOf<Promise<Lookup<typeof shape>>>();
expectTypeOf(cache.getOrSet("key", (): Id => id)).toEqualTypeOf<Promise<Id>>();
cache.set("key", shape);

// What is not known is let through: `Response.json()` gives `any` here and `unknown` on Workers.
declare const response: { any(): Promise<ReturnType<typeof JSON.parse>>; unknown(): Promise<unknown> };
expectTypeOf(cache.getOrSet("key", () => response.any())).resolves.toBeAny();
expectTypeOf(cache.getOrSet("key", () => response.unknown())).toEqualTypeOf<Promise<unknown>>();

// Bytes, as the whole value.
declare const bytes: Uint8Array;
declare const buffer: ArrayBuffer;
expectTypeOf(cache.getOrSet("key", () => bytes)).toEqualTypeOf<Promise<Uint8Array>>();
expectTypeOf(cache.getOrSet("key", async () => buffer)).toEqualTypeOf<Promise<ArrayBuffer>>();
expectTypeOf(
  cache.getOrSet("key", () => (bytes.length ? bytes : null)),
).resolves.toEqualTypeOf<Uint8Array | null>();

// Refused: what would come back as something else.
class Money {
  readonly cents: number;
  constructor(cents: number) {
    this.cents = cents;
  }
  plus(other: Money): Money {
    return new Money(this.cents + other.cents);
  }
}
// @ts-expect-error: a Date
cache.getOrSet("key", () => ({ at: new Date() }));
// @ts-expect-error: a Date, deep in it
cache.getOrSet("key", async () => ({ list: [{ deep: { at: new Date() } }] }));
// @ts-expect-error: a Date as the whole value
cache.getOrSet("key", () => new Date());
// @ts-expect-error: an optional Date
cache.getOrSet("key", (): { at?: Date } => ({}));
// @ts-expect-error: a Map
cache.getOrSet("key", () => new Map([["a", 1]]));
// @ts-expect-error: a Set
cache.getOrSet("key", () => ({ all: new Set([1]) }));
// @ts-expect-error: a bigint
cache.getOrSet("key", () => 5n);
// @ts-expect-error: a bigint in it
cache.getOrSet("key", () => ({ big: 5n }));
// @ts-expect-error: a class instance with methods
cache.getOrSet("key", () => new Money(5));
// @ts-expect-error: a class instance in it
cache.getOrSet("key", () => ({ price: new Money(5) }));
// @ts-expect-error: bytes that are not the whole value
cache.getOrSet("key", () => ({ bytes }));
// @ts-expect-error: a buffer that is not the whole value
cache.getOrSet("key", () => [buffer]);
// @ts-expect-error: other views of bytes
cache.getOrSet("key", () => new Float64Array(2));
// @ts-expect-error: a function
cache.getOrSet("key", () => () => 1);
// @ts-expect-error: a symbol
cache.getOrSet("key", () => ({ s: Symbol("x") }));
// @ts-expect-error: a promise in it
cache.getOrSet("key", () => ({ later: Promise.resolve(1) }));
// @ts-expect-error: one arm of a union
cache.getOrSet("key", () => (user.name ? user : new Date()));
// @ts-expect-error: the same for lookup
cache.lookup("key", () => ({ at: new Date() }));
// @ts-expect-error: the same for set
cache.set("key", { at: new Date() });
// @ts-expect-error: the same where the type is named
cache.getOrSet<{ at: Date }>("key", async () => ({ at: new Date() }));

// The rest of the client.
expectTypeOf(cache.set("key", user)).toEqualTypeOf<Promise<Stored>>();
expectTypeOf(cache.lookup("key", () => loadUser("7"))).toEqualTypeOf<Promise<Lookup<User>>>();
expectTypeOf(cache.lookup<User>("key")).toEqualTypeOf<Promise<Lookup<User | undefined>>>();
expectTypeOf(cache.lookup("key")).resolves.toHaveProperty("value").toBeUnknown();
expectTypeOf(cache.get<User>("key")).toEqualTypeOf<Promise<User | undefined>>();
expectTypeOf(cache.get("key")).toEqualTypeOf<Promise<unknown>>();
// @ts-expect-error: there may be none
cache.get<User>("key").then((found) => found.id);

// A helper that is generic itself says what it stores.
function cached<T>(key: string, load: Load<T> & Load<Storable<T>>): Promise<T> {
  return cache.getOrSet(key, load);
}
expectTypeOf(cached("key", () => loadUser("7"))).toEqualTypeOf<Promise<User>>();
function unchecked<T>(load: () => Promise<T>): Promise<T> {
  // @ts-expect-error: one that does not say it
  return cache.getOrSet("key", load);
}
unchecked(async () => 1);
// @ts-expect-error: refused through the helper, too
cached("key", () => new Date());
