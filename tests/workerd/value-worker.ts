/**
 * The worker for values: they are made, stored, read back and compared inside the isolate, since JSON between the test and
 * the worker could not carry them.
 */
import { type CacheEvent, createCache, type Lookup } from "leeward";

interface Context {
  waitUntil(promise: Promise<unknown>): void;
}

class Point {
  x = 1;
}

const events: CacheEvent[] = [];
const cache = createCache({ onEvent: (event) => events.push(event) });
const bytes = (length: number) => Uint8Array.from({ length }, (_, i) => i % 256);

/** Those that come back as they went in. */
const STORABLE: Record<string, () => unknown> = {
  undefined: () => undefined,
  null: () => null,
  true: () => true,
  false: () => false,
  zero: () => 0,
  fraction: () => 0.1 + 0.2,
  largest: () => Number.MAX_VALUE,
  smallest: () => Number.MIN_VALUE,
  safest: () => Number.MAX_SAFE_INTEGER,
  "empty text": () => "",
  text: () => 'quotes " and \\ and \n, and </script>, and \u2028',
  unicode: () => "Grüße, 世界, 👩‍👩‍👧‍👦, \u0000, \uFFFF, e\u0301",
  "a lone surrogate": () => "\ud800 and \udfff",
  "a lone surrogate as name": () => ({ "\ud800": 1 }),
  "all control characters": () => String.fromCharCode(...Array.from({ length: 160 }, (_, i) => i)),
  "a long text": () => "ä€😀".repeat(40_000),
  list: () => [1, "two", null, [], {}, [[[]]]],
  record: () => ({ a: { b: { c: [1, { d: null }] } }, "": "no name", "a b": 1, 1: "one" }),
  "__proto__ as name": () => JSON.parse('{"__proto__":{"polluted":true},"constructor":1,"toString":2}'),
  "no prototype": () => Object.assign(Object.create(null), { a: 1 }),
  "all bytes": () => bytes(256),
  "no bytes": () => new Uint8Array(),
  "a part of a buffer": () => bytes(256).subarray(10, 20),
  "1 MB of bytes": () => bytes(1_000_000),
  "all bytes in a buffer": () => bytes(256).buffer,
  "no bytes in a buffer": () => new ArrayBuffer(0),
  "an escape that looks like an entry": () => '["lw1",1,"g"]',
};

/** Those that do not, and the place in them that is named. */
const UNSTORABLE: Record<string, [make: () => unknown, path: string]> = {
  Date: [() => ({ user: { born: new Date(0) } }), "$.user.born"],
  Map: [() => [1, new Map()], "$[1]"],
  Set: [() => new Set(), "$"],
  NaN: [() => ({ "a b": [0, Number.NaN] }), '$["a b"][1]'],
  Infinity: [() => Number.POSITIVE_INFINITY, "$"],
  bigint: [() => ({ n: 2n ** 64n }), "$.n"],
  "class instance": [() => ({ at: new Point() }), "$.at"],
  function: [() => ({ f: () => 1 }), "$.f"],
  symbol: [() => [Symbol("s")], "$[0]"],
  "undefined in a list": [() => [1, undefined], "$[1]"],
  "a gap in a list": [() => Object.assign([], { 1: 1 }), "$"],
  "bytes inside": [() => ({ b: new Uint8Array(1) }), "$.b"],
  "a view of another type": [() => new Float64Array(1), "$"],
  RegExp: [() => /x/, "$"],
  Error: [() => ({ e: new Error("x") }), "$.e"],
  cycle: [
    () => {
      const self: { self?: unknown } = {};
      self.self = self;
      return self;
    },
    "$",
  ],
};

/** Equal in kind, names and bytes, and not the same object. */
function equal(a: unknown, b: unknown): boolean {
  if (typeof a !== "object" || a === null || typeof b !== "object" || b === null) return Object.is(a, b);
  if (a === b || Array.isArray(a) !== Array.isArray(b)) return false;
  if (a instanceof ArrayBuffer)
    return b instanceof ArrayBuffer && equal(new Uint8Array(a), new Uint8Array(b));
  if (a instanceof Uint8Array) {
    return b instanceof Uint8Array && a.length === b.length && a.every((byte, i) => byte === b[i]);
  }
  const names = Object.keys(a);
  if (names.length !== Object.keys(b).length) return false;
  const [left, right] = [a as Record<string, unknown>, b as Record<string, unknown>];
  return names.every((name) => Object.hasOwn(right, name) && equal(left[name], right[name]));
}

async function hit(
  client: typeof cache | ReturnType<typeof cache.for>,
  key: string,
): Promise<Lookup<unknown>> {
  for (let i = 0; i < 400; i += 1) {
    const found = await client.lookup(key);
    if (found.outcome === "hit") return found;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error(`${key} is never a hit`);
}

export default {
  async fetch(request: Request, env: unknown, ctx: Context): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    const client = cache.for(env, ctx);
    const name = searchParams.get("name") ?? "";
    if (pathname === "/names") {
      return Response.json({ storable: Object.keys(STORABLE), unstorable: Object.keys(UNSTORABLE) });
    }
    if (pathname === "/storable") {
      const make = STORABLE[name] as () => never;
      const filled = await client.getOrSet(`filled ${name}`, make);
      const set = await client.set(`set ${name}`, make());
      const read = [await hit(client, `filled ${name}`), await hit(client, `set ${name}`)];
      const got = await client.get(`set ${name}`);
      return Response.json({
        filled: Object.is(filled, make()) || equal(filled, make()),
        set,
        read: read.map(({ value }) => equal(value, make())),
        got: equal(got, make()),
        polluted: "polluted" in {},
      });
    }
    if (pathname === "/unstorable") {
      const [make, path] = UNSTORABLE[name] as [() => never, string];
      const made = make();
      const given = await client.lookup(`unstorable ${name}`, () => made);
      const refused = await client.set(`unstorable ${name}`, made).then(
        () => "stored",
        (error: unknown) => String(error),
      );
      const told = events.filter((event) => event.type === "unstorable").at(-1);
      return Response.json({ same: given.value === made, stored: given.stored, refused, told, path });
    }
    // One callback, two callers in one request: each has its own copy.
    const [a, b] = await Promise.all([1, 2].map(() => client.getOrSet("shared", () => ({ list: [1] }))));
    a?.list.push(2);
    return Response.json({ separate: a !== b, b });
  },
};
