/**
 * A request, as the core sees it: the driver of its operations. It performs what the core decides, in this request's context
 * alone, and feeds back what happened. It holds the request's one timer.
 */

import type { Core } from "leeward-glue";
import { Compressor } from "./compress.ts";
import { post, ReplyTooLarge } from "./http.ts";
import type { CacheEvent, ErrorKind, Outcome } from "./index.d.ts";
import { type Instance, type Link, nextRequest } from "./isolate.ts";
import type { Form } from "./l1.ts";
import { BackgroundOperation, type Operation } from "./operation.ts";
import { ReadOperation, type Verdict } from "./read.ts";
import { RawOperation } from "./redis.ts";
import type { Shared } from "./shared.ts";
import { encode, isFlaw, type Kind, sizeOf, type Text, textIn } from "./value.ts";
import { MutateOperation, type Refusal, WriteOperation } from "./write.ts";

/** Runtimes take longer waits for none. */
const MAX_WAIT = 2 ** 31 - 1;

/** As the core numbers them. */
const OUTCOMES: readonly Outcome[] = ["hit", "stale", "revalidated", "miss", "bypass"];
const RAW_OUTCOMES = ["redis-error", "not-executed", "unknown-outcome", "unconfigured"] as const;
const STATES = ["applied", "pending", "refused"] as const;

const NOTHING = { keys: [], tags: [], all: false };

/** Of a flight's value, which has passed a limit. */
const NO_LIMIT = Number.POSITIVE_INFINITY;

/** What a scope needs to know of its cache. */
export interface ScopeOwner {
  emit(event: CacheEvent): void;
  /** The core has failed in some way. */
  trapped(error: unknown): void;
}

export class Scope {
  readonly request = nextRequest();
  readonly instance: Instance;
  readonly link: Link;
  readonly anchor: ((promise: Promise<unknown>) => void) | undefined;
  readonly #owner: ScopeOwner;
  readonly #operations = new Map<number, Operation>();
  readonly #batches = new Map<number, AbortController>();
  readonly #compressor = new Compressor((operations) => this.#compressed(operations));
  /** Who waits for a promise. They are woken in one turn, so that what they send then is one batch. */
  readonly #waiting = new Map<Shared, Operation[]>();
  /** Promises that this request has made for others, and is kept alive for. */
  readonly #anchored = new Set<Shared | undefined>();
  /** The reply that is being handled. */
  #body: Uint8Array | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timerAt = 0;
  #pumping = false;

  constructor(
    instance: Instance,
    link: Link,
    anchor: ((promise: Promise<unknown>) => void) | undefined,
    owner: ScopeOwner,
  ) {
    this.instance = instance;
    this.link = link;
    this.anchor = anchor;
    this.#owner = owner;
  }

  /** Begins an operation: `begin` gives the core's number for it, 0 if there is no room. */
  start(operation: Operation, begin: () => number): void {
    this.#guarded(() => {
      operation.id = begin();
      if (operation.id === 0) {
        operation.noRoom();
        return;
      }
      this.#operations.set(operation.id, operation);
    });
    if (this.instance.dead && operation.id === 0) operation.passThrough();
    this.pump();
  }

  /** The caller of a read has gone. */
  abort(operation: Operation): void {
    this.#tell(operation, () => this.instance.core.aborted(operation.id));
  }

  /** Performs what there is to do. */
  pump(): void {
    // A callback may begin another operation of this request: the loop below sees what that one has to do.
    if (this.#pumping) return;
    this.#pumping = true;
    this.#guarded(() => {
      while (!this.instance.dead && this.#perform());
      if (!this.instance.dead) this.#arm();
    });
    this.#pumping = false;
    // It may have failed in the scope of another request, in a callback that this one ran.
    if (this.instance.dead) this.#leave();
  }

  /** One effect; `false` when there is none. */
  #perform(): boolean {
    const { core, shared, exports } = this.instance;
    const { Code } = exports;
    const code = core.poll(this.request);
    switch (code) {
      case Code.Nothing:
        return false;
      case Code.Persist:
        this.instance.links[core.target()]?.kept?.keep(core.name(), core.record());
        return true;
      case Code.Flush: {
        const batch = core.target();
        queueMicrotask(() => this.#flush(batch));
        return true;
      }
      case Code.Abort: {
        const batch = core.target();
        this.#batches.get(batch)?.abort();
        this.#batches.delete(batch);
        return true;
      }
      case Code.Anchor: {
        const made = shared.add(core.target());
        this.#anchored.add(made);
        this.#keepAlive(made.kept);
        return true;
      }
      case Code.Settle:
        this.#anchored.delete(shared.settle(core.target()));
        return true;
      case Code.Abandon:
        this.#anchored.delete(shared.abandon(core.target()));
        return true;
      case Code.Report:
        this.#owner.emit({
          ...(core.event() as object),
          at: core.at(),
          request: this.request,
        } as CacheEvent);
        return true;
      case Code.Background: {
        const id = core.op();
        let operation = this.#operations.get(id);
        if (operation === undefined) {
          operation = new BackgroundOperation();
          operation.id = id;
          this.#operations.set(id, operation);
        }
        const kept = operation;
        // A refresh is in the background before its fill is.
        if (kept.background !== undefined) return true;
        this.#keepAlive(
          new Promise<void>((resolve) => {
            kept.background = resolve;
          }),
        );
        return true;
      }
      default:
        this.#performFor(code);
        return true;
    }
  }

  #performFor(code: number): void {
    const { core, shared, exports } = this.instance;
    const { Code } = exports;
    const operation = this.#operations.get(core.op());
    if (operation === undefined) return;
    switch (code) {
      case Code.Finished:
        this.#operations.delete(operation.id);
        operation.finished();
        return;
      case Code.Await:
        this.#await(operation, core.target());
        return;
      case Code.Share: {
        const target = shared.get(core.target());
        if (target !== undefined) target.text = operation.text;
        return;
      }
      case Code.Compress:
        this.#compressor.add(operation);
        return;
      case Code.UseCompressed:
        operation.useCompressed?.();
        return;
      case Code.Applied:
        if (operation instanceof WriteOperation) operation.applied(core.stored() ?? false);
        return;
      case Code.NotApplied:
        if (operation instanceof WriteOperation) {
          operation.notApplied(this.#refusal(operation) ?? { why: "refused", missing: NOTHING });
        }
        return;
      default:
        if (operation instanceof ReadOperation) this.#performRead(code, operation);
        else if (operation instanceof MutateOperation) this.#performMutate(code, operation);
        else if (operation instanceof RawOperation) this.#performRaw(code, operation);
    }
  }

  #await(operation: Operation, target: number): void {
    const awaited = this.instance.shared.get(target);
    operation.shared = awaited;
    if (awaited === undefined) {
      queueMicrotask(() => this.#wake([operation], awaited, "lost"));
      return;
    }
    if (operation instanceof ReadOperation) operation.hold(target, awaited);
    const others = this.#waiting.get(awaited);
    if (others !== undefined) {
      others.push(operation);
      return;
    }
    const waiting = [operation];
    this.#waiting.set(awaited, waiting);
    const wake = (how: "woken" | "lost") => {
      this.#waiting.delete(awaited);
      this.#wake(waiting, awaited, how);
    };
    // It rejects when the request that made it has been ended.
    awaited.promise.then(
      () => wake("woken"),
      () => wake("lost"),
    );
  }

  /** Tells the core that those have been woken who still wait for the promise. */
  #wake(waiting: readonly Operation[], awaited: Shared | undefined, how: "woken" | "lost"): void {
    const woken = waiting.filter(({ shared }) => shared === awaited);
    this.#tellAll(woken, ({ id }) => this.instance.core[how](id, Date.now()));
  }

  #performMutate(code: number, operation: MutateOperation): void {
    const { core, exports } = this.instance;
    const { Code } = exports;
    const { id } = operation;
    switch (code) {
      case Code.Run:
        operation.run((ok) =>
          this.#tell(operation, () =>
            ok ? core.mutateOk(id, Date.now()) : core.callbackErr(id, Date.now()),
          ),
        );
        return;
      case Code.Mutated:
        operation.mutated(core.marked(), this.#refusal(operation));
        return;
      case Code.Throw:
        operation.throwError();
        return;
    }
  }

  #performRaw(code: number, operation: RawOperation): void {
    const { core, exports } = this.instance;
    const { Code } = exports;
    if (code === Code.Replied) {
      operation.replied(this.#body?.subarray(core.start(), core.end()) ?? new Uint8Array());
    } else if (code === Code.RawFailed) {
      operation.failed({
        outcome: RAW_OUTCOMES[core.rawOutcome()] ?? "unknown-outcome",
        kind: core.rawKind() as ErrorKind,
        retryable: core.rawRetryable(),
        word: core.rawWord(),
        message: core.rawMessage(),
      });
    }
  }

  /** What the effect says of an invalidation; `undefined`: it is applied. */
  #refusal({ targets }: WriteOperation | MutateOperation): Refusal | undefined {
    const { core } = this.instance;
    const state = STATES[core.state()];
    if (state === undefined || state === "applied") return undefined;
    const keys = [...core.missingKeys()].map((place) => targets.keys[place] ?? "");
    const missing = { keys, tags: core.missingTags(), all: core.missingAll() };
    return { why: core.disabled() ? "unconfigured" : state, missing };
  }

  #performRead(code: number, operation: ReadOperation): void {
    const { core, exports } = this.instance;
    const { Code } = exports;
    const { id } = operation;
    switch (code) {
      case Code.Run:
        operation.run(
          {
            ended: (ok) => this.#tell(operation, () => callbackEnded(core, operation, ok)),
            tags: (names) => this.#tell(operation, () => core.tags(id, names, Date.now())),
          },
          core.staleAge(),
        );
        return;
      case Code.Tagged:
        operation.tagged();
        return;
      case Code.Cancel: {
        const waited = core.waited();
        if (waited !== undefined) operation.cancelLate(waited);
        else operation.cancel(new DOMException("nobody waits for the value any more", "AbortError"));
        return;
      }
      case Code.DecodeReply:
      case Code.StashReply: {
        const literal = this.#body?.subarray(core.start(), core.end());
        const text = literal && textIn(literal, core.kind() as Kind, core.base64(), core.limit());
        this.#take(operation, text, core.limit(), code === Code.StashReply);
        return;
      }
      case Code.DecodeShared:
      case Code.StashShared: {
        this.#take(operation, operation.textUnder(core.target()), NO_LIMIT, code === Code.StashShared);
        return;
      }
      case Code.Encode: {
        const encoded = (operation.unchanged ? operation.text : undefined) ?? encode(operation.value);
        if (isFlaw(encoded)) {
          core.unencodable(id, encoded.path, encoded.reason, Date.now());
        } else {
          operation.encoded(encoded);
          core.encoded(id, encoded.kind, sizeOf(encoded.text), Date.now());
        }
        return;
      }
      case Code.Keep: {
        const { spot } = operation;
        let form: Form | undefined;
        try {
          form = spot && operation.form(spot);
        } catch {
          // It is not held, then.
        }
        if (spot !== undefined && form !== undefined) this.instance.l1.keep(core, spot, form);
        return;
      }
      case Code.Serve:
        operation.serve(
          OUTCOMES[core.outcome()] ?? "bypass",
          core.age(),
          core.stored(),
          core.shared(),
          core.reason(),
        );
        return;
      case Code.ServeStash:
        operation.serveStash(OUTCOMES[core.outcome()] ?? "stale", core.age(), core.stored(), core.shared());
        return;
      case Code.Throw:
        operation.throwError();
        return;
      case Code.TimeOut:
        operation.timeOut(core.waited() ?? 0);
        return;
    }
  }

  /** Takes a value out of a text. The core is told of it in this turn, unless the text is compressed or the schema is slow. */
  #take(operation: ReadOperation, text: Text | undefined, limit: number, aside: boolean): void {
    const { core } = this.instance;
    const { id } = operation;
    if (text === undefined) {
      core.decoded(id, false, Date.now());
      return;
    }
    const tell = (verdict: Verdict) =>
      typeof verdict === "boolean"
        ? core.decoded(id, verdict, Date.now())
        : core.rejected(id, verdict.path, verdict.failed, Date.now());
    let later = false;
    operation.take(text, limit, aside, core.fromRedis(), (verdict) => {
      if (later) this.#tell(operation, () => tell(verdict));
      else tell(verdict);
    });
    later = true;
  }

  #compressed(operations: readonly Operation[]): void {
    this.#tellAll(operations, ({ id, compressed }) =>
      this.instance.core.compressed(id, compressed && sizeOf(compressed.text), Date.now()),
    );
  }

  /** Sends a batch: at the end of the turn that filled it, in the request that did. */
  #flush(batch: number): void {
    let body: string | undefined;
    this.#guarded(() => {
      const { core } = this.instance;
      const sealed = core.seal(batch);
      if (sealed === undefined) return;
      const values = [...core.values()];
      const [head = "", ...rest] = sealed.split("\0");
      const value = (i: number) => insertOf(this.#operations.get(values[i] ?? 0));
      body = rest.reduce((all, part, i) => all + value(i) + part, head);
    });
    if (body === undefined) return;
    const controller = new AbortController();
    this.#batches.set(batch, controller);
    const { core } = this.instance;
    post(this.link.url, this.link.token, body, controller.signal).then(
      (answer) => {
        if (!this.#batches.delete(batch)) return;
        this.#body = answer.body;
        this.#step(() => core.reply(batch, answer.status, answer.body, Date.now()));
        this.#body = undefined;
      },
      (error: unknown) => {
        if (!this.#batches.delete(batch)) return;
        const kind = error instanceof ReplyTooLarge ? "too-large" : "transport";
        this.#step(() => core.sendFailed(batch, kind, Date.now()));
      },
    );
  }

  /** Tells the core of something that happened to an operation; if it no longer knows it, the driver finishes alone. */
  #tell(operation: Operation, tell: () => boolean): void {
    this.#tellAll([operation], tell);
  }

  /** The same of several at once: what they send then is one batch. */
  #tellAll(operations: readonly Operation[], tell: (operation: Operation) => boolean): void {
    this.#step(() => {
      for (const operation of operations) if (!tell(operation)) operation.passThrough();
    });
    if (this.instance.dead) for (const operation of operations) operation.passThrough();
  }

  /** Something has happened: the core is told, and what follows from it is done. */
  #step(tell: () => void): void {
    this.#guarded(tell);
    this.pump();
  }

  /** A core that fails is left at once, and what this request has under way goes on without it. */
  #guarded(work: () => void): void {
    if (!this.instance.dead) {
      try {
        work();
        return;
      } catch (error) {
        this.#owner.trapped(error);
      }
    }
    this.#leave();
  }

  #leave(): void {
    const left = [...this.#operations.values()];
    this.#operations.clear();
    for (const operation of left) operation.passThrough();
    // Those who wait for them have timers of their own; the host need not keep this request any longer.
    for (const made of this.#anchored) made?.abandon();
    this.#anchored.clear();
  }

  /** A host that will not keep a promise (the request is over) costs what was to be done behind the answer, no more. */
  #keepAlive(promise: Promise<unknown>): void {
    try {
      this.anchor?.(promise);
    } catch {
      // Nobody to tell: those who wait for it have timers of their own.
    }
  }

  #arm(): void {
    const now = Date.now();
    const wait = this.instance.core.wait(this.request, now);
    if (wait < 0) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
      return;
    }
    const at = now + wait;
    if (this.#timer !== undefined && at === this.#timerAt) return;
    clearTimeout(this.#timer);
    this.#timerAt = at;
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined;
        this.#step(() => this.instance.core.timer(this.request, Date.now()));
      },
      Math.min(wait, MAX_WAIT),
    );
  }
}

/** What an operation puts into a batch's body: a command, or a value as a JSON text. */
function insertOf(operation: Operation | undefined): string {
  if (operation instanceof RawOperation) return operation.command;
  return JSON.stringify(operation?.text?.text ?? "");
}

function callbackEnded(core: Core, operation: ReadOperation, ok: boolean): boolean {
  const { id, life, value, skipped, unchanged, declared } = operation;
  const now = Date.now();
  if (!ok) return core.callbackErr(id, now);
  if (operation.absent) return core.callbackNothing(id, now);
  const none = value === undefined || value === null;
  const { ttl, swr, staleIfError } = life;
  return core.callbackOk(id, ttl, swr, staleIfError, skipped, none, unchanged, declared, now);
}
