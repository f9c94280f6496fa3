/**
 * The last requests that a gateway received, for tests and for those who want to see what a client really
 * sends. Tokens are not in it.
 *
 * @module
 */
import { textOf } from "./bytes.mjs";

/** How many requests are kept; the oldest go first. */
const MAX_ENTRIES = 1000;
/** How many bytes of an argument are kept: scripts whole, large values not. */
const MAX_ARGUMENT = 16 * 1024;
/** How many bytes of a request are kept; what comes after is one command of one word, "...". */
const MAX_REQUEST = 128 * 1024;

/**
 * @typedef {object} LoggedRequest
 * @property {number} id counts up from 1
 * @property {number} at when it had arrived whole, in Unix milliseconds
 * @property {number} connection which TCP connection it came on, counting up from 1
 * @property {string} method
 * @property {string} path without the query, which may hold a token
 * @property {string[][]} commands one array of words for each command; empty if they could not be read
 * @property {string} syncToken the Upstash-Sync-Token that came with it, or ""
 * @property {string} fault the fault that was applied, or "healthy"
 * @property {number} executions how often its commands have been executed, as counted in
 *   `redisCommands`; more than once, or after its client has gone, where a fault wants it so
 * @property {number | null} status the status answered; null as long as, and if, there is none
 */

export class RequestLog {
  /** @type {LoggedRequest[]} */
  #entries = [];
  #lastId = 0;
  /** @type {Set<() => void>} */
  #watchers = new Set();

  get entries() {
    return [...this.#entries];
  }

  /**
   * @param {Omit<LoggedRequest, "id" | "commands"> & { commands: readonly import("./call.mjs").Command[] }}
   *   request
   * @returns {LoggedRequest} the entry, to be completed by the caller
   */
  add(request) {
    this.#lastId += 1;
    const entry = { ...request, id: this.#lastId, commands: shorten(request.commands) };
    this.#entries.push(entry);
    if (this.#entries.length > MAX_ENTRIES) this.#entries.shift();
    for (const watcher of this.#watchers) watcher();
    return entry;
  }

  clear() {
    this.#entries = [];
  }

  /**
   * @param {string} match
   * @param {number} count
   * @returns {Promise<LoggedRequest[]>} when the log holds so many requests with `match` in a command: those
   */
  seen(match, count) {
    return new Promise((resolve) => {
      const watcher = () => {
        const found = this.#entries.filter((entry) => mentions(entry, match));
        if (found.length < count) return;
        this.#watchers.delete(watcher);
        resolve(found);
      };
      this.#watchers.add(watcher);
      watcher();
    });
  }
}

/**
 * @param {LoggedRequest} request
 * @param {string} match
 * @returns {boolean} whether one of its commands contains that text
 */
export function mentions(request, match) {
  return request.commands.some((words) => words.join(" ").includes(match));
}

/**
 * @param {readonly import("./call.mjs").Command[]} commands
 * @returns {string[][]}
 */
function shorten(commands) {
  /** @type {string[][]} */
  const kept = [];
  let size = 0;
  for (const command of commands) {
    /** @type {string[]} */
    const words = [];
    for (const argument of command) {
      if (size > MAX_REQUEST) return [...kept, words, ["..."]];
      // An empty argument takes memory, too.
      size += 16 + Math.min(argument.length, MAX_ARGUMENT);
      words.push(shortenArgument(argument));
    }
    kept.push(words);
  }
  return kept;
}

/** @param {Uint8Array} argument */
function shortenArgument(argument) {
  if (argument.length <= MAX_ARGUMENT) return textOf(argument);
  return `${textOf(argument.subarray(0, MAX_ARGUMENT))}... (${argument.length} bytes)`;
}
