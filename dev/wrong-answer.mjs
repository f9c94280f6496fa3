/**
 * Answers that no Redis would give, or that are not the whole of one: what faults deliver.
 *
 * @module
 */
import { jsonAnswer } from "./answer.mjs";
import { utf8 } from "./bytes.mjs";

/** @typedef {import("./answer.mjs").Answer} Answer */

/**
 * What Redis might have answered: for faults that deliver a part of an answer that was never computed.
 * @param {import("./call.mjs").Call | undefined} call
 * @returns {Answer}
 */
export function standIn(call) {
  const results = (call?.commands ?? [0]).map(() => '{"result":null}');
  return jsonAnswer(200, !call || call.endpoint === "command" ? results.join("") : `[${results.join(",")}]`);
}

/**
 * @param {import("./call.mjs").Call | undefined} call
 * @param {"container" | "results" | "fewer" | "more"} shape
 */
export function wrongBody(call, shape) {
  const count = call?.commands.length ?? 1;
  const single = !call || call.endpoint === "command";
  /** @type {unknown[]} */
  const results = Array.from({ length: count }, () => ({ result: null }));
  if (shape === "container") return JSON.stringify(single ? results : { result: results });
  if (shape === "results") {
    const wrong = [
      { result: { an: "object" } },
      { result: true },
      { result: 1.5 },
      { error: 42 },
      "a string",
      null,
      {},
    ];
    const list = results.map((_, index) => wrong[index % wrong.length]);
    return JSON.stringify(single ? list[0] : list);
  }
  if (shape === "fewer") return JSON.stringify(single ? {} : results.slice(1));
  return JSON.stringify([...results, { result: null }]);
}

/**
 * Valid JSON of the right shape, in pieces: the whole of it is never in memory.
 * @param {import("./fault.mjs").Exchange} exchange
 * @param {import("./call.mjs").Call | undefined} call
 * @param {number} size in bytes
 * @param {boolean} [announced] whether a Content-Length says so before
 */
export async function sendOversize(exchange, call, size, announced = true) {
  const single = !call || call.endpoint === "command";
  const rest = ',{"result":null}'.repeat((call?.commands.length ?? 1) - 1);
  const head = utf8(single ? '{"result":"' : '[{"result":"');
  const tail = utf8(single ? '"}' : `"}${rest}]`);
  const filler = utf8("A".repeat(64 * 1024));
  let left = size - head.length - tail.length;
  exchange.sendHead({ ...jsonAnswer(200, ""), body: head }, announced ? size : null);
  await exchange.write(head);
  while (left > 0 && exchange.open) {
    await exchange.write(filler.subarray(0, Math.min(left, filler.length)));
    left -= filler.length;
  }
  await exchange.write(tail);
  exchange.end();
}

/**
 * @param {unknown} body
 * @param {string} type the content type of a string
 */
export function content(body, type) {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return {
    headers: { "content-type": typeof body === "string" ? type : "application/json" },
    body: utf8(text),
  };
}

/** @param {Uint8Array} body */
export function firstHalf(body) {
  return body.subarray(0, Math.max(1, body.length >> 1));
}
