/**
 * Counts what a client cost: the HTTP requests and connections it made, and the commands that Redis would be
 * billed for.
 *
 * @module
 */

/** How many names of commands are counted on their own; clients may send any name. */
const MAX_NAMES = 512;

/**
 * @typedef {object} Counters
 * @property {number} httpRequests requests received, whatever became of them
 * @property {number} redisCommands commands that were executed or answered by a `redisError`, as billed: each
 *   of a pipeline or a transaction is one, an EVALSHA is one; MULTI and EXEC themselves are not counted, a
 *   discarded transaction counts none
 * @property {number} errors error replies, and requests refused as a whole
 * @property {number} faults requests to which a fault was applied
 * @property {number} connectionsOpened TCP connections accepted
 * @property {number} openConnections those still open
 * @property {number} openRequests requests received and not yet answered or given up
 * @property {Record<string, number>} byCommand `redisCommands` by name, in capitals
 */

export class Counter {
  /** @type {Counters} */
  #counters = emptyCounters();
  /** @type {Set<() => void>} */
  #idle = new Set();

  /** @returns {Counters} a copy */
  read() {
    return { ...this.#counters, byCommand: { ...this.#counters.byCommand } };
  }

  /** Back to zero, but for what is open at this moment. */
  reset() {
    const { openConnections, openRequests } = this.#counters;
    this.#counters = { ...emptyCounters(), openConnections, openRequests };
  }

  connectionOpened() {
    this.#counters.connectionsOpened += 1;
    this.#counters.openConnections += 1;
  }

  connectionClosed() {
    this.#counters.openConnections -= 1;
  }

  requestOpened() {
    this.#counters.httpRequests += 1;
    this.#counters.openRequests += 1;
  }

  requestClosed() {
    this.#counters.openRequests -= 1;
    if (this.#counters.openRequests > 0) return;
    for (const resolve of this.#idle) resolve();
    this.#idle.clear();
  }

  /** @returns {Promise<void>} when no request is open */
  idle() {
    if (this.#counters.openRequests === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#idle.add(resolve);
    });
  }

  fault() {
    this.#counters.faults += 1;
  }

  /** A request was refused as a whole. */
  refusal() {
    this.#counters.errors += 1;
  }

  /**
   * @param {string} name
   * @param {boolean} failed
   */
  command(name, failed) {
    const { byCommand } = this.#counters;
    const known = name.slice(0, 32).toUpperCase();
    const key = known in byCommand || Object.keys(byCommand).length < MAX_NAMES ? known : "other";
    byCommand[key] = (byCommand[key] ?? 0) + 1;
    this.#counters.redisCommands += 1;
    if (failed) this.#counters.errors += 1;
  }
}

/** @returns {Counters} */
function emptyCounters() {
  return {
    httpRequests: 0,
    redisCommands: 0,
    errors: 0,
    faults: 0,
    connectionsOpened: 0,
    openConnections: 0,
    openRequests: 0,
    byCommand: Object.create(null),
  };
}
