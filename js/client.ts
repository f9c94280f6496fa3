/** What handlers work with. Every call ends in a promise of its own; a cache that cannot work runs callbacks. */
import { invalidationError } from "./errors.ts";
import type {
  BoundWrapped,
  Checked,
  Computes,
  Connection,
  CacheClient as Contract,
  Fill,
  FillWrapOptions,
  Invalidated,
  Invalidation,
  Load,
  LoadMissing,
  LookOptions,
  Lookup,
  ManyLookOptions,
  ManyOptions,
  Mutated,
  MutateOptions,
  ReadOptions,
  Stats,
  Storable,
  Stored,
  WrapOptions,
  WriteOptions,
} from "./index.d.ts";
import type { Exports, Instance } from "./isolate.ts";
import { GONE, giveOf, NONE } from "./l1.ts";
import { Many } from "./many.ts";
import { checkKey, checkKeys, checkTargets, type Named, type Place } from "./names.ts";
import { asksNoMore, type CallOptions, callOptions, hardOf, manyOptions, signalOf } from "./options.ts";
import { ReadOperation } from "./read.ts";
import { checkCommand, commandOf, RawOperation } from "./redis.ts";
import type { Scope } from "./scope.ts";
import type { Session } from "./session.ts";
import { isTrap } from "./trap.ts";
import { typeName } from "./type-name.ts";
import { encode, isFlaw, sizeOf } from "./value.ts";
import { wrap } from "./wrap.ts";
import { type Leave, MutateOperation, WriteOperation } from "./write.ts";

const IDLE: Connection = {
  state: "idle",
  isOpen: false,
  isReady: false,
  attempts: 0,
  reuses: 0,
  failures: 0,
  lastError: null,
  changedAt: null,
  until: null,
};

const NO_STATS: Stats = {
  hits: 0,
  l1Hits: 0,
  stale: 0,
  revalidated: 0,
  misses: 0,
  bypasses: 0,
  shared: 0,
  callbacks: 0,
  fills: 0,
  fillsRefused: 0,
  fillsFailed: 0,
  unstorable: 0,
  rejected: 0,
  compressedFrom: 0,
  compressedTo: 0,
  invalidationsApplied: 0,
  invalidationsPending: 0,
  invalidationsRefused: 0,
  journal: 0,
  l1Entries: 0,
  l1Bytes: 0,
  requests: 0,
  commands: 0,
};

export class CacheClient implements Contract {
  readonly #session: Session;
  readonly #place: Place;

  constructor(session: Session, place: Place) {
    this.#session = session;
    this.#place = place;
  }

  getOrSet<T>(
    key: string,
    load: Load<T> & Load<Storable<T>>,
    options?: ReadOptions & Checked<NoInfer<T>>,
  ): Promise<T> {
    return this.#read(key, load, options, false) as Promise<T>;
  }

  lookup<T>(
    key: string,
    load: Load<T> & Load<Storable<T>>,
    options?: ReadOptions & Checked<NoInfer<T>>,
  ): Promise<Lookup<T>>;
  lookup<T = unknown>(
    key: string,
    load?: undefined,
    options?: LookOptions & Checked<T>,
  ): Promise<Lookup<T | undefined>>;
  lookup<T>(
    key: string,
    load?: Load<T> & Load<Storable<T>>,
    options?: ReadOptions & Checked<NoInfer<T>>,
  ): Promise<Lookup<T | undefined>> {
    return this.#read(key, load, options, true, true) as Promise<Lookup<T | undefined>>;
  }

  has(key: string, options?: LookOptions): Promise<boolean> {
    return this.lookup(key, undefined, options).then(({ outcome }) => outcome === "hit");
  }

  get<T = unknown>(key: string, options?: LookOptions & Checked<T>): Promise<T | undefined> {
    return this.#read(key, undefined, options, false, true) as Promise<T | undefined>;
  }

  getMany<T>(
    keys: readonly string[],
    loadMissing: LoadMissing<T> & LoadMissing<Storable<T>>,
    options?: ManyOptions & Checked<NoInfer<T>>,
  ): Promise<Map<string, T>>;
  getMany<T = unknown>(
    keys: readonly string[],
    loadMissing?: undefined,
    options?: ManyLookOptions & Checked<T>,
  ): Promise<Map<string, T>>;
  getMany<T>(
    keys: readonly string[],
    loadMissing?: LoadMissing<T> & LoadMissing<Storable<T>>,
    options?: ManyOptions & Checked<NoInfer<T>>,
  ): Promise<Map<string, T>> {
    return new Promise<unknown>((resolve, reject) => {
      const named = new Set(checkKeys(keys));
      if (typeof loadMissing !== "function" && loadMissing !== undefined) {
        throw new TypeError(`the callback must be a function, got ${typeName(loadMissing)}`);
      }
      const signal = signalOf(options);
      signal?.throwIfAborted();
      const scope = this.#session.enter();
      const given = scope && manyOptions(scope.instance.exports, options, [...named]);
      const many = new Many({ resolve, reject }, named, loadMissing, hardOf(options, this.#session.options));
      many.members.forEach(({ key, operation }, i) => {
        const options = given?.[i];
        if (scope === undefined || options === undefined) operation.passThrough();
        else this.#beginRead(scope, operation, key, options, loadMissing !== undefined, true);
      });
      if (signal !== undefined) many.watch(signal, (operation) => scope?.abort(operation));
    }) as Promise<Map<string, T>>;
  }

  redis<T = unknown>(command: string, ...args: readonly (string | number)[]): Promise<T> {
    return new Promise<unknown>((resolve, reject) => {
      const words = [command, ...args];
      const operation = new RawOperation({ resolve, reject }, commandOf(words));
      const scope = this.#session.enter();
      if (scope === undefined) {
        operation.unavailable(this.#session.absence);
        return;
      }
      const { core, exports } = scope.instance;
      checkCommand(exports, words);
      scope.start(operation, () =>
        core.beginRaw(
          scope.request,
          this.#session.cache,
          scope.link.id,
          sizeOf(operation.command),
          scope.anchor !== undefined,
          Date.now(),
        ),
      );
    }) as Promise<T>;
  }

  set<T>(key: string, value: T & Storable<T>, options?: WriteOptions): Promise<Stored> {
    return new Promise((resolve, reject) => {
      checkKey(key);
      const text = encode(value);
      if (isFlaw(text)) throw new TypeError(`the value cannot be stored: ${text.reason}, at ${text.path}`);
      const targets = { keys: [key], tags: [], all: false };
      const scope = this.#session.enter();
      if (scope === undefined) throw invalidationError(this.#session.absence, targets);
      const { core, exports } = scope.instance;
      const { tags, ttl, swr, staleIfError, jitter } = callOptions(exports, "Set", options);
      const leave = this.#leave(scope, targets, false);
      const operation = new WriteOperation({ resolve, reject }, targets, text, leave);
      const path = this.#place.path(exports);
      scope.start(operation, () => {
        if (this.#session.mayFollow(path, key)) {
          core.took(scope.request, this.#session.cache, scope.link.id, path, key);
        }
        return core.beginSet(
          scope.request,
          this.#session.cache,
          scope.link.id,
          path,
          key,
          text.kind,
          sizeOf(text.text),
          tags,
          ttl,
          swr,
          staleIfError,
          jitter,
          scope.anchor !== undefined,
          Date.now(),
        );
      });
    });
  }

  delete(key: string): Promise<Invalidated> {
    return this.#end(false, () => {
      checkKey(key);
      return { keys: [key], tags: [], all: false };
    });
  }

  invalidate(what: Invalidation): Promise<Invalidated> {
    return this.#end(false, () => checkTargets(what));
  }

  expire(what: Invalidation): Promise<Invalidated> {
    return this.#end(true, () => checkTargets(what));
  }

  mutate<T>(what: Invalidation, fn: () => T | Promise<T>, options?: MutateOptions): Promise<Mutated<T>> {
    return new Promise<unknown>((resolve, reject) => {
      const { keys, tags, all } = checkTargets(what);
      if (typeof fn !== "function") {
        throw new TypeError(`the callback must be a function, got ${typeName(fn)}`);
      }
      const targets = { keys, tags, all };
      const scope = this.#session.enter();
      const leave = scope && this.#leave(scope, targets, false);
      const operation = new MutateOperation({ resolve, reject }, targets, () => fn(), leave);
      if (scope === undefined) {
        operation.unavailable(this.#session.absence);
        return;
      }
      const { core, exports } = scope.instance;
      const { timeout } = callOptions(exports, "Mutate", options);
      scope.start(operation, () =>
        core.beginMutate(
          scope.request,
          this.#session.cache,
          scope.link.id,
          this.#place.path(exports),
          [...keys],
          [...tags],
          all,
          timeout,
          scope.anchor !== undefined,
          Date.now(),
        ),
      );
    }) as Promise<Mutated<T>>;
  }

  wrap<A extends unknown[], T>(
    name: string,
    fn: Computes<A, T>,
    options?: WrapOptions<A> & Checked<NoInfer<T>>,
  ): BoundWrapped<A, T>;
  wrap<A extends unknown[], T>(
    name: string,
    fn: Computes<[fill: Fill, ...args: A], T>,
    options: FillWrapOptions<A> & Checked<NoInfer<T>>,
  ): BoundWrapped<A, T>;
  wrap(name: unknown, fn: unknown, options?: unknown): BoundWrapped<unknown[], unknown> {
    return wrap(this, name, fn, options);
  }

  namespace(name: string): CacheClient {
    return new CacheClient(this.#session, this.#place.within(name));
  }

  stats(): Stats {
    const found = this.#session.existing();
    return found === undefined ? NO_STATS : (found.instance.core.stats(found.link.id) as Stats);
  }

  get connection(): Connection {
    const found = this.#session.existing();
    return found === undefined ? IDLE : (found.instance.core.snapshot(found.link.id) as Connection);
  }

  #read(
    key: string,
    load: Load<unknown> | undefined,
    options: (ReadOptions & Checked<never>) | (ReadOptions & Checked<unknown>) | undefined,
    detailed: boolean,
    optional = false,
  ): Promise<unknown> {
    return (
      this.#held(key, load, options, detailed, optional) ?? this.#ask(key, load, options, detailed, optional)
    );
  }

  #ask(
    key: string,
    load: Load<unknown> | undefined,
    options: ReadOptions | undefined,
    detailed: boolean,
    optional: boolean,
  ): Promise<unknown> {
    return new Promise((resolve, reject) => {
      checkKey(key);
      if (typeof load !== "function" && !(optional && load === undefined)) {
        throw new TypeError(`the callback must be a function, got ${typeName(load)}`);
      }
      const signal = signalOf(options);
      signal?.throwIfAborted();
      const operation = new ReadOperation(
        { resolve, reject },
        load,
        detailed,
        hardOf(options, this.#session.options),
      );
      const scope = this.#session.enter();
      if (scope === undefined) {
        operation.passThrough();
      } else {
        const given = callOptions(scope.instance.exports, "Read", options);
        this.#beginRead(scope, operation, key, given, load !== undefined, false);
      }
      if (signal !== undefined) operation.watch(signal, () => scope?.abort(operation));
    });
  }

  /** The answer from what this isolate holds; `undefined`: a read is begun, which also says what is wrong with the call. */
  #held(
    key: string,
    load: Load<unknown> | undefined,
    options: ReadOptions | undefined,
    detailed: boolean,
    optional: boolean,
  ): Promise<unknown> | undefined {
    let instance: Instance | undefined;
    try {
      const holding = this.#session.holding();
      if (holding === undefined) return undefined;
      const { id } = holding.link;
      instance = holding.link.instance;
      const { core, exports, l1 } = instance;
      const path = this.#place.path(exports);
      const held = holding.spots.at(path)?.get(key);
      if (held === undefined) return undefined;
      const { cache, slot } = held;
      if (typeof load !== "function" && !(optional && load === undefined)) return undefined;
      let age: number;
      if (options === undefined || asksNoMore(exports, options, held.tags)) {
        age = core.held(cache, id, slot, held.id, Date.now());
      } else {
        const given = optionsOr(exports, options);
        // What is held has been seen by no schema.
        if (given === undefined || !given.l1 || given.schema !== undefined || signalOf(options)?.aborted)
          return undefined;
        const { tags, freshness } = given;
        age = core.heldFor(cache, id, slot, held.id, path, tags, freshness, Date.now());
      }
      if (age < 0) {
        if (age === GONE) l1.drop(held);
        return undefined;
      }
      this.#session.took(held);
      const value = giveOf(held);
      if (!detailed) return Promise.resolve(value);
      const [outcome, stored, shared, reason] = ["hit", true, false, undefined] as const;
      return Promise.resolve({ value, outcome, age, stored, shared, l1: true, reason });
    } catch (error) {
      if (instance !== undefined && isTrap(error)) this.#session.trapped(instance, error);
      return undefined;
    }
  }

  #beginRead(
    scope: Scope,
    operation: ReadOperation,
    key: string,
    given: CallOptions,
    load: boolean,
    many: boolean,
  ): void {
    const { core, exports } = scope.instance;
    operation.exports = exports;
    operation.schema = given.schema;
    const path = this.#place.path(exports);
    const { cache, values } = this.#session;
    if (values !== NONE) {
      operation.got = () => this.#session.got(path, key);
      if (given.l1) {
        operation.spot = { cache, link: scope.link.id, path, key, tags: given.tags ?? [], values };
      }
    }
    scope.start(operation, () =>
      core.beginRead(
        scope.request,
        cache,
        scope.link.id,
        path,
        key,
        given.tags,
        given.ttl,
        given.swr,
        given.staleIfError,
        given.leaseWait,
        given.read,
        given.soft,
        given.hard,
        given.earlyRefresh,
        given.jitter,
        given.negativeTtl,
        given.freshness,
        load,
        given.l1,
        many,
        scope.anchor !== undefined,
        Date.now(),
      ),
    );
  }

  /** How a write is left to the connection's next instance. */
  #leave({ link }: Scope, targets: Named, soft: boolean): Leave {
    const names = () => this.#session.namesOf(this.#place, targets);
    return () => {
      const size = [...targets.keys, ...targets.tags].reduce((sum, { length }) => sum + length, 0);
      return link.kept?.owe({ soft, size, names }) ?? false;
    };
  }

  #end(soft: boolean, prepare: () => Named): Promise<Invalidated> {
    return new Promise<unknown>((resolve, reject) => {
      const targets = prepare();
      const scope = this.#session.enter();
      if (scope === undefined) throw invalidationError(this.#session.absence, targets);
      const { core, exports } = scope.instance;
      const leave = this.#leave(scope, targets, soft);
      const operation = new WriteOperation({ resolve, reject }, targets, undefined, leave);
      scope.start(operation, () =>
        core.beginInvalidate(
          scope.request,
          this.#session.cache,
          scope.link.id,
          this.#place.path(exports),
          [...targets.keys],
          [...targets.tags],
          targets.all,
          soft,
          scope.anchor !== undefined,
          Date.now(),
        ),
      );
    }) as Promise<Invalidated>;
  }
}

/** The options of a read; `undefined`: there is something wrong with them, which the read says. */
function optionsOr(exports: Exports, options: ReadOptions): CallOptions | undefined {
  try {
    return callOptions(exports, "Read", options);
  } catch {
    return undefined;
  }
}
