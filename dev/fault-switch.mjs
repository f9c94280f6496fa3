/**
 * Which fault is on, for which requests, and for how many more of them.
 *
 * @module
 */
import { checkFault, FAULTS } from "./fault.mjs";

/** @typedef {import("./fault.mjs").FaultName} FaultName */
/** @typedef {import("./fault-options.mjs").FaultOptions} FaultOptions */

/**
 * @typedef {object} FaultState
 * @property {FaultName} name
 * @property {FaultOptions} options
 * @property {number | null} remaining how many more requests it applies to; null: all
 */

export class FaultSwitch {
  /** @type {FaultState} */
  #state = { name: "healthy", options: {}, remaining: null };
  /** Requests that have matched since it was set. */
  #matched = 0;

  /** @returns {FaultState} */
  get state() {
    return { ...this.#state, options: { ...this.#state.options } };
  }

  /**
   * @param {string} name
   * @param {FaultOptions} options
   * @throws {TypeError} for a name or an option that does not exist; then nothing changes
   */
  set(name, options) {
    checkFault(name, /** @type {Record<string, unknown>} */ (options));
    this.#state = { name, options: { ...options }, remaining: options.times ?? FAULTS[name].times ?? null };
    this.#matched = 0;
  }

  /**
   * The fault for one request.
   * @param {() => string} commands gives the request's commands as text; asked only if that matters, since
   *   they may be large
   * @returns {{ name: FaultName, options: FaultOptions }}
   */
  take(commands) {
    const { name, options, remaining } = this.#state;
    const healthy = { name: /** @type {const} */ ("healthy"), options: {} };
    if (options.match !== undefined && !commands().includes(options.match)) return healthy;
    this.#matched += 1;
    if ((this.#matched - 1) % (options.every ?? 1) !== 0) return healthy;
    if (remaining === null) return { name, options };
    this.#state =
      remaining > 1 ? { name, options, remaining: remaining - 1 } : { ...healthy, remaining: null };
    return { name, options };
  }
}
