/**
 * Every operation of a client, for the tables of failures: **one line each**, and whoever adds an operation adds a line. The
 * exact costs are what Redis sees while nothing fails: `fault-healthy.test.ts` measures them, all others rely on the rest.
 */
import type { Call, Targets } from "./visit.ts";

/** Must never be found in an event, an error's message or a line of the log. */
export const SECRET = "planted-secret";

/** As `wrap` makes them, of a name and an argument: a wrapped function's entry is that of all others. */
export const KEY = `${SECRET}:key`;
export const ALSO = `${SECRET}-also`;
export const TAG = `${SECRET}-tag`;
export const LATE_TAG = `${SECRET}-late`;
export const SPACE = `${SECRET}-space`;
/** What is stored before, and what the callback gives, or a `set` stores. */
export const OLD = `${SECRET}-old`;
export const FRESH = `${SECRET}-fresh`;

/** What an operation costs: callbacks, HTTP requests, commands. */
export type Cost = readonly [callbacks: number, requests: number, commands: number];

/** In each of `MODES`. */
export type Costs = readonly [Cost, Cost, Cost, Cost];

/** How often at once, and on what. */
export const MODES = [
  { warm: false, count: 1 },
  { warm: true, count: 1 },
  { warm: false, count: 20 },
  { warm: true, count: 20 },
] as const;

export interface Operation {
  name: string;
  call: Call;
  /**
   * What it gives: a `read` the callback's value, or what is stored; a `look` what is stored; a `write` that it is applied; a
   * `change` that, and its callback's value; a `raw` command, which counts up, how often it has been executed.
   */
  kind: "read" | "look" | "write" | "change" | "raw";
  /** What is stored is stale when it is warm. */
  stale?: true;
  /** Stale may be served, also after an `expire`. */
  serves?: "stale";
  /** By a cache that holds values itself: what is stored when it is warm is held, too. */
  l1?: true;
  /** On the cache of the old contract, of which there is one in an isolate. */
  compat?: true;
  costs: Costs;
}

type Rest = Omit<Call, "op" | "key"> & Partial<Pick<Operation, "stale" | "serves" | "l1" | "compat">>;

function line(kind: Operation["kind"]) {
  return (name: string, op: Call["op"], rest: Rest, ...costs: [...Costs]): Operation => {
    const { stale, serves, l1, compat, ...call } = rest;
    const flags = {
      ...{ ...(stale && { stale }), ...(serves && { serves }) },
      ...{ ...(l1 && { l1 }), ...(compat && { compat }) },
    };
    const given =
      kind === "read" || kind === "change"
        ? { load: { value: FRESH } }
        : op === "set" || op === "update"
          ? { value: FRESH }
          : {};
    return { name, kind, call: { op, key: KEY, ...given, ...call }, costs, ...flags };
  };
}

const read = line("read");
const look = line("look");
const write = line("write");
const change = line("change");
const raw = line("raw");

const keys: Rest = { what: { keys: [KEY] } };
const tags: Rest = { what: { tags: [TAG] } };
const all: Rest = { what: { all: true } };
const held: Rest = { l1: true };
const late = { load: { value: FRESH, tags: { names: [LATE_TAG], awaited: true } } };
const either = { options: { swr: 60_000, staleIfError: 60_000 }, stale: true, serves: "stale" } as const;

/* biome-ignore format: a table */
export const OPERATIONS: readonly Operation[] = [
  read("getOrSet", "getOrSet", {}, [1, 2, 2], [0, 1, 1], [1, 2, 2], [0, 20, 20]),
  read("getOrSet, with tags", "getOrSet", { options: { tags: [TAG] } }, [1, 2, 2], [0, 1, 1], [1, 2, 2], [0, 20, 20]),
  read("getOrSet, with a stale entry", "getOrSet", either, [1, 2, 2], [1, 2, 2], [1, 2, 2], [1, 21, 21]),
  read("getOrSet, waiting for a lease", "getOrSet", { options: { leaseWait: 1000 } }, [1, 2, 2], [0, 1, 1], [1, 2, 2], [0, 20, 20]),
  read("getOrSet, forced to be fresh", "getOrSet", { options: { forceFresh: true } }, [1, 2, 2], [1, 2, 2], [1, 2, 2], [1, 2, 2]),
  read("getOrSet, strict", "getOrSet", { options: { freshness: "strict" } }, [1, 2, 2], [0, 1, 1], [1, 2, 2], [0, 20, 20]),
  read("getOrSet, in a namespace", "getOrSet", { namespace: [SPACE] }, [1, 2, 2], [0, 1, 1], [1, 2, 2], [0, 20, 20]),
  read("getOrSet, a tag from the callback", "getOrSet", late, [1, 3, 3], [0, 1, 1], [1, 3, 3], [0, 20, 20]),
  read("lookup", "lookup", {}, [1, 2, 2], [0, 1, 1], [1, 2, 2], [0, 20, 20]),
  look("lookup, without a callback", "look", {}, [0, 1, 1], [0, 1, 1], [0, 20, 20], [0, 20, 20]),
  look("get", "get", {}, [0, 1, 1], [0, 1, 1], [0, 20, 20], [0, 20, 20]),
  look("has", "has", { value: OLD }, [0, 1, 1], [0, 1, 1], [0, 20, 20], [0, 20, 20]),
  // Nobody takes part in what another call for many loads: without the force those that come later may be hits.
  read("getMany, forced to be fresh", "getMany", { also: [ALSO], options: { forceFresh: true } }, [1, 2, 4], [1, 2, 4], [20, 40, 80], [20, 40, 80]),
  look("getMany, without a callback", "lookMany", { also: [ALSO] }, [0, 1, 2], [0, 1, 2], [0, 20, 40], [0, 20, 40]),
  write("set", "set", {}, [0, 2, 2], [0, 2, 2], [0, 40, 40], [0, 40, 40]),
  write("set, after a read", "update", {}, [0, 2, 2], [0, 2, 2], [0, 40, 40], [0, 40, 40]),
  write("delete", "delete", {}, [0, 1, 1], [0, 1, 1], [0, 20, 20], [0, 20, 20]),
  write("invalidate keys", "invalidate", keys, [0, 1, 1], [0, 1, 1], [0, 20, 20], [0, 20, 20]),
  write("invalidate tags", "invalidate", tags, [0, 1, 1], [0, 1, 1], [0, 20, 20], [0, 20, 20]),
  write("invalidate all", "invalidate", all, [0, 1, 1], [0, 1, 1], [0, 20, 20], [0, 20, 20]),
  write("invalidate all of a namespace", "invalidate", { ...all, namespace: [SPACE] }, [0, 1, 1], [0, 1, 1], [0, 20, 20], [0, 20, 20]),
  write("expire keys", "expire", keys, [0, 1, 1], [0, 1, 1], [0, 20, 20], [0, 20, 20]),
  write("expire tags", "expire", tags, [0, 1, 1], [0, 1, 1], [0, 20, 20], [0, 20, 20]),
  write("expire all", "expire", all, [0, 1, 1], [0, 1, 1], [0, 20, 20], [0, 20, 20]),
  change("mutate keys", "mutate", keys, [1, 2, 2], [1, 2, 2], [20, 40, 40], [20, 40, 40]),
  change("mutate tags", "mutate", tags, [1, 2, 2], [1, 2, 2], [20, 40, 40], [20, 40, 40]),
  change("mutate all", "mutate", all, [1, 2, 2], [1, 2, 2], [20, 40, 40], [20, 40, 40]),
  read("a wrapped function", "wrapped", {}, [1, 2, 2], [0, 1, 1], [1, 2, 2], [0, 20, 20]),
  write("a wrapped function's invalidate", "invalidateWrapped", {}, [0, 1, 1], [0, 1, 1], [0, 20, 20], [0, 20, 20]),
  raw("redis", "redis", {}, [0, 1, 1], [0, 1, 1], [0, 20, 20], [0, 20, 20]),
  read("getOrSet, with l1", "getOrSet", held, [1, 2, 2], [0, 0, 0], [1, 2, 2], [0, 0, 0]),
  look("lookup, without a callback, with l1", "look", held, [0, 1, 1], [0, 0, 0], [0, 20, 20], [0, 0, 0]),
  write("set, with l1", "set", held, [0, 2, 2], [0, 2, 2], [0, 40, 40], [0, 40, 40]),
  // What follows from a value that was held is not stored; the first of many ends it, and the others read, each after a drop.
  write("set, after a read, with l1", "update", held, [0, 2, 2], [0, 1, 1], [0, 40, 40], [0, 39, 58]),
  write("delete, with l1", "delete", held, [0, 1, 1], [0, 1, 1], [0, 20, 20], [0, 20, 20]),
  write("invalidate tags, with l1", "invalidate", { ...tags, ...held }, [0, 1, 1], [0, 1, 1], [0, 20, 20], [0, 20, 20]),
  write("expire all, with l1", "expire", { ...all, ...held }, [0, 1, 1], [0, 1, 1], [0, 20, 20], [0, 20, 20]),
  change("mutate keys, with l1", "mutate", { ...keys, ...held }, [1, 2, 2], [1, 2, 2], [20, 40, 40], [20, 40, 40]),
  read("redisCache", "redisCache", { compat: true }, [1, 2, 2], [0, 1, 1], [1, 2, 2], [0, 20, 20]),
  write("invalidateCache", "invalidateCache", { compat: true }, [0, 1, 1], [0, 1, 1], [0, 20, 20], [0, 20, 20]),
];

/** What an operation ends, as its error names it. */
export function targetsOf({ call }: Operation): Targets {
  return call.what ?? { keys: [KEY] };
}

/** Whether what was stored before must not be served any more when it is applied. */
export function ends({ kind, call }: Operation): boolean {
  return (kind === "write" || kind === "change") && call.op !== "expire";
}
