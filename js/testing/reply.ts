/** Replies of commands, as scripts see them, and on their way out. */
import { fromLatin1, utf8 } from "../../dev/bytes.mjs";
import type { Reply as WireReply } from "../../dev/resp.mjs";

/** An error; the text begins with its word, such as `WRONGTYPE`. */
export class Failure {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** A status, such as OK. */
export class Status {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** A string has one character for each byte. */
export type Reply = null | number | string | Status | Failure | Reply[];

export const OK = new Status("OK");
export const WRONG_TYPE = new Failure("WRONGTYPE Operation against a key holding the wrong kind of value");
export const OUT_OF_MEMORY = new Failure("OOM command not allowed when used memory > 'maxmemory'.");
export const NO_INTEGER = new Failure("ERR value is not an integer or out of range");

export function wrongArity(command: string): Failure {
  return new Failure(`ERR wrong number of arguments for '${command}' command`);
}

/** As the gateway's code has replies. */
export function wire(reply: Reply): WireReply {
  if (reply === null) return { type: "bulk", bytes: null };
  if (typeof reply === "number") return { type: "integer", digits: BigInt(reply).toString() };
  if (typeof reply === "string") return { type: "bulk", bytes: fromLatin1(reply) };
  if (reply instanceof Status) return { type: "status", text: reply.text };
  if (reply instanceof Failure) return { type: "error", text: reply.text };
  return { type: "array", items: reply.map(wire) };
}

/** What a text is as bytes, one character for each. */
export function bytes(text: string): string {
  let out = "";
  for (const byte of utf8(text)) out += String.fromCharCode(byte);
  return out;
}
