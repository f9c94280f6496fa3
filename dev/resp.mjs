/**
 * RESP2, the wire format of Redis, in both directions. Client libraries fold status replies and bulk replies
 * into one string; the gateway may not, since `Upstash-Encoding: base64` leaves a status `OK` alone and
 * encodes a stored "OK". Integers stay digits: they are i64, and a JavaScript number would round them.
 *
 * @module
 */
import { concat, utf8 } from "./bytes.mjs";

/**
 * One argument of a command: text goes out as UTF-8, bytes as they are.
 * @typedef {string | number | Uint8Array} Argument
 */

/**
 * A reply, as Redis sent it.
 * @typedef {{ type: "status", text: string }
 *   | { type: "error", text: string }
 *   | { type: "integer", digits: string }
 *   | { type: "bulk", bytes: Uint8Array | null }
 *   | { type: "array", items: Reply[] | null }} Reply
 */

/**
 * A reply as a plain value: what tests and scripts want to look at.
 * @typedef {string | number | bigint | null | PlainReply[]} PlainReply
 */

const CRLF = utf8("\r\n");

/**
 * A command as the bytes that Redis reads.
 * @param {readonly Argument[]} command
 * @returns {Uint8Array}
 */
export function encodeCommand(command) {
  /** @type {Uint8Array[]} */
  const parts = [utf8(`*${command.length}\r\n`)];
  for (const argument of command) {
    const bytes = typeof argument === "object" ? argument : utf8(String(argument));
    parts.push(utf8(`$${bytes.length}\r\n`), bytes, CRLF);
  }
  return concat(parts);
}

/**
 * A reply as the bytes that Redis sent.
 * @param {Reply} reply
 * @returns {Uint8Array}
 */
export function encodeReply(reply) {
  switch (reply.type) {
    case "status":
      return utf8(`+${reply.text}\r\n`);
    case "error":
      return utf8(`-${reply.text}\r\n`);
    case "integer":
      return utf8(`:${reply.digits}\r\n`);
    case "bulk":
      if (reply.bytes === null) return utf8("$-1\r\n");
      return concat([utf8(`$${reply.bytes.length}\r\n`), reply.bytes, CRLF]);
    case "array":
      if (reply.items === null) return utf8("*-1\r\n");
      return concat([utf8(`*${reply.items.length}\r\n`), ...reply.items.map(encodeReply)]);
  }
}

/**
 * The reply as a plain value: strings decoded as UTF-8, integers as numbers where that is exact and as bigint
 * where it is not.
 * @param {Reply} reply
 * @returns {PlainReply}
 * @throws {Error} with the text of an error reply.
 */
export function plainReply(reply) {
  switch (reply.type) {
    case "status":
      return reply.text;
    case "error":
      throw new Error(reply.text);
    case "integer": {
      const number = Number(reply.digits);
      return Number.isSafeInteger(number) ? number : BigInt(reply.digits);
    }
    case "bulk":
      return reply.bytes && new TextDecoder().decode(reply.bytes);
    case "array":
      return reply.items?.map(plainReply) ?? null;
  }
}

/**
 * Thrown for bytes that are not RESP2: the stream has no known position any more, its connection must be
 * closed.
 */
export class RespError extends Error {
  /** @param {string} message */
  constructor(message) {
    super(message);
    this.name = "RespError";
  }
}

/**
 * Turns chunks of a stream into replies. It keeps its place between chunks, so that the cost is linear in the
 * bytes however they are cut: a bulk string of many chunks is joined once.
 */
export class ReplyParser {
  /** Bytes not yet parsed. @type {Uint8Array[]} */
  #chunks = [];
  #length = 0;
  /** No use in trying with fewer bytes than these. */
  #wanted = 1;
  /** The arrays that are open, outermost first. @type {{ items: Reply[], count: number }[]} */
  #open = [];

  /**
   * @param {Uint8Array} chunk
   * @returns {Reply[]} the replies that this chunk completed
   * @throws {RespError}
   */
  push(chunk) {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    if (this.#length < this.#wanted) return [];

    const buffer =
      this.#chunks.length === 1
        ? Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length)
        : Buffer.concat(this.#chunks);
    /** @type {Reply[]} */
    const done = [];
    let position = 0;
    this.#wanted = 1;
    while (position < buffer.length) {
      const lineEnd = buffer.indexOf("\r\n", position, "latin1");
      if (lineEnd < 0) {
        this.#wanted = buffer.length - position + 1;
        break;
      }
      const kind = String.fromCharCode(buffer[position] ?? 0);
      const line = buffer.toString("utf8", position + 1, lineEnd);
      let next = lineEnd + 2;
      /** @type {Reply} */
      let reply;
      if (kind === "+") {
        reply = { type: "status", text: line };
      } else if (kind === "-") {
        reply = { type: "error", text: line };
      } else if (kind === ":") {
        if (!/^-?\d+$/.test(line))
          throw new RespError(`expected an integer, got ${JSON.stringify(line.slice(0, 32))}`);
        reply = { type: "integer", digits: line };
      } else if (kind === "$") {
        const size = parseSize(line);
        if (size < 0) {
          reply = { type: "bulk", bytes: null };
        } else {
          if (buffer.length < next + size + 2) {
            this.#wanted = next + size + 2 - position;
            break;
          }
          reply = { type: "bulk", bytes: buffer.subarray(next, next + size) };
          next += size + 2;
        }
      } else if (kind === "*") {
        const count = parseSize(line);
        if (count > 0) {
          this.#open.push({ items: [], count });
          position = next;
          continue;
        }
        reply = { type: "array", items: count < 0 ? null : [] };
      } else {
        throw new RespError(`expected a reply, got a line that begins with ${JSON.stringify(kind)}`);
      }
      position = next;
      const whole = this.#close(reply);
      if (whole) done.push(whole);
    }
    this.#chunks = position < buffer.length ? [buffer.subarray(position)] : [];
    this.#length = buffer.length - position;
    return done;
  }

  /**
   * Puts a reply where it belongs and closes every array that it completes.
   * @param {Reply} reply
   * @returns {Reply | undefined} the outermost reply, if it is complete
   */
  #close(reply) {
    for (let array = this.#open.at(-1); array; array = this.#open.at(-1)) {
      array.items.push(reply);
      if (array.items.length < array.count) return undefined;
      this.#open.pop();
      reply = { type: "array", items: array.items };
    }
    return reply;
  }
}

/**
 * @param {string} line
 * @returns {number}
 */
function parseSize(line) {
  if (!/^(-1|\d{1,10})$/.test(line))
    throw new RespError(`expected a length, got ${JSON.stringify(line.slice(0, 32))}`);
  return Number(line);
}
