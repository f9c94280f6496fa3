/**
 * What an isolate has once, however many copies of the package are bundled and however many caches are made: the instance of
 * the core, and through it the connections. Made on first use.
 */
import { type Core, instantiate } from "leeward-glue";
import { currentHost } from "./host.ts";
import { SharedTable } from "./shared.ts";

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
  /** It has trapped: it is not asked for anything any more. */
  dead: boolean;
}

/** A connection as the driver sees it. */
export interface Link {
  readonly id: number;
  readonly url: string;
  readonly token: string;
}

interface Isolate {
  instance: Instance | undefined;
  requests: number;
  /** Why there is no instance: told once for each cache, and not tried again at each call. */
  broken: { readonly message: string; readonly until: number } | undefined;
}

/** After a failed start the next is tried so much later, ms. */
const RETRY = 10_000;

const isolates = globalThis as unknown as Record<symbol, Isolate | undefined>;

function isolate(): Isolate {
  const key = Symbol.for(`leeward@${LEEWARD_VERSION}`);
  let known = isolates[key];
  if (known === undefined) {
    known = { instance: undefined, requests: 0, broken: undefined };
    isolates[key] = known;
  }
  return known;
}

/** The number of a new request context. */
export function nextRequest(): number {
  const here = isolate();
  here.requests = (here.requests + 1) >>> 0 || 1;
  return here.requests;
}

/** The instance, if there has been any use for one yet. */
export function existingInstance(): Instance | undefined {
  const known = isolate().instance;
  return known === undefined || known.dead ? undefined : known;
}

/** The instance; makes one if needed. Throws an Error that says why there is none. */
export function instance(): Instance {
  const here = isolate();
  if (here.instance !== undefined && !here.instance.dead) return here.instance;
  const now = Date.now();
  if (here.broken !== undefined && now < here.broken.until) throw new Error(here.broken.message);
  try {
    const exports = instantiate(currentHost().module());
    const [a = 0, b = 0, c = 0, d = 0] = crypto.getRandomValues(new Uint32Array(4));
    const made: Instance = {
      exports,
      core: new exports.Core(a, b, c, d),
      shared: new SharedTable(),
      connections: new Map(),
      dead: false,
    };
    here.instance = made;
    here.broken = undefined;
    return made;
  } catch (error) {
    const message = error instanceof Error ? error.message : "the wasm module cannot be instantiated";
    here.broken = { message, until: now + RETRY };
    throw error;
  }
}
