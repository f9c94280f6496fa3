/** A cache in the hands of one request, or of whoever has no request to bind it to: where the scope of its calls comes from. */
import { currentHost } from "./host.ts";
import type { CacheEvent, ExecutionContextLike } from "./index.d.ts";
import type { Instance, Link } from "./isolate.ts";
import { Scope } from "./scope.ts";

/** What a session needs of its cache. */
export interface Home {
  /** The core's number for the settings; after `prepare`. */
  readonly cache: number;
  prepare(): Instance;
  link(env: unknown): Link;
  existing(env: unknown): { readonly instance: Instance; readonly link: Link } | undefined;
  emit(event: CacheEvent): void;
  warn(code: string, message: string): void;
}

export class Session {
  readonly #home: Home;
  readonly #env: unknown;
  readonly #context: ExecutionContextLike | undefined;
  #scope: Scope | undefined;

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
    return this.#home.cache;
  }

  /** What there is already; looking makes nothing. */
  existing(): { readonly instance: Instance; readonly link: Link } | undefined {
    return this.#home.existing(this.#env);
  }

  /** The scope that a call belongs to; `undefined`: the cache cannot work here. */
  enter(): Scope | undefined {
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
