/**
 * Takes an HTTP request through everything: it is read, written to the log, met by a fault, checked, executed
 * and answered.
 *
 * @module
 */
import { answerOf, errorAnswer } from "./answer.mjs";
import { CallError, commandsAsText, parseCall, tokenOf } from "./call.mjs";
import { execute } from "./execution.mjs";
import { applyFault } from "./fault.mjs";
import { UnreachableError } from "./unreachable-error.mjs";

/** @typedef {import("./answer.mjs").Answer} Answer */
/** @typedef {import("./call.mjs").Call} Call */
/** @typedef {Record<string, string | string[] | undefined>} Headers names in small letters */

/**
 * @typedef {object} ServiceOptions
 * @property {(token: string | undefined) => import("./execution.mjs").Pool | undefined} poolOf the
 *   connections that a token may use, if any
 * @property {number} maxBytes the largest request body
 * @property {import("./counter.mjs").Counter} counter
 * @property {import("./fault-switch.mjs").FaultSwitch} faults
 * @property {import("./held-requests.mjs").HeldRequests} held
 * @property {import("./log.mjs").RequestLog} log
 */

export class Service {
  #poolOf;
  #maxBytes;
  #counter;
  #faults;
  #held;
  #log;

  /** @param {ServiceOptions} options */
  constructor({ poolOf, maxBytes, counter, faults, held, log }) {
    this.#poolOf = poolOf;
    this.#maxBytes = maxBytes;
    this.#counter = counter;
    this.#faults = faults;
    this.#held = held;
    this.#log = log;
  }

  /**
   * @param {Pick<import("./exchange.mjs").Exchange, keyof import("./exchange.mjs").Exchange>} exchange
   * @param {object} request
   * @param {string} request.method
   * @param {string} request.target path and query, as sent
   * @param {Headers} request.headers
   * @param {number} request.connection the number of the connection on which it came
   */
  async handle(exchange, { method, target, headers, connection }) {
    this.#counter.requestOpened();
    exchange.closed.then(() => this.#counter.requestClosed());
    const { body, size } = await exchange.readBody(this.#maxBytes);

    const { call, refusal } = readCall({ target, headers, body, size, maxBytes: this.#maxBytes });
    const commands = call?.commands ?? [];
    const { name, options } = this.#faults.take(() => commandsAsText(commands));
    const syncToken = String(headers["upstash-sync-token"] ?? "");
    const path = target.replace(/\?.*/s, "");
    const entry = this.#log.add({
      at: Date.now(),
      connection,
      method,
      path,
      commands,
      syncToken,
      fault: name,
      executions: 0,
      status: null,
    });
    exchange.closed.then(() => {
      entry.status = exchange.status;
    });
    if (name !== "healthy") this.#counter.fault();

    /**
     * @param {import("./execution.mjs").Execution} [execution]
     * @returns {Promise<Answer>}
     */
    const run = async (execution) => {
      const answer = await this.#answerTo(
        { method, token: tokenOf({ target, headers }), call, refusal, entry },
        execution,
      );
      // Opaque to the client, who sends it back to read its own writes. One Redis has nothing to catch up
      // with.
      answer.headers["upstash-sync-token"] = syncToken || randomToken();
      return answer;
    };
    /** @type {import("./fault.mjs").FaultContext["hold"]} */
    const hold = (execute, delayMs) => this.#held.hold(entry, execute, delayMs);
    await applyFault(name, { exchange, call, options, run, hold });
  }

  /**
   * @param {{ method: string, token: string | undefined,
   *   call: Call | undefined, refusal: CallError | undefined,
   *   entry: import("./log.mjs").LoggedRequest }} request
   * @param {import("./execution.mjs").Execution} [execution]
   * @returns {Promise<Answer>}
   */
  async #answerTo({ method, token, call, refusal, entry }, execution) {
    try {
      if (!["HEAD", "GET", "POST", "PUT"].includes(method))
        throw new CallError(405, "ERR method not allowed");
      const pool = this.#poolOf(token);
      if (!pool) throw new CallError(401, "WRONGPASS invalid or missing auth token");
      if (!call) throw refusal ?? new CallError(400, "ERR failed to parse command");
      const replies = await execute(call, pool, this.#counter, execution);
      entry.executions += 1;
      return answerOf(call, replies);
    } catch (error) {
      this.#counter.refusal();
      if (error instanceof CallError) return errorAnswer(error.status, error.message);
      if (error instanceof UnreachableError) return errorAnswer(502, "ERR upstream Redis is unreachable");
      throw error;
    }
  }
}

/**
 * @param {{ target: string, headers: Headers, body: Uint8Array,
 *   size: number, maxBytes: number }} request
 * @returns {{ call?: Call, refusal?: CallError }}
 */
function readCall({ target, headers, body, size, maxBytes }) {
  try {
    if (size > maxBytes)
      throw new CallError(
        400,
        `ERR max request size exceeded. Limit: ${maxBytes} bytes, Actual: ${size} bytes`,
      );
    return { call: parseCall({ target, headers, body }) };
  } catch (error) {
    if (error instanceof CallError) return { refusal: error };
    throw error;
  }
}

function randomToken() {
  return Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) =>
    byte.toString(16).padStart(2, "0"),
  ).join("");
}
