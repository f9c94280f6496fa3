/** A read: the caller's promise, the callback, and the values between them. */
import { Callback, isThenable } from "./callback.ts";
import { decompress } from "./compress.ts";
import { fillOf } from "./fill.ts";
import type { Load, Lookup, Outcome, StandardSchemaV1 } from "./index.d.ts";
import type { Exports } from "./isolate.ts";
import type { Operation, Settlers } from "./operation.ts";
import { judge, type Rejection } from "./schema.ts";
import type { Shared } from "./shared.ts";
import { decode, isCompressed, type Text } from "./value.ts";

/** Whom a read tells of its callback. */
export interface Listener {
  ended(ok: boolean): void;
  /** The callback waits for the versions of these tags. */
  tags(names: string[]): void;
}

/** A value taken out of a stored text; `undefined`: there is none in it. */
type Taken =
  | { readonly value: unknown; readonly text: Text; readonly rejection?: Rejection | undefined }
  | undefined;

/** What has become of a stored value: it will do, is none, or is not good enough. */
export type Verdict = boolean | Rejection;

const BYPASS = { age: 0, stored: false, shared: false, outcome: "bypass" } as const;

export class ReadOperation implements Operation {
  id = 0;
  shared: Shared | undefined;
  background: (() => void) | undefined;
  text: Text | undefined;
  compressed: Text | undefined;
  value: unknown;
  /** What a stored value must satisfy. */
  schema: StandardSchemaV1 | undefined;
  /** What the callback set in place of the option; NaN: nothing. */
  ttl = Number.NaN;
  skipped = false;
  /** The callback has no value for the key. */
  absent = false;
  /** The tags that the callback has declared. */
  declared: string[] | undefined;
  /** Of the instance that checks what the callback asks for; `undefined`: there is none. */
  exports: Exports | undefined;
  /** All that it has waited for: a flight's value may be taken after its verdict. */
  #awaited: Map<number, Shared> | undefined;
  /** The stored value that is being taken. Those before it are too late. */
  #taking: object | undefined;
  /** A stale value, in case that the callback fails. */
  #stash: { readonly value: unknown } | undefined;
  readonly #settlers: Settlers;
  readonly #load: Load<unknown> | undefined;
  /** Whether the caller wants the outcome, too. */
  readonly #detailed: boolean;
  /** Made when it is run: most reads are hits. */
  #callback: Callback | undefined;
  #listener: Listener | undefined;
  /** Those in the callback who wait for versions of tags. */
  #waiting: (() => void)[] | undefined;
  #controller: AbortController | undefined;
  #cancelled: { readonly reason: unknown } | undefined;
  #alone = false;
  #settled = false;
  #release: (() => void) | undefined;

  constructor(settlers: Settlers, load: Load<unknown> | undefined, detailed: boolean) {
    this.#settlers = settlers;
    this.#load = load;
    this.#detailed = detailed;
  }

  /** Ends the caller's wait when `signal` is aborted; `then` is called after. */
  watch(signal: AbortSignal, then: () => void): void {
    if (this.#settled) return;
    const onAbort = () => this.abort(signal.reason, then);
    // The callback has begun, and may have aborted it.
    if (signal.aborted) {
      onAbort();
      return;
    }
    signal.addEventListener("abort", onAbort, { once: true });
    this.#release = () => signal.removeEventListener("abort", onAbort);
  }

  /** The caller has gone; `then` is called if it has not been answered before. */
  abort(reason: unknown, then: () => void): void {
    if (this.#settled) return;
    this.#settle();
    this.#settlers.reject(reason);
    if (this.#alone) this.cancel(reason);
    then();
  }

  /** Aborts the callback's signal. */
  cancel(reason: unknown): void {
    this.#cancelled = { reason };
    this.#controller?.abort(reason);
  }

  /** The callback's signal, made when it is asked for. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#cancelled !== undefined) this.#controller.abort(this.#cancelled.reason);
    }
    return this.#controller.signal;
  }

  /** Runs the callback; the listener is told, unless the core has failed meanwhile. */
  run(listener?: Listener): void {
    if (this.#callback !== undefined) return;
    this.#taking = undefined;
    const callback = new Callback();
    this.#callback = callback;
    this.#listener = listener;
    callback.run(
      () => this.#load?.(fillOf(this)),
      () => {
        const ok = callback.state === "value";
        if (ok) this.value = callback.result;
        if (this.#alone) this.#finishAlone();
        else listener?.ended(ok);
      },
    );
  }

  /** Settles when the versions of these tags are known, or will not be. */
  ask(names: string[]): Promise<void> {
    if (this.#alone || this.#callback?.state !== "running") return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiting ??= [];
      this.#waiting.push(resolve);
      this.#listener?.tags(names);
    });
  }

  /** The callback goes on. Called in its own request alone. */
  tagged(): void {
    const waiting = this.#waiting ?? [];
    this.#waiting = undefined;
    for (const resolve of waiting) resolve();
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

  /**
   * Takes the value out of a stored text of at most `limit` bytes; `aside`: not as the answer, but in case that the callback fails;
   * `checked`: by the schema. `then` is told what has become of it, in this turn if that can be, and unless something else has
   * been begun meanwhile.
   */
  take(text: Text, limit: number, aside: boolean, checked: boolean, then: (verdict: Verdict) => void): void {
    const taking = {};
    this.#taking = taking;
    const end = (taken: Taken) => {
      if (this.#taking !== taking) return;
      this.#taking = undefined;
      if (taken === undefined || taken.rejection !== undefined) {
        then(taken?.rejection ?? false);
        return;
      }
      if (aside) {
        this.#stash = taken;
      } else {
        this.value = taken.value;
        this.text = taken.text;
      }
      then(true);
    };
    const schema = checked ? this.schema : undefined;
    if (isCompressed(text.kind)) {
      decompress(text, limit).then(
        (plain) => open(plain, schema, end),
        () => end(undefined),
      );
    } else {
      open(text, schema, end);
    }
  }

  useCompressed(): void {
    this.text = this.compressed;
  }

  /** Answers with the value that was put aside. */
  serveStash(outcome: Outcome, age: number, stored: boolean | undefined, shared: boolean): void {
    this.value = this.#stash?.value;
    this.serve(outcome, age, stored, shared, undefined);
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
    this.#settlers.reject(this.#callback?.result);
  }

  noRoom(): void {
    this.passThrough();
  }

  passThrough(): void {
    if (this.#alone) return;
    this.#alone = true;
    this.background?.();
    this.tagged();
    if (this.#settled) return;
    if (this.#callback === undefined && this.#load !== undefined) this.run();
    else if (this.#callback?.state !== "running") this.#finishAlone();
  }

  finished(): void {
    this.background?.();
    this.tagged();
  }

  #finishAlone(): void {
    if (this.#callback?.state === "error") this.throwError();
    else this.serve(BYPASS.outcome, BYPASS.age, BYPASS.stored, BYPASS.shared, "unavailable");
  }

  #settle(): void {
    this.#settled = true;
    this.#taking = undefined;
    this.#release?.();
    this.#release = undefined;
  }
}

/** The value in a plain text, looked at by the schema. */
function open(text: Text, schema: StandardSchemaV1 | undefined, end: (taken: Taken) => void): void {
  let value: unknown;
  try {
    value = decode(text);
  } catch {
    end(undefined);
    return;
  }
  const verdict = schema && judge(schema, value);
  if (isThenable(verdict)) verdict.then((rejection) => end({ value, text, rejection }));
  else end({ value, text, rejection: verdict });
}
