/** What handlers work with. Every call ends in a promise of its own; a cache that cannot work runs callbacks. */
import { invalidationError } from "./errors.ts";
import { currentHost } from "./host.ts";
import type {
  CacheEvent,
  Connection,
  CacheClient as Contract,
  ExecutionContextLike,
  Invalidated,
  Invalidation,
  Load,
  Lookup,
  ReadOptions,
  Stats,
  Storable,
  Stored,
  WriteOptions,
} from "./index.d.ts";
import type { Instance, Link } from "./isolate.ts";
import { ReadOperation, WriteOperation } from "./operation.ts";
import { callOption, callOptions, signalOf, typeName } from "./options.ts";
import { Scope } from "./scope.ts";
import { encode, isFlaw, sizeOf, type Text } from "./value.ts";

/** What a client needs of its cache. */
export interface Home {
  /** The core's number for the settings; after `prepare`. */
  readonly cache: number;
  prepare(): Instance;
  link(env: unknown): Link;
  existing(env: unknown): { readonly instance: Instance; readonly link: Link } | undefined;
  emit(event: CacheEvent): void;
  warn(code: string, message: string): void;
}

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
  misses: 0,
  bypasses: 0,
  shared: 0,
  callbacks: 0,
  fills: 0,
  fillsRefused: 0,
  fillsFailed: 0,
  unstorable: 0,
  invalidationsApplied: 0,
  invalidationsPending: 0,
  invalidationsRefused: 0,
  journal: 0,
  requests: 0,
  commands: 0,
};

export class CacheClient implements Contract {
  readonly #home: Home;
  readonly #env: unknown;
  readonly #context: ExecutionContextLike | undefined;
  #scope: Scope | undefined;

  constructor(home: Home, env: unknown, context: ExecutionContextLike | undefined) {
    this.#home = home;
    this.#env = env;
    this.#context = context;
  }

  getOrSet<T>(key: string, load: Load<T> & Load<Storable<T>>, options?: ReadOptions): Promise<T> {
    return this.#read(key, load, options, false) as Promise<T>;
  }

  lookup<T>(key: string, load: Load<T> & Load<Storable<T>>, options?: ReadOptions): Promise<Lookup<T>>;
  lookup<T = unknown>(key: string): Promise<Lookup<T | undefined>>;
  lookup<T>(
    key: string,
    load?: Load<T> & Load<Storable<T>>,
    options?: ReadOptions,
  ): Promise<Lookup<T | undefined>> {
    return this.#read(key, load, options, true, true) as Promise<Lookup<T | undefined>>;
  }

  get<T = unknown>(key: string): Promise<T | undefined> {
    return this.#read(key, undefined, undefined, false, true) as Promise<T | undefined>;
  }

  set<T>(key: string, value: T & Storable<T>, options?: WriteOptions): Promise<Stored> {
    return this.#write(() => {
      checkKey(key);
      const text = encode(value);
      if (isFlaw(text)) throw new TypeError(`the value cannot be stored: ${text.reason}, at ${text.path}`);
      return { keys: [key], text, options };
    }) as Promise<Stored>;
  }

  delete(key: string): Promise<Invalidated> {
    return this.#write(() => {
      checkKey(key);
      return { keys: [key] };
    }) as Promise<Invalidated>;
  }

  invalidate(what: Invalidation): Promise<Invalidated> {
    return this.#write(() => ({ keys: keysOf(what) })) as Promise<Invalidated>;
  }

  stats(): Stats {
    const found = this.#home.existing(this.#env);
    return found === undefined ? NO_STATS : (found.instance.core.stats(found.link.id) as Stats);
  }

  get connection(): Connection {
    const found = this.#home.existing(this.#env);
    return found === undefined ? IDLE : (found.instance.core.snapshot(found.link.id) as Connection);
  }

  #read(
    key: string,
    load: Load<unknown> | undefined,
    options: ReadOptions | undefined,
    detailed: boolean,
    optional = false,
  ): Promise<unknown> {
    return new Promise((resolve, reject) => {
      checkKey(key);
      if (typeof load !== "function" && !(optional && load === undefined)) {
        throw new TypeError(`the callback must be a function, got ${typeName(load)}`);
      }
      const signal = signalOf(options);
      signal?.throwIfAborted();
      let instance: Instance | undefined;
      const checkTtl = (ttl: unknown) =>
        instance === undefined ? Number.NaN : callOption(instance.exports, "ttl", ttl);
      const operation = new ReadOperation({ resolve, reject }, load, detailed, checkTtl);
      const scope = this.#enter();
      if (scope === undefined) {
        operation.passThrough();
      } else {
        instance = scope.instance;
        const { ttl } = callOptions(instance.exports, options);
        scope.start(operation, () =>
          scope.instance.core.beginRead(
            scope.request,
            this.#home.cache,
            scope.link.id,
            key,
            ttl,
            load !== undefined,
            scope.anchor !== undefined,
            Date.now(),
          ),
        );
      }
      if (signal !== undefined) operation.watch(signal, () => scope?.abort(operation));
    });
  }

  #write(
    prepare: () => { keys: readonly string[]; text?: Text; options?: WriteOptions | undefined },
  ): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const { keys, text, options } = prepare();
      const scope = this.#enter();
      if (scope === undefined) throw invalidationError("unconfigured", keys);
      const { ttl, signal } = callOptions(scope.instance.exports, options);
      if (signal !== undefined) throw new TypeError('unknown option "signal": known are ttl');
      const operation = new WriteOperation({ resolve, reject }, keys, text);
      scope.start(operation, () =>
        scope.instance.core.beginWrite(
          scope.request,
          this.#home.cache,
          scope.link.id,
          [...keys],
          text?.kind ?? "",
          text === undefined ? 0 : sizeOf(text.text),
          ttl,
          scope.anchor !== undefined,
          Date.now(),
        ),
      );
    });
  }

  /** The scope that a call belongs to; `undefined`: the cache cannot work here. */
  #enter(): Scope | undefined {
    try {
      // At module scope the clock of Workers stands at 0, and I/O and timers throw.
      if (Date.now() === 0) {
        this.#home.warn(
          "module-scope",
          "the cache was called while a module loads, where there is no I/O: it runs callbacks",
        );
        return undefined;
      }
      const instance = this.#home.prepare();
      const link = this.#home.link(this.#env);
      const known = this.#scope;
      if (known !== undefined && known.instance === instance && known.link === link) return known;
      const anchor = this.#anchor();
      const scope = new Scope(instance, link, anchor, {
        emit: (event) => this.#home.emit(event),
        trapped: () =>
          this.#home.warn(
            "trapped",
            "the core has failed; calls under way go on uncached, and it is made anew",
          ),
      });
      this.#scope = scope;
      // A client without a context may serve many requests, also one that was given an env: what shares a scope is what
      // begins in one turn.
      if (this.#context === undefined) {
        queueMicrotask(() => {
          if (this.#scope === scope) this.#scope = undefined;
        });
      }
      return scope;
    } catch (error) {
      this.#home.warn(
        "unavailable",
        `the cache runs callbacks: ${error instanceof Error ? error.message : "it cannot start"}`,
      );
      return undefined;
    }
  }

  #anchor(): ((promise: Promise<unknown>) => void) | undefined {
    const context = this.#context;
    if (typeof context?.waitUntil === "function") return (promise) => context.waitUntil(promise);
    return currentHost().waitUntil();
  }
}

/** A key over so many bytes cannot be stored everywhere. */
const MAX_KEY_BYTES = 32_000;

function checkKey(key: unknown): asserts key is string {
  if (typeof key !== "string") throw new TypeError(`a key must be a string, got ${typeName(key)}`);
  // Two keys with different lone surrogates would be the same in UTF-8.
  if (!key.isWellFormed())
    throw new TypeError("a key must be well-formed Unicode, got one with a lone surrogate");
  if (key.length * 3 > MAX_KEY_BYTES && sizeOf(key) > MAX_KEY_BYTES) {
    throw new TypeError(`a key must be at most ${MAX_KEY_BYTES} bytes of UTF-8, got ${sizeOf(key)}`);
  }
}

function keysOf(what: Invalidation): readonly string[] {
  if (typeof what !== "object" || what === null) {
    throw new TypeError(`what to invalidate must be an object with keys, got ${typeName(what)}`);
  }
  for (const name of Object.keys(what)) {
    if (name !== "keys")
      throw new TypeError(`unknown option ${JSON.stringify(name.slice(0, 40))}: known are keys`);
  }
  const { keys } = what;
  if (!Array.isArray(keys) || keys.length === 0) {
    throw new TypeError(
      `option "keys" must be a list of at least one key, got ${Array.isArray(keys) ? "an empty list" : typeName(keys)}`,
    );
  }
  for (const key of keys) checkKey(key);
  return keys;
}
