/**
 * What an HTTP request asks for, in the terms of Upstash's REST API: the commands and the form of the answer.
 * Pure: headers, target and bytes in, a call or a refusal out.
 *
 * @module
 */
import { fromLatin1, textOf, utf8 } from "./bytes.mjs";

/** One argument, as bytes: a value may be binary. @typedef {Uint8Array[]} Command */

/**
 * @typedef {object} Call
 * @property {"command" | "pipeline" | "multi-exec"} endpoint
 * @property {Command[]} commands
 * @property {boolean} base64 strings of the answer are to be encoded
 * @property {boolean} resp2 the answer is to be raw RESP2
 */

/** A request refused as a whole; the message is the `error` of the answer. */
export class CallError extends Error {
  /** @param {number} status @param {string} message */
  constructor(status, message) {
    super(message);
    this.name = "CallError";
    this.status = status;
  }
}

/**
 * @param {{ target: string, headers: Record<string, string | string[] | undefined>, body: Uint8Array }}
 *   request `target`: path and query, as sent
 * @returns {Call}
 * @throws {CallError}
 */
export function parseCall({ target, headers, body }) {
  const { path, query } = splitTarget(target);
  const base64 = String(headers["upstash-encoding"] ?? "").toLowerCase() === "base64";
  const format = String(headers["upstash-response-format"] ?? "json").toLowerCase();
  if (format !== "json" && format !== "resp2") throw new CallError(400, "ERR unsupported response format");
  if (format === "resp2" && base64)
    throw new CallError(400, "ERR base64 encoding is not permitted with the resp2 response format");

  if (path === "/pipeline" || path === "/multi-exec") {
    const endpoint = path === "/pipeline" ? "pipeline" : "multi-exec";
    const commands = parseCommands(body, endpoint);
    // A transaction is answered in JSON whatever the header says.
    return { endpoint, commands, base64, resp2: format === "resp2" && endpoint === "pipeline" };
  }
  const command = path === "/" ? parseCommand(body) : pathCommand(path, query, body);
  return { endpoint: "command", commands: [command], base64, resp2: format === "resp2" };
}

/**
 * The token that a request shows: `Authorization: Bearer T`, or `?_token=T`.
 * @param {{ target: string, headers: Record<string, string | string[] | undefined> }} request
 * @returns {string | undefined}
 */
export function tokenOf({ target, headers }) {
  const match = /^Bearer +(\S+) *$/i.exec(String(headers.authorization ?? ""));
  if (match) return match[1];
  const pair = queryPairs(splitTarget(target).query).find(([name]) => name === "_token");
  return pair?.[1];
}

/**
 * Commands as text, one per line, words parted by spaces: what logs and a fault's `match` look at.
 * @param {readonly Command[]} commands
 */
export function commandsAsText(commands) {
  return commands.map((command) => command.map(textOf).join(" ")).join("\n");
}

/** @param {string} target */
function splitTarget(target) {
  const mark = target.indexOf("?");
  return mark < 0
    ? { path: target, query: "" }
    : { path: target.slice(0, mark), query: target.slice(mark + 1) };
}

/**
 * `/set/foo` + body + `?EX=100` is `SET foo <body> EX 100`.
 * @param {string} path
 * @param {string} query
 * @param {Uint8Array} body
 * @returns {Command}
 */
function pathCommand(path, query, body) {
  const command = path.slice(1).split("/").map(percentDecode);
  if (body.length > 0) command.push(body);
  for (const [name, value] of queryPairs(query)) {
    if (name === "_token") continue;
    command.push(formDecode(name));
    if (value !== "") command.push(formDecode(value));
  }
  return command;
}

/**
 * @param {string} query
 * @returns {[name: string, value: string][]} still percent-encoded
 */
function queryPairs(query) {
  return query
    .split("&")
    .filter(Boolean)
    .map((pair) => {
      const mark = pair.indexOf("=");
      return mark < 0 ? [pair, ""] : [pair.slice(0, mark), pair.slice(mark + 1)];
    });
}

/** @param {string} text */
function formDecode(text) {
  return percentDecode(text.replaceAll("+", " "));
}

/**
 * To bytes, not to text: `decodeURIComponent` refuses what is not UTF-8.
 * @param {string} text
 * @returns {Uint8Array}
 */
function percentDecode(text) {
  if (/%(?![0-9a-f]{2})/i.test(text)) throw new CallError(400, "ERR failed to parse command");
  return fromLatin1(
    text.replace(/%([0-9a-f]{2})/gi, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16))),
  );
}

/**
 * @param {Uint8Array} body
 * @returns {Command}
 */
function parseCommand(body) {
  if (body.length === 0) throw new CallError(400, "ERR empty command");
  return commandFrom(parseJson(body, "command"), "command");
}

/**
 * @param {Uint8Array} body
 * @param {"pipeline" | "multi-exec"} endpoint
 * @returns {Command[]}
 */
function parseCommands(body, endpoint) {
  const rows = parseJson(body, endpoint);
  if (!Array.isArray(rows)) throw new CallError(400, `ERR failed to parse ${endpoint} request`);
  if (rows.length === 0) throw new CallError(400, `ERR empty ${endpoint} request`);
  return rows.map((row) => commandFrom(row, `${endpoint} request`));
}

/**
 * @param {unknown} row
 * @param {string} what
 * @returns {Command}
 */
function commandFrom(row, what) {
  if (!Array.isArray(row)) throw new CallError(400, `ERR failed to parse ${what}`);
  if (row.length === 0) throw new CallError(400, "ERR empty command");
  return row.map((argument) => {
    if (typeof argument !== "string" && typeof argument !== "boolean")
      throw new CallError(400, `ERR failed to parse ${what}`);
    return utf8(String(argument));
  });
}

/**
 * JSON in which every number is the text that was sent: a command's integers may be larger than a JavaScript
 * number can hold.
 * @param {Uint8Array} body
 * @param {string} what
 * @returns {unknown}
 */
function parseJson(body, what) {
  const text = textOf(body);
  let quoted = "";
  let position = 0;
  while (position < text.length) {
    const open = text.indexOf('"', position);
    const outside = text.slice(position, open < 0 ? text.length : open);
    quoted += outside.replace(/-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g, '"$&"');
    if (open < 0) break;
    const end = stringEnd(text, open);
    quoted += text.slice(open, end);
    position = end;
  }
  try {
    return JSON.parse(quoted);
  } catch {
    throw new CallError(400, `ERR failed to parse ${what === "command" ? what : `${what} request`}`);
  }
}

/**
 * @param {string} text
 * @param {number} open the place of the opening quote
 * @returns {number} the place after the closing quote
 */
function stringEnd(text, open) {
  for (let close = text.indexOf('"', open + 1); close >= 0; close = text.indexOf('"', close + 1)) {
    let backslashes = 0;
    while (text[close - 1 - backslashes] === "\\") backslashes += 1;
    if (backslashes % 2 === 0) return close + 1;
  }
  return text.length;
}
