/** Leeward's own scripts, done in JavaScript: what they are called with, and by what they are known. */
import type { Now } from "./command.ts";
import { Failure, type Reply } from "./reply.ts";
import { sha1 } from "./sha1.ts";

/** What a script has at hand. */
export interface Scripting {
  /** One moment for the whole of a script. */
  readonly now: Now;
  /**
   * `redis.call`: an error ends the script.
   * @param where the call in the Lua text, whose line the error names; needed where there can be one
   */
  call(words: readonly string[], where?: string): Reply;
  /** `redis.pcall`: an error is a reply. */
  pcall(words: readonly string[]): Reply;
}

export interface Script {
  readonly name: "read" | "fill" | "drop";
  /** The Lua text. */
  readonly source: string;
  /**
   * The SHA-1 of the Lua text that `run` was written after. A test compares it with that of the text as it is now:
   * whoever changes the text changes `run`, too, and then this.
   */
  readonly written: string;
  run(redis: Scripting, keys: readonly string[], args: readonly string[]): Reply;
}

/**
 * What comes before a script's text, by dialect: Upstash locks the script's own keys if asked to, Redis 7 refuses the
 * word.
 */
const HEADERS = ["", "#!lua flags=allow-key-locking\n"];

/** One script of one dialect. */
export interface Known {
  readonly script: Script;
  readonly sha: string;
}

/** An error that ends a script. */
export class Raised extends Error {
  readonly failure: Failure;

  constructor(failure: Failure) {
    super(failure.text);
    this.failure = failure;
  }
}

/** The scripts, to be found by their text. */
export function library(scripts: readonly Script[]): ReadonlyMap<string, Known> {
  const texts = scripts.flatMap((script) =>
    HEADERS.map((header) => ({ script, text: header + script.source })),
  );
  return new Map(texts.map(({ script, text }) => [text, { script, sha: sha1(text) }]));
}

/** The error of a call, as Redis tells where in the script it was. */
export function raised(
  { text }: Failure,
  { script: { source }, sha }: Known,
  where: string | undefined,
): Raised {
  const at = where === undefined ? -1 : source.indexOf(where);
  if (at < 0) return new Raised(new Failure(`${text} script: ${sha}`));
  return new Raised(
    new Failure(`${text} script: ${sha}, on @user_script:${source.slice(0, at).split("\n").length}.`),
  );
}

/** What `HKEYS` and `HMGET` give: a text for each, `null` for one that is not there; nothing at all for an error. */
export function fieldsOf(reply: Reply): (string | null)[] {
  return Array.isArray(reply) ? reply.map(textOf) : [];
}

export function textOf(reply: Reply | undefined): string | null {
  return typeof reply === "string" ? reply : null;
}

/** What makes a generation or version that there never was. */
export function stamp(nonce: string, { seconds, microseconds }: Now): string {
  return `${nonce}@${seconds}.${microseconds}`;
}
