/** Operations as the driver holds them: the caller's promise, and the values, which never enter the core. */

import { invalidationError } from "./errors.ts";
import type { Fill, Load, Lookup, Outcome } from "./index.d.ts";
import type { Shared } from "./shared.ts";
import { decode, type Text } from "./value.ts";

/** Anything that can be under way. */
export interface Operation {
  /** The core's number for it; 0 before it has one. */
  id: number;
  /** The promise that it waits for. */
  shared: Shared | undefined;
  /** Settles when nothing more comes for it, so that its request can be kept alive. */
  background: (() => void) | undefined;
  /** The text that is to be stored. */
  text: Text | undefined;
  /** The core has failed: answer without it. */
  passThrough(): void;
  /** The core has no room for it. */
  noRoom(): void;
}

interface Settlers {
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

const BYPASS = { age: 0, stored: false, shared: false, outcome: "bypass" } as const;

/** A read. */
export class ReadOperation implements Operation {
  id = 0;
  shared: Shared | undefined;
  background: (() => void) | undefined;
  text: Text | undefined;
  value: unknown;
  ttl = Number.NaN;
  skipped = false;
  /** All that it has waited for: a flight's value may be taken after its verdict. */
  #awaited: Map<number, Shared> | undefined;
  readonly #settlers: Settlers;
  readonly #load: Load<unknown> | undefined;
  /** Whether the caller wants the outcome, too. */
  readonly #detailed: boolean;
  readonly #checkTtl: (ttl: unknown) => number;
  #controller: AbortController | undefined;
  #cancelled: { readonly reason: unknown } | undefined;
  #run: "not yet" | "running" | "value" | "error" = "not yet";
  #error: unknown;
  #alone = false;
  #settled = false;
  #release: (() => void) | undefined;

  constructor(
    settlers: Settlers,
    load: Load<unknown> | undefined,
    detailed: boolean,
    checkTtl: (ttl: unknown) => number,
  ) {
    this.#settlers = settlers;
    this.#load = load;
    this.#detailed = detailed;
    this.#checkTtl = checkTtl;
  }

  /** Ends the caller's wait when `signal` is aborted; `then` is called after. */
  watch(signal: AbortSignal, then: () => void): void {
    if (this.#settled) return;
    const onAbort = () => {
      if (this.#settled) return;
      this.#settle();
      this.#settlers.reject(signal.reason);
      if (this.#alone) this.cancel(signal.reason);
      then();
    };
    // The callback has begun, and may have aborted it.
    if (signal.aborted) {
      onAbort();
      return;
    }
    signal.addEventListener("abort", onAbort, { once: true });
    this.#release = () => signal.removeEventListener("abort", onAbort);
  }

  /** Aborts the callback's signal. */
  cancel(reason: unknown): void {
    this.#cancelled = { reason };
    this.#controller?.abort(reason);
  }

  /** Runs the callback; `then` is told whether it gave a value, unless the core has failed meanwhile. */
  run(then: (ok: boolean) => void): void {
    if (this.#run !== "not yet") return;
    this.#run = "running";
    const ended = (ok: boolean) => {
      this.#run = ok ? "value" : "error";
      if (this.#alone) this.#finishAlone();
      else then(ok);
    };
    const succeeded = (value: unknown) => {
      this.value = value;
      ended(true);
    };
    const failed = (error: unknown) => {
      this.#error = error;
      ended(false);
    };
    try {
      const result = this.#load?.(this.#fill());
      if (isThenable(result)) result.then(succeeded, failed);
      else succeeded(result);
    } catch (error) {
      failed(error);
    }
  }

  /** Holds on to a promise that it waits for, which its table forgets once it has settled. */
  hold(id: number, shared: Shared): void {
    this.#awaited ??= new Map();
    this.#awaited.set(id, shared);
  }

  /** The text under a promise that it has waited for. */
  textUnder(id: number): Text | undefined {
    return this.#awaited?.get(id)?.text;
  }

  /** Takes the value out of a stored text. */
  take(text: Text): void {
    this.value = decode(text);
    this.text = text;
  }

  serve(outcome: Outcome, age: number, stored: boolean | undefined, shared: boolean, reason: unknown): void {
    if (this.#settled) return;
    this.#settle();
    const { value } = this;
    if (!this.#detailed) {
      this.#settlers.resolve(value);
      return;
    }
    const lookup: Lookup<unknown> = {
      value,
      outcome,
      age,
      stored,
      shared,
      reason: (reason ?? undefined) as Lookup<unknown>["reason"],
    };
    this.#settlers.resolve(lookup);
  }

  throwError(): void {
    if (this.#settled) return;
    this.#settle();
    this.#settlers.reject(this.#error);
  }

  noRoom(): void {
    this.passThrough();
  }

  passThrough(): void {
    if (this.#alone) return;
    this.#alone = true;
    this.background?.();
    if (this.#settled) return;
    if (this.#run === "not yet") {
      if (this.#load === undefined) this.#finishAlone();
      else this.run(() => {});
    } else if (this.#run !== "running") {
      this.#finishAlone();
    }
  }

  #finishAlone(): void {
    if (this.#run === "error") this.throwError();
    else this.serve(BYPASS.outcome, BYPASS.age, BYPASS.stored, BYPASS.shared, "unavailable");
  }

  #settle(): void {
    this.#settled = true;
    this.#release?.();
    this.#release = undefined;
  }

  /** What the callback gets. The signal is made when it is asked for. */
  #fill(): Fill {
    const operation = this;
    return {
      get signal() {
        if (operation.#controller === undefined) {
          operation.#controller = new AbortController();
          if (operation.#cancelled !== undefined) operation.#controller.abort(operation.#cancelled.reason);
        }
        return operation.#controller.signal;
      },
      ttl(ttl) {
        operation.ttl = operation.#checkTtl(ttl);
      },
      skip() {
        operation.skipped = true;
      },
    };
  }
}

/** An invalidation or a `set`. */
export class WriteOperation implements Operation {
  id = 0;
  shared: Shared | undefined;
  background: (() => void) | undefined;
  readonly text: Text | undefined;
  readonly keys: readonly string[];
  readonly #settlers: Settlers;

  constructor(settlers: Settlers, keys: readonly string[], text: Text | undefined) {
    this.#settlers = settlers;
    this.keys = keys;
    this.text = text;
  }

  applied(stored: boolean): void {
    this.#settlers.resolve(this.text === undefined ? { state: "applied" } : { state: "applied", stored });
  }

  notApplied(keys: readonly string[], pending: boolean, disabled: boolean): void {
    const why = disabled ? "unconfigured" : pending ? "pending" : "refused";
    this.#settlers.reject(invalidationError(why, keys));
  }

  /** Its fences are up and in the journal all the same. */
  noRoom(): void {
    this.#settlers.reject(invalidationError("pending", this.keys));
  }

  passThrough(): void {
    this.background?.();
    this.#settlers.reject(invalidationError("refused", this.keys));
  }
}

/** Work of the core's own, behind an answer. */
export class BackgroundOperation implements Operation {
  id = 0;
  shared: Shared | undefined;
  background: (() => void) | undefined;
  readonly text = undefined;

  noRoom(): void {}

  passThrough(): void {
    this.background?.();
  }
}

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function"
  );
}
