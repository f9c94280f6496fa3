/** What a read's schema says of its value. Checked by tsc alone; nothing here runs. */
import { type Checked, createCache, type Lookup, type ReadOptions, type StandardSchemaV1 } from "leeward";
import * as v from "valibot";
import { expectTypeOf } from "vitest";
import * as z from "zod";

const cache = createCache();

interface User {
  name: string;
  age?: number | undefined;
}
declare function loadUser(): Promise<User>;
const schema = z.object({ name: z.string(), age: z.number().optional() });

// The value's type comes from the callback, and the schema must fit it.
expectTypeOf(cache.getOrSet("key", loadUser, { schema })).toEqualTypeOf<Promise<User>>();
expectTypeOf(cache.lookup("key", loadUser, { schema, ttl: "1m" })).toEqualTypeOf<Promise<Lookup<User>>>();
expectTypeOf(cache.getOrSet("key", () => 7 as number, { schema: v.number() })).toEqualTypeOf<
  Promise<number>
>();
// @ts-expect-error: what passes it is no User
cache.getOrSet("key", loadUser, { schema: z.object({ id: z.string() }) });
// @ts-expect-error: a name that is missing passes it, and would be missing in the value
cache.getOrSet("key", loadUser, { schema: z.object({ name: z.string().default("nobody") }) });
// @ts-expect-error: the text passes it, and is what would be given
cache.getOrSet("key", async () => 7 as number, { schema: v.pipe(v.string(), v.transform(Number)) });
// @ts-expect-error: no schema
cache.getOrSet("key", loadUser, { schema: { validate: () => true } });

// Without a callback it comes from the schema: what passes it, not what it makes of that.
expectTypeOf(cache.get("key", { schema })).toEqualTypeOf<
  Promise<{ name: string; age?: number | undefined } | undefined>
>();
expectTypeOf(cache.get("key", { schema: v.pipe(v.string(), v.transform(Number)) })).toEqualTypeOf<
  Promise<string | undefined>
>();
expectTypeOf(cache.lookup("key", undefined, { schema: z.string() })).toEqualTypeOf<
  Promise<Lookup<string | undefined>>
>();
expectTypeOf(cache.get<User>("key", { schema })).toEqualTypeOf<Promise<User | undefined>>();

// Options that are kept in a variable need not name the value's type.
declare const options: ReadOptions;
expectTypeOf(cache.getOrSet("key", loadUser, options)).toEqualTypeOf<Promise<User>>();
declare const checked: ReadOptions & Checked<User>;
expectTypeOf(cache.getOrSet("key", loadUser, checked)).toEqualTypeOf<Promise<User>>();

// The types of other makers are those of the standard.
expectTypeOf(schema).toExtend<StandardSchemaV1<User>>();
expectTypeOf(v.object({ name: v.string() })).toExtend<StandardSchemaV1<User>>();
// @ts-expect-error: a write stores what it is given
cache.set("key", "value", { schema: z.string() });

// The build, by name or by binding.
createCache({ version: "v1" });
createCache({ version: { binding: "CF_VERSION_METADATA" }, compress: 4096, maxValueBytes: 1_000_000 });
createCache({ compress: false });
// @ts-expect-error: no threshold
createCache({ compress: true });
// @ts-expect-error: no binding
createCache({ version: {} });
