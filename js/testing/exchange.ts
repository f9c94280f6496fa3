/**
 * One request to a Redis in memory and its answer, for who called `fetch`: what the gateway's exchange is for sockets.
 * Every wait ends when the caller gives up.
 */
import type { Answer } from "../../dev/answer.mjs";
import type { Clock } from "./clock.ts";

/** So many bytes may wait to be read before a writer waits, too. */
const ROOM = 64 * 1024;

/** Whose answers have no body, whatever is sent. */
const BODILESS = new Set([204, 205, 304]);

/** What a connection does that breaks, in node's words: there programs look for them. */
export function broken(code: "ECONNREFUSED" | "ECONNRESET", message = "fetch failed"): TypeError {
  const cause = Object.assign(new Error(`${code === "ECONNREFUSED" ? "connect" : "read"} ${code}`), { code });
  return new TypeError(message, { cause });
}

export interface ExchangeOptions {
  readonly body: Uint8Array;
  readonly clock: Clock;
  readonly signal: AbortSignal | undefined;
  readonly withoutBody: boolean;
}

export class FetchExchange {
  /** Resolves when the answer was sent or the caller is gone. */
  readonly closed: Promise<void>;
  /** Rejects as `fetch` does. */
  readonly response: Promise<Response>;
  status: number | null = null;

  readonly #options: ExchangeOptions;
  readonly #close: () => void;
  readonly #respond: (response: Response) => void;
  readonly #refuse: (reason: unknown) => void;
  #open = true;
  /** The body, as far as it is sent and not read. */
  readonly #chunks: Uint8Array[] = [];
  #size = 0;
  /** What ends the body after what was sent: its end, or an error. */
  #last: { error?: unknown } | undefined;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  /** The body wants to be read, and there is nothing. */
  #wanted: (() => void) | undefined;
  /** The writer waits for room. */
  #full: (() => void) | undefined;

  constructor(options: ExchangeOptions) {
    this.#options = options;
    const closed = deferred<void>();
    const response = deferred<Response>();
    this.closed = closed.promise;
    this.response = response.promise;
    this.#respond = response.resolve;
    this.#refuse = response.reject;
    const { signal } = options;
    const abort = () => this.cut(signal?.reason);
    this.#close = () => {
      this.#open = false;
      signal?.removeEventListener("abort", abort);
      closed.resolve();
    };
    signal?.addEventListener("abort", abort);
    if (signal?.aborted) abort();
  }

  get open(): boolean {
    return this.#open;
  }

  async readBody(maxBytes: number): Promise<{ body: Uint8Array; size: number }> {
    const { body } = this.#options;
    return { body: body.length > maxBytes ? new Uint8Array() : body, size: body.length };
  }

  sendHead({ status, headers, body }: Answer, length: number | null = body.length): void {
    if (!this.#open) return;
    const stream = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        pull: () => this.#feed(),
        cancel: () => this.#close(),
      },
      { highWaterMark: 0 },
    );
    this.#answer(status, headers, length, stream);
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (!this.#open || bytes.length === 0) return;
    this.#chunks.push(bytes);
    this.#size += bytes.length;
    this.#wake();
    if (this.#size < ROOM) return;
    const room = new Promise<void>((resolve) => {
      this.#full = resolve;
    });
    await Promise.race([room, this.closed]);
  }

  end(): void {
    if (this.#open) this.#finish({});
  }

  send({ status, headers, body }: Answer): void {
    if (!this.#open) return;
    this.#answer(status, headers, body.length, new Uint8Array(body));
    this.#close();
  }

  /** Breaks the connection; what was sent before has arrived. */
  async reset(): Promise<void> {
    if (!this.#open) return;
    if (this.status === null) this.cut(broken("ECONNRESET"));
    else this.#finish({ error: broken("ECONNRESET", "terminated") });
  }

  /** Ends it at once, for its caller with this reason. */
  cut(reason: unknown): void {
    if (!this.#open) return;
    this.#refuse(reason);
    this.#controller?.error(reason);
    this.#close();
    this.#wake();
  }

  async wait(ms: number): Promise<void> {
    const { promise, resolve } = deferred<void>();
    const cancel = this.#options.clock.after(ms, resolve);
    await Promise.race([promise, this.closed]);
    cancel();
  }

  #answer(
    status: number,
    headers: Record<string, string>,
    length: number | null,
    body: ReadableStream<Uint8Array> | Uint8Array<ArrayBuffer>,
  ): void {
    const empty = this.#options.withoutBody || BODILESS.has(status);
    this.status = status;
    const announced = length === null ? {} : { "content-length": String(length) };
    const init = { status, headers: { ...headers, ...announced } as Record<string, string> };
    this.#respond(new Response(empty ? null : body, init));
  }

  #finish(last: { error?: unknown }): void {
    this.#last = last;
    this.#close();
    this.#wake();
  }

  /** Gives the next piece of the body, when there is one. */
  #feed(): Promise<void> | undefined {
    if (this.#give()) return undefined;
    return new Promise((resolve) => {
      this.#wanted = resolve;
    });
  }

  #wake(): void {
    if (!this.#wanted || !(this.#give() || !this.#open)) return;
    this.#wanted();
    this.#wanted = undefined;
  }

  /** Whether there was anything to give. */
  #give(): boolean {
    const chunk = this.#chunks.shift();
    if (chunk) {
      this.#size -= chunk.length;
      this.#controller?.enqueue(chunk);
      if (this.#size < ROOM) this.#full?.();
      return true;
    }
    if (!this.#last) return false;
    if ("error" in this.#last) this.#controller?.error(this.#last.error);
    else this.#controller?.close();
    return true;
  }
}

interface Deferred<T> {
  promise: Promise<T>;
  resolve: (value: T) => void;
  reject: (reason: unknown) => void;
}

/** `Promise.withResolvers`, which node 20 lacks. */
function deferred<T>(): Deferred<T> {
  const made: Partial<Deferred<T>> = {};
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  return made as Deferred<T>;
}
