/** How long a caller waits for its callback where no core is there to say so. What was asked for holds without a cache, too. */
import { milliseconds } from "./duration.ts";
import { callbackTimeout } from "./errors.ts";
import type { LeewardError } from "./index.d.ts";

/** The option's range: what is outside of it is told by the core, or holds nothing. */
const MIN = 1;
const MAX = 300_000;

export class Patience {
  /** As the user has written it. */
  readonly #hard: unknown;
  #began = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #error: LeewardError | undefined;

  constructor(hard: unknown) {
    this.#hard = hard;
  }

  /** The callback begins. */
  begin(): void {
    this.#began = Date.now();
  }

  /** Calls `end` when the callback, which has begun, has been waited for long enough. */
  end(end: (hard: number) => void): void {
    try {
      const hard = milliseconds(this.#hard);
      if (hard < MIN || hard > MAX) return;
      const waited = Math.max(0, Date.now() - this.#began);
      this.#timer = setTimeout(() => end(hard), Math.max(0, hard - waited));
    } catch {
      // No duration, which the core would have said; or no timers, as while a module loads.
    }
  }

  /** The caller has been answered. */
  drop(): void {
    clearTimeout(this.#timer);
  }

  /** One error for the caller and for the callback's signal. */
  error(hard: number): LeewardError {
    this.#error ??= callbackTimeout(hard);
    return this.#error;
  }
}
