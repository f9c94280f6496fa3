/**
 * Requests whose commands are held back, to be executed when their time has come or when a test says so,
 * whether or not the client still waits: how a request that was lost on the way reaches Redis after all.
 *
 * Each ends in one of two ways: its commands are executed, or it is dropped and they never are.
 *
 * @module
 */
import { mentions } from "./log.mjs";

/** @typedef {import("./answer.mjs").Answer} Answer */
/** @typedef {import("./log.mjs").LoggedRequest} LoggedRequest */

/** How many are held, since each keeps its commands in memory; the oldest is dropped first. */
const MAX_HELD = 1000;

/**
 * What can be seen of a request that is held.
 * @typedef {Pick<LoggedRequest, "id" | "fault" | "commands"> & { delayMs: number | null }} HeldRequest
 *   `id`: that in the log; `delayMs`: the time from the request to its execution, null: only when told
 */

/**
 * @typedef {object} Held
 * @property {LoggedRequest} request
 * @property {number | undefined} delayMs
 * @property {() => Promise<Answer>} execute
 * @property {(answer: Answer | undefined) => void} settle
 * @property {(() => void) | undefined} cancel ends the wait for its time
 */

export class HeldRequests {
  /** Oldest first. @type {Set<Held>} */
  #held = new Set();
  #executing = 0;
  /** @type {Set<() => void>} */
  #watchers = new Set();
  #after;

  /**
   * @param {object} [surroundings]
   * @param {(ms: number, work: () => void) => () => void} [surroundings.after] does it after that time, unless
   *   what it gives is called; default a timer
   */
  constructor({ after = timer } = {}) {
    this.#after = after;
  }

  /** @returns {HeldRequest[]} oldest first */
  get entries() {
    return [...this.#held].map(({ request: { id, fault, commands }, delayMs = null }) => ({
      id,
      fault,
      commands,
      delayMs,
    }));
  }

  /**
   * @param {LoggedRequest} request
   * @param {() => Promise<Answer>} execute
   * @param {number} [delayMs] default: only when told
   * @returns {Promise<Answer | undefined>} when it was executed; undefined if it was dropped
   */
  hold(request, execute, delayMs) {
    return new Promise((settle) => {
      /** @type {Held} */
      const held = { request, delayMs, execute, settle, cancel: undefined };
      if (delayMs !== undefined) held.cancel = this.#after(delayMs, () => void this.#execute(held));
      this.#held.add(held);
      for (const oldest of this.#held) {
        if (this.#held.size <= MAX_HELD) break;
        this.#drop(oldest);
      }
    });
  }

  /**
   * Executes what is held at this moment, one request after the other, in the order in which they came.
   * @param {string} [match] only requests with this text in a command; default all
   * @returns {Promise<number>} how many this has executed, when they are
   */
  async release(match) {
    const chosen = [...this.#held].filter(({ request }) => match === undefined || mentions(request, match));
    let count = 0;
    for (const held of chosen) {
      // While the one before it was executed, its own time may have come, or it was dropped.
      if (!this.#held.has(held)) continue;
      await this.#execute(held);
      count += 1;
    }
    return count;
  }

  /** Drops what is held; what has begun to be executed goes on. */
  drop() {
    for (const held of this.#held) this.#drop(held);
  }

  /** @returns {Promise<void>} when nothing is held and nothing that was held is being executed */
  settled() {
    return new Promise((resolve) => {
      this.#watchers.add(resolve);
      this.#tell();
    });
  }

  /** @param {Held} held */
  async #execute(held) {
    this.#take(held);
    this.#executing += 1;
    try {
      held.settle(await held.execute());
    } catch (error) {
      // The client may have gone, so that nobody else would tell of this bug.
      tellBug(error);
      held.settle(undefined);
    } finally {
      this.#executing -= 1;
      this.#tell();
    }
  }

  /** @param {Held} held */
  #drop(held) {
    this.#take(held);
    held.settle(undefined);
    this.#tell();
  }

  /** @param {Held} held */
  #take(held) {
    held.cancel?.();
    this.#held.delete(held);
  }

  #tell() {
    if (this.#held.size > 0 || this.#executing > 0) return;
    for (const watcher of this.#watchers) watcher();
    this.#watchers.clear();
  }
}

/** @param {number} ms @param {() => void} work */
function timer(ms, work) {
  const id = setTimeout(work, ms);
  return () => clearTimeout(id);
}

/**
 * Where there is no node, thrown where nobody catches it.
 * @param {unknown} error
 */
function tellBug(error) {
  if (typeof process === "object") return process.emitWarning(/** @type {Error} */ (error));
  queueMicrotask(() => {
    throw error;
  });
}
