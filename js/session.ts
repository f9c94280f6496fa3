/** A cache in the hands of one request, or of whoever has no request to bind it to: where the scope of its calls comes from. */

import type { NotApplied } from "./errors.ts";
import { currentHost } from "./host.ts";
import type { CacheEvent, CacheOptions, ExecutionContextLike } from "./index.d.ts";
import { type Instance, isPaused, type Link } from "./isolate.ts";
import type { Held, Spots } from "./l1.ts";
import type { Named, Place } from "./names.ts";
import { Scope } from "./scope.ts";
import { Taken } from "./taken.ts";
import { isTrap } from "./trap.ts";

/** A connection, and what this isolate holds of what is read there. */
export interface Holding {
  readonly link: Link;
  readonly spots: Spots;
}

/** What a session needs of its cache. */
export interface Home {
  readonly options: CacheOptions;
  /** The core's number for the settings; after `prepare`. */
  readonly cache: number;
  /** How values are held in this isolate, as the core numbers it; 0: not at all, or there is no core yet. */
  readonly values: number;
  /** Somebody listens to events. */
  readonly observed: boolean;
  prepare(env: unknown): Instance;
  link(env: unknown): Link;
  /** `undefined`: nothing is held, or it is not the time to look. */
  holding(env: unknown): Holding | undefined;
  existing(env: unknown): { readonly instance: Instance; readonly link: Link } | undefined;
  emit(event: CacheEvent): void;
  warn(code: string, message: string): void;
  /** The instance has failed. */
  trapped(instance: Instance, error: unknown): void;
}

export class Session {
  readonly #home: Home;
  readonly #env: unknown;
  readonly #context: ExecutionContextLike | undefined;
  #scope: Scope | undefined;
  #cache = 0;
  #absence: NotApplied = "unconfigured";
  #taken: Taken | undefined;
  /** The caller may have read what the present instance knows nothing of. */
  #outlived = false;

  constructor(home: Home, env?: unknown, context?: ExecutionContextLike) {
    this.#home = home;
    this.#env = env;
    this.#context = context;
  }

  /** The same cache, bound to a request. */
  for(env: unknown, context: ExecutionContextLike | undefined): Session {
    return new Session(this.#home, env, context);
  }

  /** The cache's settings, as they were given. */
  get options(): CacheOptions {
    return this.#home.options;
  }

  /** The core's number for the cache's settings; once there is a scope. */
  get cache(): number {
    return this.#cache;
  }

  /** How values are held in this isolate; 0: not at all. */
  get values(): number {
    return this.#home.values;
  }

  /** What this isolate holds of what is read; `undefined`: nothing, or it is not the time to look. */
  holding(): Holding | undefined {
    return this.#home.holding(this.#env);
  }

  /** A value that was held has been given to the caller. */
  took(held: Held): void {
    // Else nobody knows which later calls are the same caller's.
    if (this.#context !== undefined) {
      this.#taken ??= new Taken();
      this.#taken.add(held);
    }
    if (!this.#home.observed) return;
    const scope = this.enter();
    if (scope === undefined) return;
    const { core } = scope.instance;
    const key = core.nameInEvents(held.cache, held.key);
    const [outcome, shared, l1, reason] = ["hit", false, true, null] as const;
    const { request } = scope;
    this.#home.emit({ type: "read", at: Date.now(), request, key, outcome, shared, l1, reason });
  }

  /**
   * Whether what the caller sets may follow from something that the core knows nothing of: from what is held, and not from Redis
   * or the callback since, or from what was read while there was no core, or an earlier one.
   */
  mayFollow(path: string, key: string): boolean {
    return this.#outlived || this.#taken?.has(path, key) === true;
  }

  /** The caller has got the key's value by a read: the core knows of it. */
  got(path: string, key: string): void {
    this.#taken?.delete(path, key);
  }

  /** The core has failed over what is held. */
  trapped(instance: Instance, error: unknown): void {
    this.#home.trapped(instance, error);
  }

  /** What becomes of writes where `enter` gave nothing. */
  get absence(): NotApplied {
    return this.#absence;
  }

  /** The names of a write's fences, asked of the instance that there is then. */
  namesOf(place: Place, { keys, tags, all }: Named): string[] {
    const { core, exports } = this.#home.prepare(this.#env);
    return core.names(this.#home.cache, place.path(exports), [...keys], [...tags], all);
  }

  /** What there is already; looking makes nothing. */
  existing(): { readonly instance: Instance; readonly link: Link } | undefined {
    return this.#home.existing(this.#env);
  }

  /** The scope that a call belongs to; `undefined`: the cache cannot work here. */
  enter(): Scope | undefined {
    const before = this.#scope;
    const scope = this.#find();
    // Else nobody knows which later calls are the same caller's.
    if (
      this.#context !== undefined &&
      (scope === undefined || (before ?? scope).instance !== scope.instance)
    ) {
      this.#outlived = true;
    }
    return scope;
  }

  #find(): Scope | undefined {
    try {
      this.#absence = "unconfigured";
      // At module scope the clock of Workers stands at 0, and I/O and timers throw.
      if (Date.now() === 0) {
        this.#home.warn(
          "module-scope",
          "the cache was called while a module loads, where there is no I/O: it runs callbacks",
        );
        return undefined;
      }
      const instance = this.#home.prepare(this.#env);
      const link = this.#home.link(this.#env);
      this.#cache = this.#home.cache;
      const known = this.#scope;
      if (known !== undefined && known.instance === instance && known.link === link) return known;
      const anchor = this.#anchor();
      const scope = new Scope(instance, link, anchor, {
        emit: (event) => this.#home.emit(event),
        trapped: (error) => this.#home.trapped(instance, error),
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
      if (isTrap(error) || isPaused()) this.#absence = "refused";
      // Which has been told.
      if (isTrap(error)) return undefined;
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
