/**
 * A few sockets to one Redis, so that a slow script of one HTTP request does not hold up every other.
 * Whatever must stay together is one `send`, and goes over one socket in one write.
 *
 * @module
 */
import { RedisConnection } from "./connection.mjs";
import { UnreachableError } from "./unreachable-error.mjs";

/** @typedef {import("./resp.mjs").Argument} Argument */
/** @typedef {import("./resp.mjs").Reply} Reply */

export class RedisPool {
  /** @type {RedisConnection[]} */
  #connections = [];
  #options;
  #closed = false;
  #size;

  /**
   * @param {{ port: number, size: number, setUp?: readonly (readonly Argument[])[] }} options `size`: the
   *   most sockets it opens; `setUp`: sent first on each of them
   */
  constructor({ port, size, setUp = [] }) {
    this.#options = { port, setUp };
    this.#size = size;
  }

  /**
   * @param {readonly (readonly Argument[])[]} commands
   * @returns {Promise<Reply[]>} one reply for each command
   * @throws {UnreachableError}
   */
  async send(commands) {
    if (this.#closed) throw new UnreachableError("the pool of connections to Redis is closed");
    return this.#leastBusy().send(commands);
  }

  /** Closes the sockets for good; commands in flight are rejected. */
  close() {
    this.#closed = true;
    for (const connection of this.#connections) connection.close();
  }

  #leastBusy() {
    let best = this.#connections[0];
    for (const connection of this.#connections) {
      if (best && connection.pending < best.pending) best = connection;
    }
    if (best && (best.pending === 0 || this.#connections.length >= this.#size)) return best;
    const fresh = new RedisConnection(this.#options);
    this.#connections.push(fresh);
    return fresh;
  }
}

/**
 * A user of Redis' own access control that may read and nothing else, as a read-only token: Redis knows best
 * which commands write, also those within a script. SCAN and KEYS are refused as Upstash refuses them.
 * EVAL_RO is younger than Redis 6; where it is missing, the second command fails and nothing is lost. Where
 * the user is missing, AUTH fails and the connection is not used.
 */
const READ_ONLY_USER = "leeward-read-only";
/** @type {readonly (readonly string[])[]} */
export const READ_ONLY_SET_UP = [
  [
    ...["ACL", "SETUSER", READ_ONLY_USER, "on", "nopass", "~*", "&*"],
    ...["-@all", "+@read", "+@connection", "+@transaction", "+time", "-@dangerous", "-scan"],
  ],
  ["ACL", "SETUSER", READ_ONLY_USER, "+eval_ro", "+evalsha_ro"],
  ["AUTH", READ_ONLY_USER, "-"],
];
