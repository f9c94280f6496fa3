/**
 * What an isolate has once, however many copies of the package are bundled and however many caches are made: the instance of
 * the core, and through it the connections. Made on first use.
 */
import { type Core, instantiate } from "leeward-glue";
import { currentHost } from "./host.ts";
import { Kept } from "./kept.ts";
import { L1 } from "./l1.ts";
import { SharedTable } from "./shared.ts";
import { causeOf, Failures, PAUSE } from "./trap.ts";

/** Put in by the build from package.json: copies of different versions do not share. */
declare const LEEWARD_VERSION: string;

/** What the core exports. */
export type Exports = ReturnType<typeof instantiate>;

/** One instance of the core and what belongs to it. */
export interface Instance {
  readonly exports: Exports;
  readonly core: Core;
  readonly shared: SharedTable;
  /** Connections, by endpoint and credentials. */
  readonly connections: Map<string, Link>;
  /** The same, by the core's numbers. */
  readonly links: Link[];
  /** What this isolate holds of values. */
  readonly l1: L1;
  /** It has trapped: it is not asked for anything any more. */
  dead: boolean;
}

/** A connection as the driver sees it. */
export interface Link {
  readonly id: number;
  readonly instance: Instance;
  readonly url: string;
  readonly token: string;
  /** What outlives the instance; `undefined`: it is disabled. */
  readonly kept: Kept | undefined;
}

interface Isolate {
  instance: Instance | undefined;
  requests: number;
  /** Why there is no instance: told once for each cache, and not tried again at each call. */
  broken: { readonly message: string; readonly until: number } | undefined;
  readonly failures: Failures;
  /** What outlives instances, by endpoint and credentials. */
  readonly kept: Map<string, Kept>;
}

/** As many connections as an instance has room for. */
const MAX_KEPT = 64;

const isolates = globalThis as unknown as Record<symbol, Isolate | undefined>;
const PLACE = Symbol.for(`leeward@${LEEWARD_VERSION}`);

function isolate(): Isolate {
  let known = isolates[PLACE];
  if (known === undefined) {
    known = {
      instance: undefined,
      requests: 0,
      broken: undefined,
      failures: new Failures(),
      kept: new Map(),
    };
    isolates[PLACE] = known;
  }
  return known;
}

/** The number of a new request context. */
export function nextRequest(): number {
  const here = isolate();
  here.requests = (here.requests + 1) >>> 0 || 1;
  return here.requests;
}

/** Whether there has been any use for an instance yet. */
export function hasBegun(): boolean {
  return isolate().instance !== undefined;
}

/** Whether there is no instance, since those before have failed. */
export function isPaused(): boolean {
  const { instance, broken } = isolate();
  return instance?.dead === true && broken !== undefined;
}

/** What is kept of a connection, whatever becomes of instances. */
export function keptOf(connection: string): Kept {
  const { kept } = isolate();
  let known = kept.get(connection);
  if (known === undefined) {
    if (kept.size >= MAX_KEPT) throw new Error("there are too many connections in this isolate");
    known = new Kept();
    kept.set(connection, known);
  }
  return known;
}

/** An instance has failed: it is not asked for anything any more. Gives what is to be told of it, if that is news. */
export function leave(failed: Instance, error: unknown): { cause: string; paused: boolean } | undefined {
  if (failed.dead) return undefined;
  failed.dead = true;
  const cause = causeOf(failed.exports, error);
  // Else the collector would have it freed, long after, and fail over it where nobody can catch that.
  (failed.core as unknown as { __destroy_into_raw(): number }).__destroy_into_raw();
  const here = isolate();
  const now = Date.now();
  const paused = here.failures.tooMany(now);
  if (paused) {
    here.broken = {
      message: `the core has failed again and again, the last time: ${cause}`,
      until: now + PAUSE,
    };
  }
  return { cause, paused };
}

/** The instance; makes one if needed. Throws an Error that says why there is none. */
export function instance(): Instance {
  const here = isolate();
  if (here.instance !== undefined && !here.instance.dead) return here.instance;
  const now = Date.now();
  const pause = here.broken === undefined ? 0 : here.broken.until - now;
  // A longer one than there can be: the clock has gone backwards.
  if (here.broken !== undefined && pause > 0 && pause <= PAUSE) throw new Error(here.broken.message);
  try {
    const exports = instantiate(currentHost().module());
    const [a = 0, b = 0, c = 0, d = 0] = crypto.getRandomValues(new Uint32Array(4));
    const made: Instance = {
      exports,
      core: new exports.Core(a, b, c, d),
      shared: new SharedTable(),
      connections: new Map(),
      links: [],
      l1: new L1(),
      dead: false,
    };
    here.instance = made;
    here.broken = undefined;
    return made;
  } catch (error) {
    const message = error instanceof Error ? error.message : "the wasm module cannot be instantiated";
    here.broken = { message, until: now + PAUSE };
    throw error;
  }
}
