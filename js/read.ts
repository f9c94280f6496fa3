/** A read: the caller's promise, the callback, and the values between them. */
import { Callback, isThenable } from "./callback.ts";
import { decompress } from "./compress.ts";
import { fillOf } from "./fill.ts";
import type { Fill, LeewardError, Load, Lookup, Outcome, StandardSchemaV1 } from "./index.d.ts";
import type { Exports } from "./isolate.ts";
import { type Form, formOf, type Spot } from "./l1.ts";
import type { Operation, Settlers } from "./operation.ts";
import { Patience } from "./patience.ts";
import { judge, type Rejection } from "./schema.ts";
import type { Shared } from "./shared.ts";
import { decode, isCompressed, type Text } from "./value.ts";

/** Whom a read tells of its callback. */
export interface Listener {
  ended(ok: boolean): void;
  /** The callback waits for the versions of these tags. */
  tags(names: string[]): void;
}

/** What a callback returns in place of a value that it has not got: no value of its own can be this. */
const NOT_MODIFIED = Symbol("not modified");
const NOTHING_STALE = "notModified() needs a stale value, and there is none: fill.stale is undefined";
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
  /** What the callback set in place of the options; NaN: nothing. */
  readonly life = { ttl: Number.NaN, swr: Number.NaN, staleIfError: Number.NaN };
  skipped = false;
  /** The value is the stale one that the callback was shown. */
  unchanged = false;
  /** The callback has no value for the key. */
  absent = false;
  /** The tags that the callback has declared. */
  declared: string[] | undefined;
  /** Of the instance that checks what the callback asks for; `undefined`: there is none. */
  exports: Exports | undefined;
  /** Called when the caller gets a value that the core knows of. */
  got: (() => void) | undefined;
  /** Where what it reads or stores may be held; `undefined`: nowhere. */
  spot: Spot | undefined;
  /** The value that it has taken out of a text, as it would be held. */
  #form: Form | undefined;
  /** The text of the callback's value, before it is compressed. */
  #plain: Text | undefined;
  /** All that it has waited for: a flight's value may be taken after its verdict. */
  #awaited: Map<number, Shared> | undefined;
  /** The stored value that is being taken. Those before it are too late. */
  #taking: object | undefined;
  /** A stale value, in case that the callback fails or is late. */
  #stash: { readonly value: unknown } | undefined;
  /** The text that was decoded last. */
  #decoded: Text | undefined;
  /** The stale value that the callback may look at, and since when it does. */
  #shown: { readonly text: Text; readonly age: number } | undefined;
  #copy: Fill["stale"];
  readonly #settlers: Settlers;
  readonly #load: Load<unknown> | undefined;
  /** Whether the caller wants the outcome, too. */
  readonly #detailed: boolean;
  /** How long the callback is waited for where there is no core to say so. */
  #patience: Patience | undefined;
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

  constructor(settlers: Settlers, load: Load<unknown> | undefined, detailed: boolean, hard?: unknown) {
    this.#settlers = settlers;
    this.#load = load;
    this.#detailed = detailed;
    if (hard !== undefined) this.#patience = new Patience(hard);
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

  /** The stale value, a copy for the callback. */
  get stale(): Fill["stale"] {
    const shown = this.#shown;
    if (shown !== undefined) this.#copy ??= { value: decode(shown.text), age: shown.age };
    return this.#copy;
  }

  /** What the callback returns to say that the stale value is still good. */
  notModified(): unknown {
    if (this.#shown === undefined) throw new TypeError(NOTHING_STALE);
    return NOT_MODIFIED;
  }

  /**
   * Runs the callback; the listener is told, unless the core has failed meanwhile. The callback may look at the value that was
   * decoded last, if that has an age.
   */
  run(listener?: Listener, age?: number): void {
    if (this.#callback !== undefined) return;
    const text = this.#decoded;
    if (age !== undefined && text !== undefined) this.#shown = { text, age };
    this.#patience?.begin();
    this.#taking = undefined;
    const callback = new Callback();
    this.#callback = callback;
    this.#listener = listener;
    callback.run(
      () => this.#load?.(fillOf(this)),
      () => {
        if (callback.result === NOT_MODIFIED) this.#keepStale(callback);
        const ok = callback.state === "value";
        if (ok && !this.unchanged) this.value = callback.result;
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

  /** Takes the text of the callback's value. */
  encoded(text: Text): void {
    this.text = text;
    this.#form = undefined;
    this.#plain = text;
  }

  /** What it has read or stored, as it is to be held: never the object that the callback has returned, which is its caller's. */
  form({ values }: Spot): Form | undefined {
    if (this.#form !== undefined || this.#plain === undefined) return this.#form;
    return formOf(this.#plain, values, decode(this.#plain));
  }

  /**
   * Takes the value out of a stored text of at most `limit` bytes; `aside`: not as the answer, but in case that the callback fails
   * or is late; `checked`: by the schema. `then` is told what has become of it, in this turn if that can be, and unless something else has
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
      const form = this.spot && formOf(taken.text, this.spot.values, taken.value);
      this.#decoded = taken.text;
      if (aside) {
        this.#stash = taken;
      } else {
        this.value = taken.value;
        this.text = taken.text;
        this.#form = form;
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
    const found = outcome === "hit" || outcome === "stale" || this.#load !== undefined;
    if (found && !this.#alone) this.got?.();
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
      l1: false,
      reason: (reason ?? undefined) as Lookup<unknown>["reason"],
    };
    this.#settlers.resolve(lookup);
  }

  /** Answers that the callback takes longer than it is waited for. */
  timeOut(hard: number): void {
    if (this.#settled) return;
    this.#settle();
    this.#settlers.reject(this.#late(hard));
  }

  /** Nobody waits for the callback any more, which takes longer than that. */
  cancelLate(hard: number): void {
    this.cancel(this.#late(hard));
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
    if (this.#settled) return;
    this.#patience?.end((hard) => {
      this.timeOut(hard);
      this.cancelLate(hard);
    });
  }

  finished(): void {
    this.background?.();
    this.tagged();
  }

  /** One error for the caller and for the callback's signal. */
  #late(hard: number): LeewardError {
    this.#patience ??= new Patience(hard);
    return this.#patience.error(hard);
  }

  /** The callback has returned what `notModified` gave it, or gave another one. */
  #keepStale(callback: Callback): void {
    const shown = this.#shown;
    if (shown === undefined) {
      callback.state = "error";
      callback.result = new TypeError(NOTHING_STALE);
      return;
    }
    this.unchanged = true;
    this.text = shown.text;
    this.value = decode(shown.text);
  }

  #finishAlone(): void {
    if (this.#callback?.state === "error") this.throwError();
    else this.serve(BYPASS.outcome, BYPASS.age, BYPASS.stored, BYPASS.shared, "unavailable");
  }

  #settle(): void {
    this.#settled = true;
    this.#patience?.drop();
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
  if (schema === undefined) {
    end({ value, text, rejection: undefined });
    return;
  }
  // The schema may change what it looks at, now or later: that is its own.
  const verdict = judge(schema, value);
  if (isThenable(verdict)) verdict.then((rejection) => end({ value: decode(text), text, rejection }));
  else end({ value: decode(text), text, rejection: verdict });
}
