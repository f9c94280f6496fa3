/** A core that fails: what is told of it, and how long a core that fails again and again is left alone. */
import type { Exports } from "./isolate.ts";

/** So many failures in so short a time, ms, and the next instance is made so much later. */
const MANY = 3;
const SHORT = 10_000;
export const PAUSE = 10_000;

/** What the glue throws when a core is asked that has failed in the middle of a call. */
const UNUSABLE = /^(recursive use of an object|null pointer passed to rust)/;

/** Whether it is the core that has failed, not what it was given. */
export function isTrap(error: unknown): boolean {
  // An endless recursion ends in a RangeError.
  if (error instanceof WebAssembly.RuntimeError || error instanceof RangeError) return true;
  return error instanceof Error && UNUSABLE.test(error.message);
}

/** What a core that has failed can still say of it, or what the runtime says. */
export function causeOf({ Core }: Exports, error: unknown): string {
  try {
    const panic = Core.panicked();
    if (panic !== undefined) return panic;
  } catch {
    // It is past that.
  }
  // What others throw may hold anything.
  return isTrap(error) ? (error as Error).message : "an error in the driver";
}

/** The times of the last failures in an isolate. */
export class Failures {
  #times: number[] = [];

  /** Counts one; gives whether there have been too many. */
  tooMany(now: number): boolean {
    // A clock that has gone backwards says nothing about those before.
    const recent = this.#times.filter((time) => time <= now && now - time < SHORT);
    this.#times = [...recent, now].slice(-MANY);
    return this.#times.length >= MANY;
  }
}
