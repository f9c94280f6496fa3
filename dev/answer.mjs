/**
 * What goes back over HTTP: status, headers and bytes, made from Redis' replies in the form that the call
 * asked for.
 *
 * @module
 */
import { base64 as base64Of, concat, textOf, utf8 } from "./bytes.mjs";
import { encodeReply } from "./resp.mjs";

/** @typedef {import("./resp.mjs").Reply} Reply */

/**
 * @typedef {object} Answer
 * @property {number} status
 * @property {Record<string, string>} headers without the content-length, which belongs to who sends the body
 * @property {Uint8Array} body
 */

/**
 * @param {number} status
 * @param {string} json
 * @returns {Answer}
 */
export function jsonAnswer(status, json) {
  return { status, headers: { "content-type": "application/json" }, body: utf8(json) };
}

/**
 * @param {number} status
 * @param {string} message
 * @returns {Answer}
 */
export function errorAnswer(status, message) {
  return jsonAnswer(status, JSON.stringify({ error: message }));
}

/**
 * @param {import("./call.mjs").Call} call
 * @param {readonly Reply[]} replies one for each command
 * @returns {Answer}
 */
export function answerOf(call, replies) {
  // A single command that fails is a failed request; a batch with failures in it is not.
  const status = call.endpoint === "command" && replies[0]?.type === "error" ? 400 : 200;
  if (call.resp2) {
    const headers = { "content-type": "application/octet-stream" };
    return { status, headers, body: concat(replies.map(encodeReply)) };
  }
  const results = replies.map((reply) => resultOf(reply, call.base64));
  return jsonAnswer(status, call.endpoint === "command" ? results.join("") : `[${results.join(",")}]`);
}

/**
 * @param {Reply} reply
 * @param {boolean} base64
 * @returns {string}
 */
function resultOf(reply, base64) {
  if (reply.type === "error") return JSON.stringify({ error: reply.text });
  // The one string that base64 leaves alone, and only as a status: a stored "OK" is encoded.
  if (reply.type === "status" && reply.text === "OK") return '{"result":"OK"}';
  return `{"result":${jsonOf(reply, base64)}}`;
}

/**
 * By hand, since JSON.stringify has no way to write an i64.
 * @param {Reply} reply
 * @param {boolean} base64
 * @returns {string}
 */
function jsonOf(reply, base64) {
  switch (reply.type) {
    case "integer":
      return reply.digits;
    case "error":
      return JSON.stringify(reply.text);
    case "status":
      return stringOf(utf8(reply.text), base64);
    case "bulk":
      return reply.bytes === null ? "null" : stringOf(reply.bytes, base64);
    case "array":
      return reply.items === null ? "null" : `[${reply.items.map((item) => jsonOf(item, base64)).join(",")}]`;
  }
}

/**
 * @param {Uint8Array} bytes
 * @param {boolean} base64
 */
function stringOf(bytes, base64) {
  // Without base64, bytes that are not UTF-8 become U+FFFD, as they do at Upstash.
  return JSON.stringify(base64 ? base64Of(bytes) : textOf(bytes));
}
