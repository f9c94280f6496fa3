/**
 * A call for many keys: as many reads, whose callback is one. The core decides over each of them as over any other; this
 * gathers those whose callbacks it runs, until it has decided over all, and asks the caller's own callback for them, once.
 */
import { Callback } from "./callback.ts";
import type { Fill, FillMany, Lookup } from "./index.d.ts";
import type { Settlers } from "./operation.ts";
import { ReadOperation } from "./read.ts";
import { typeName } from "./type-name.ts";

/** What the caller's callback is, and gives. */
type LoadMissing = (missing: readonly string[], fill: FillMany) => unknown;

/** One of the keys. */
interface Member {
  readonly key: string;
  readonly operation: ReadOperation;
  /** Its callback is run, or is to be. */
  fill: Fill | undefined;
  /** How it was answered. */
  lookup: Lookup<unknown> | undefined;
}

export class Many {
  readonly members: readonly Member[];
  readonly #settlers: Settlers;
  readonly #load: LoadMissing | undefined;
  readonly #hard: unknown;
  /** The caller's callback, made when it is run. */
  readonly #callback = new Callback();
  /** Those of whom it is not known yet whether they are missing. */
  #open: number;
  /** Those that have not been answered. */
  #unanswered: number;
  #settled = false;
  readonly #answer: Promise<ReadonlyMap<string, unknown>>;
  #resolve!: (values: ReadonlyMap<string, unknown>) => void;
  #reject!: (error: unknown) => void;
  #release: (() => void) | undefined;

  /** @param hard how long the callback is waited for, as it was written */
  constructor(settlers: Settlers, keys: ReadonlySet<string>, load: LoadMissing | undefined, hard: unknown) {
    this.#settlers = settlers;
    this.#load = load;
    this.#hard = hard;
    this.#open = keys.size;
    this.#unanswered = keys.size;
    this.#answer = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // Whether anybody waits for it is not known.
    this.#answer.catch(() => {});
    this.members = [...keys].map((key) => this.#member(key));
    if (keys.size === 0) this.#settle(() => settlers.resolve(new Map()));
  }

  /** Ends the caller's wait when `signal` is aborted; `leave` is called for each that is under way. */
  watch(signal: AbortSignal, leave: (operation: ReadOperation) => void): void {
    if (this.#settled) return;
    const onAbort = () => {
      if (this.#settled) return;
      this.#settle(() => this.#settlers.reject(signal.reason));
      // Nobody has been asked yet, and nobody will be: those who have joined ask for themselves.
      if (this.#callback.state === "not yet") this.#abandon(signal.reason);
      for (const { operation } of this.members) operation.abort(signal.reason, () => leave(operation));
    };
    if (signal.aborted) {
      onAbort();
      return;
    }
    signal.addEventListener("abort", onAbort, { once: true });
    this.#release = () => signal.removeEventListener("abort", onAbort);
  }

  #member(key: string): Member {
    const settlers: Settlers = {
      resolve: (lookup) => this.#answered(member, lookup as Lookup<unknown>),
      reject: (error) => this.#failed(member, error),
    };
    const load = this.#load && ((fill: Fill) => this.#missing(member, fill));
    const member: Member = {
      key,
      operation: new ReadOperation(settlers, load, true, this.#hard),
      fill: undefined,
      lookup: undefined,
    };
    return member;
  }

  /** The core runs the callback of a key. */
  #missing(member: Member, fill: Fill): Promise<unknown> {
    // One that was served stale and is refreshed behind that has been counted.
    if (member.lookup === undefined) this.#open -= 1;
    member.fill = fill;
    const value = this.#answer.then((values) => {
      member.operation.absent = !values.has(member.key);
      return values.get(member.key);
    });
    this.#runIfKnown();
    return value;
  }

  #answered(member: Member, lookup: Lookup<unknown>): void {
    const { fill } = member;
    member.lookup = lookup;
    this.#unanswered -= 1;
    if (fill === undefined) this.#open -= 1;
    this.#runIfKnown();
    if (this.#unanswered > 0 || this.#settled) return;
    const values = new Map(this.members.filter(isFound).map(({ key, lookup }) => [key, lookup?.value]));
    this.#settle(() => this.#settlers.resolve(values));
  }

  #failed(member: Member, error: unknown): void {
    if (member.fill === undefined) this.#open -= 1;
    this.#settle(() => this.#settlers.reject(error));
  }

  /** Asks the caller's callback for those that are missing, when that is known of all. */
  #runIfKnown(): void {
    if (this.#open > 0) return;
    // A value that is refreshed is served a moment before its callback is run.
    queueMicrotask(() => this.#run());
  }

  #run(): void {
    const asked = this.members.filter(({ fill }) => fill !== undefined);
    if (asked.length === 0) return;
    // A list that is answered by a list must stay as it is.
    const missing = Object.freeze(asked.map(({ key }) => key));
    this.#callback.run(
      () =>
        this.#load?.(missing, fillOf(new Map(asked.flatMap(({ key, fill }) => (fill ? [[key, fill]] : []))))),
      () => {
        const { state, result } = this.#callback;
        if (state === "error") this.#reject(result);
        else {
          try {
            this.#resolve(valuesOf(missing, result));
          } catch (error) {
            this.#reject(error);
          }
        }
      },
    );
  }

  #abandon(reason: unknown): void {
    this.#callback.run(
      () => {},
      () => this.#reject(reason),
    );
  }

  #settle(settle: () => void): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#release?.();
    this.#release = undefined;
    settle();
  }
}

function isFound({ fill, operation, lookup }: Member): boolean {
  if (lookup?.outcome === "hit" || lookup?.outcome === "stale") return true;
  return fill !== undefined && !operation.absent;
}

/** What the caller's callback can say of the values that it computes: of all, or of one. */
function fillOf(byKey: ReadonlyMap<string, Fill>): FillMany {
  const fills = [...byKey.values()];
  let signal: AbortSignal | undefined;
  return {
    get signal() {
      signal ??= allOf(fills.map(({ signal }) => signal));
      return signal;
    },
    ttl(ttl) {
      for (const fill of fills) fill.ttl(ttl);
    },
    swr(swr) {
      for (const fill of fills) fill.swr(swr);
    },
    staleIfError(staleIfError) {
      for (const fill of fills) fill.staleIfError(staleIfError);
    },
    skip() {
      for (const fill of fills) fill.skip();
    },
    of(key) {
      const fill = byKey.get(key);
      if (fill === undefined) {
        const got = typeof key === "string" ? "another one" : typeName(key);
        throw new TypeError(`fill.of() takes one of the missing keys, got ${got}`);
      }
      return fill;
    },
  };
}

/** Aborted when all of them are. */
function allOf(signals: readonly AbortSignal[]): AbortSignal {
  const controller = new AbortController();
  let left = signals.length;
  const onAbort = () => {
    left -= 1;
    if (left === 0) controller.abort(signals[0]?.reason);
  };
  for (const signal of signals) {
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
  }
  return controller.signal;
}

/** The values that the callback has returned, by key. What is not as it must be is an error of the callback's. */
function valuesOf(missing: readonly string[], result: unknown): ReadonlyMap<string, unknown> {
  if (Array.isArray(result)) {
    const values = result as unknown[];
    if (values.length !== missing.length) {
      throw new TypeError(
        `the callback must return one value for each of the ${missing.length} missing keys, got ${values.length}`,
      );
    }
    const pairs = missing.map((key, i) => [key, values[i]] as const);
    return new Map(pairs.filter(([, value]) => value !== undefined));
  }
  if (result instanceof Map) {
    const values = result as ReadonlyMap<string, unknown>;
    return new Map(missing.filter((key) => values.has(key)).map((key) => [key, values.get(key)]));
  }
  throw new TypeError(`the callback must return a Map or a list, got ${typeName(result)}`);
}
