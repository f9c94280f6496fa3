/**
 * `wrap`: a function whose results are stored under its name and its arguments. Nothing is looked at before it is called: it is made
 * at module scope, where nothing may throw.
 */
import type { BoundWrapped, CacheClient, Load } from "./index.d.ts";
import { checkRecord, typeName } from "./type-name.ts";
import { encode, isFlaw } from "./value.ts";

type Args = readonly unknown[];

interface Options {
  readonly key?: unknown;
  readonly tags?: unknown;
  readonly fill?: unknown;
}

/** How it is stored; the rest are options of a read, and checked there. */
interface Plan {
  readonly key: ((...args: Args) => unknown) | undefined;
  readonly fill: boolean;
  readonly tags: unknown;
  readonly rest: object;
}

export function wrap(
  client: CacheClient,
  name: unknown,
  fn: unknown,
  options: unknown,
): BoundWrapped<unknown[], unknown> {
  const key = (...args: Args) => keyOf(name, args, planOf(options));
  const call = async (...args: Args) => {
    if (typeof fn !== "function")
      throw new TypeError(`what is wrapped must be a function, got ${typeName(fn)}`);
    const plan = planOf(options);
    const tags: unknown = typeof plan.tags === "function" ? plan.tags(...args) : plan.tags;
    const load: Load<unknown> = (fill) => fn(...(plan.fill ? [fill, ...args] : args));
    return await client.getOrSet(keyOf(name, args, plan), load as Load<never>, {
      ...plan.rest,
      tags: tags as string[],
    });
  };
  const invalidate = async (...args: Args) => await client.invalidate({ keys: [key(...args)] });
  return Object.assign(call, { key, invalidate });
}

function planOf(options: unknown): Plan {
  if (options !== undefined) checkRecord(options);
  const { key, fill, tags, ...rest } = (options ?? {}) as Options;
  if (key !== undefined && typeof key !== "function") {
    throw new TypeError(`option "key" must be a function, got ${typeName(key)}`);
  }
  if (fill !== undefined && typeof fill !== "boolean") {
    throw new TypeError(`option "fill" must be true or false, got ${typeName(fill)}`);
  }
  return { key: key as Plan["key"], fill: fill ?? false, tags, rest };
}

/** The name ends at the first ":", so that no two names meet, whatever the arguments are. */
function keyOf(name: unknown, args: Args, { key }: Plan): string {
  if (typeof name !== "string" || name === "") {
    throw new TypeError(
      `a function must be named by a text, got ${name === "" ? "an empty one" : typeName(name)}`,
    );
  }
  const text = key === undefined ? textOf(name, args) : key(...args);
  if (typeof text !== "string") {
    throw new TypeError(`option "key" must give a string, got ${typeName(text)}`);
  }
  return `${name.replace(/[%:]/g, encodeURIComponent)}:${text}`;
}

/** The arguments as JSON, if that gives them back exactly: two calls that differ must not meet. */
function textOf(name: string, args: Args): string {
  const refuse = (where: string, why: string) => {
    const advice = 'name it by the option "key"';
    return new TypeError(
      `the arguments of ${JSON.stringify(name)} cannot be a key: ${why}, at ${where}; ${advice}`,
    );
  };
  const encoded = encode(args);
  if (isFlaw(encoded)) throw refuse(encoded.path.replace("$", "arguments"), encoded.reason);
  // As a value these two are tolerated.
  return JSON.stringify(args, (at, value: unknown) => {
    if (value === undefined) throw refuse(JSON.stringify(at), "undefined has no JSON");
    if (Object.is(value, -0)) throw refuse(JSON.stringify(at), "-0 would come back as 0");
    return value;
  });
}
