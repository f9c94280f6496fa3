/** Raw commands: the user's own, in the same batches as everything else. */
import { type NotExecuted, redisError } from "./errors.ts";
import type { ErrorKind } from "./index.d.ts";
import type { Exports } from "./isolate.ts";
import type { Operation, Settlers } from "./operation.ts";
import type { Shared } from "./shared.ts";
import { typeName } from "./type-name.ts";

/** As many words as tell whether a command can be sent. */
const FIRST_WORDS = 8;
/** A word that is longer is none of those that matter. */
const MAX_WORD = 32;

/** The command as JSON: a list of texts. A bad one is a TypeError. */
export function commandOf(words: readonly unknown[]): string {
  const [name] = words;
  if (typeof name !== "string" || name === "") {
    throw new TypeError(`a command must begin with its name, got ${nameOf(name)}`);
  }
  const texts = words.map((word) => {
    if (typeof word === "number" && Number.isFinite(word)) return String(word);
    if (typeof word !== "string") {
      throw new TypeError(
        `an argument of ${name.slice(0, MAX_WORD)} must be a text or a finite number, got ${nameOf(word)}`,
      );
    }
    if (!word.isWellFormed()) {
      throw new TypeError(
        `an argument of ${name.slice(0, MAX_WORD)} must be well-formed Unicode, got one with a lone surrogate`,
      );
    }
    return word;
  });
  return JSON.stringify(texts);
}

function nameOf(word: unknown): string {
  if (word === "") return "an empty text";
  return typeof word === "number" ? String(word) : typeName(word);
}

/** What cannot be one command of many is a TypeError, too. */
export function checkCommand({ Core }: Exports, words: readonly unknown[]): void {
  const first = words.slice(0, FIRST_WORDS).map((word) => String(word).slice(0, MAX_WORD));
  const refusal = Core.refusal(first);
  if (refusal !== undefined) throw new TypeError(refusal);
}

/** What the core says of a command that has no reply. */
export interface Failure {
  readonly outcome: "redis-error" | NotExecuted;
  readonly kind: ErrorKind;
  readonly retryable: boolean;
  readonly word: string | undefined;
  readonly message: string | undefined;
}

export class RawOperation implements Operation {
  id = 0;
  shared: Shared | undefined;
  background: (() => void) | undefined;
  readonly text = undefined;
  /** As JSON. */
  readonly command: string;
  readonly #settlers: Settlers;
  #settled = false;

  constructor(settlers: Settlers, command: string) {
    this.#settlers = settlers;
    this.command = command;
  }

  /** The reply, as JSON. */
  replied(json: Uint8Array): void {
    let reply: unknown;
    try {
      reply = JSON.parse(new TextDecoder().decode(json));
    } catch {
      this.#fail("unknown-outcome", "protocol", false);
      return;
    }
    this.#settled = true;
    this.#settlers.resolve(reply);
  }

  failed(failure: Failure): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#settlers.reject(redisError(failure));
  }

  noRoom(): void {
    this.#fail("not-executed", "transport", true);
  }

  /** There is no core at all. */
  unavailable(why: "pending" | "refused" | "unconfigured"): void {
    if (why === "unconfigured") this.#fail(why, "config", false);
    else this.#fail("not-executed", "transport", true);
  }

  /** The core has failed: it may have been sent. */
  passThrough(): void {
    this.background?.();
    this.#fail("unknown-outcome", "transport", false);
  }

  finished(): void {
    this.background?.();
  }

  #fail(outcome: NotExecuted, kind: ErrorKind, retryable: boolean): void {
    this.failed({ outcome, kind, retryable, word: undefined, message: undefined });
  }
}
