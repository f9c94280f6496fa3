/** Writes: an invalidation, an expiry, a `set`, and a `mutate`, which has a callback of its own. */
import { Callback } from "./callback.ts";
import { invalidationError, type NotApplied } from "./errors.ts";
import type { Mutated } from "./index.d.ts";
import type { Named } from "./names.ts";
import type { Operation, Settlers } from "./operation.ts";
import type { Shared } from "./shared.ts";
import type { Text } from "./value.ts";

/** What the core says of a write that is not applied. */
export interface Refusal {
  readonly why: NotApplied;
  /** What of it. */
  readonly missing: Named;
}

/** Leaves a write to whoever comes next, should the core fail over it or lose sight of it; `false`: there is no room. */
export type Leave = () => boolean;

/** An invalidation, an expiry or a `set`. */
export class WriteOperation implements Operation {
  id = 0;
  shared: Shared | undefined;
  background: (() => void) | undefined;
  text: Text | undefined;
  compressed: Text | undefined;
  readonly targets: Named;
  readonly #settlers: Settlers;
  readonly #leave: Leave;
  #settled = false;

  constructor(settlers: Settlers, targets: Named, text: Text | undefined, leave: Leave) {
    this.#settlers = settlers;
    this.targets = targets;
    this.text = text;
    this.#leave = leave;
  }

  useCompressed(): void {
    this.text = this.compressed;
  }

  applied(stored: boolean): void {
    this.#settled = true;
    this.#settlers.resolve(this.text === undefined ? { state: "applied" } : { state: "applied", stored });
  }

  notApplied({ why, missing }: Refusal): void {
    this.#settled = true;
    this.#settlers.reject(invalidationError(why, missing));
  }

  /** Its fences are up and in the journal all the same. */
  noRoom(): void {
    this.notApplied({ why: "pending", missing: this.targets });
  }

  passThrough(): void {
    this.background?.();
    // It has been answered, and goes on behind the answer.
    if (this.#settled) return;
    this.notApplied({ why: this.#leave() ? "pending" : "refused", missing: this.targets });
  }

  finished(): void {
    this.background?.();
  }
}

/** A `mutate`. Whatever becomes of the core, the callback runs once. */
export class MutateOperation implements Operation {
  id = 0;
  shared: Shared | undefined;
  background: (() => void) | undefined;
  readonly text = undefined;
  readonly targets: Named;
  readonly #settlers: Settlers;
  readonly #call: () => unknown;
  readonly #callback = new Callback();
  readonly #leave: Leave | undefined;
  /** The core is out of it, and what is told of the invalidation if it cannot be left to others. */
  #alone: NotApplied | undefined;
  #settled = false;

  constructor(settlers: Settlers, targets: Named, call: () => unknown, leave?: Leave) {
    this.#settlers = settlers;
    this.targets = targets;
    this.#call = call;
    this.#leave = leave;
  }

  /** Runs the callback; `ended` is told, unless the core has failed meanwhile. */
  run(ended: (ok: boolean) => void): void {
    this.#callback.run(this.#call, () => {
      if (this.#alone === undefined) ended(this.#callback.state === "value");
      else this.#answerAlone();
    });
  }

  mutated(marked: boolean, refusal: Refusal | undefined): void {
    this.#answer(marked, refusal);
  }

  throwError(): void {
    this.#settled = true;
    this.#settlers.reject(this.#callback.result);
  }

  /** Its fences are up and in the journal all the same. */
  noRoom(): void {
    this.#goAlone("pending");
  }

  passThrough(): void {
    this.#goAlone("refused");
  }

  /** There is no core at all. */
  unavailable(why: NotApplied): void {
    this.#goAlone(why);
  }

  finished(): void {
    this.background?.();
  }

  #goAlone(why: NotApplied): void {
    this.background?.();
    if (this.#alone !== undefined || this.#settled) return;
    this.#alone = why;
    const { state } = this.#callback;
    if (state === "not yet") this.run(() => {});
    else if (state !== "running") this.#answerAlone();
  }

  /** What is left to others is sent after the callback has ended, as it must be. */
  #answerAlone(): void {
    const why = this.#leave?.() ? "pending" : (this.#alone ?? "refused");
    this.#answer(false, { why, missing: this.targets });
  }

  #answer(marked: boolean, refusal: Refusal | undefined): void {
    if (this.#callback.state === "error") {
      this.throwError();
      return;
    }
    const error = refusal && invalidationError(refusal.why, refusal.missing);
    const mutated: Mutated<unknown> = {
      value: this.#callback.result,
      invalidation: error === undefined ? { state: "applied" } : { state: error.state, error },
      marked,
    };
    this.#settled = true;
    this.#settlers.resolve(mutated);
  }
}
