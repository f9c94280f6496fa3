/** A cache in the hands of one request, or of whoever has no request to bind it to: where the scope of its calls comes from. */

import type { NotApplied } from "./errors.ts";
import { currentHost } from "./host.ts";
import type { CacheEvent, ExecutionContextLike } from "./index.d.ts";
import { type Instance, isPaused, type Link } from "./isolate.ts";
import type { Named, Place } from "./names.ts";
import { Scope } from "./scope.ts";
import { isTrap } from "./trap.ts";

/** What a session needs of its cache. */
export interface Home {
  /** The core's number for the settings; after `prepare`. */
  readonly cache: number;
  prepare(env: unknown): Instance;
  link(env: unknown): Link;
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

  constructor(home: Home, env?: unknown, context?: ExecutionContextLike) {
    this.#home = home;
    this.#env = env;
    this.#context = context;
  }

  /** The same cache, bound to a request. */
  for(env: unknown, context: ExecutionContextLike | undefined): Session {
    return new Session(this.#home, env, context);
  }

  /** The core's number for the cache's settings; once there is a scope. */
  get cache(): number {
    return this.#cache;
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
