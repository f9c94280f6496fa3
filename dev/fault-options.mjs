/**
 * The options of faults: what each means, and what it may be. An option that is misspelt or out of range must
 * not pass for a fault that does nothing, so it is refused with a message that names what is allowed.
 *
 * @module
 */

/**
 * @typedef {object} FaultOptions
 * @property {number} [times] only the next so many requests that match, then healthy; default all
 *   (flushScripts: 1)
 * @property {string} [match] only requests whose commands contain this text (words of a command parted by one
 *   space, e.g. `"GET user:7"`)
 * @property {number} [every] only each so many-th request that matches, beginning with the first: with 2 it flaps; default each
 * @property {boolean} [execute] whether Redis executes the commands all the same; each fault has its own
 *   default
 * @property {number} [delayMs] slow: the time before the answer, default 1000; late: the time from the
 *   request to the execution; twice: the time from the request to the second execution; both end early when
 *   they are told to, late without it waits until then
 * @property {"first" | "second"} [answer] twice: whose result the client gets, default that of the first
 * @property {boolean} [hold] twice: whether the second execution waits until it is told to, default false
 * @property {number} [chunkBytes] slow: send the body in pieces of so many bytes; default whole
 * @property {number} [chunkMs] slow: the time between pieces, default 10
 * @property {number} [code] status: default 503; redirect: default 302
 * @property {unknown} [body] status, html: a string as it is, anything else as JSON
 * @property {Record<string, string>} [headers] status: more headers, e.g. `{ "retry-after": "1" }`
 * @property {"container" | "results" | "fewer" | "more"} [shape] wrongTypes: an object for an array and an
 *   array for an object (default), results that no reply can be, too few results, too many
 * @property {number} [megabytes] oversize: the size of the reply, default 32
 * @property {boolean} [announced] oversize: whether a Content-Length says so before, default true
 * @property {string} [location] redirect: where to
 * @property {string} [error] redisError: the text that every command (with `match`: every command that
 *   contains it) is answered
 */

/**
 * @typedef {object} Kind
 * @property {string} expected what is allowed, in words
 * @property {(value: unknown) => boolean} fits
 */

/** The longest time that a timer of Node can wait; one that is longer would end at once. */
const MAX_MS = 2 ** 31 - 1;

/** Those that every fault knows. @type {readonly (keyof FaultOptions)[]} */
const COMMON = ["times", "match", "every", "execute"];

/** @type {Kind} */
const text = { expected: "a string", fits: (value) => typeof value === "string" };
/** @type {Kind} */
const flag = { expected: "true or false", fits: (value) => typeof value === "boolean" };
const duration = integer(0, MAX_MS);

/** @type {Partial<Record<keyof FaultOptions, Kind>>} */
const KINDS = {
  times: integer(1),
  match: text,
  every: integer(1),
  execute: flag,
  delayMs: duration,
  answer: oneOf("first", "second"),
  hold: flag,
  chunkBytes: integer(1),
  chunkMs: duration,
  code: integer(200, 599),
  headers: {
    expected: "an object of strings",
    fits: (value) =>
      typeof value === "object" &&
      value !== null &&
      Object.values(value).every((item) => typeof item === "string"),
  },
  shape: oneOf("container", "results", "fewer", "more"),
  megabytes: integer(1, 1024),
  announced: flag,
  location: text,
  error: { expected: "a string that is not empty", fits: (value) => text.fits(value) && value !== "" },
};

/**
 * @param {string} name that of the fault
 * @param {{ options: readonly (keyof FaultOptions)[], required?: readonly (keyof FaultOptions)[] }} fault
 * @param {Record<string, unknown>} options
 * @throws {TypeError}
 */
export function checkOptions(name, fault, options) {
  // Connections that are refused cannot be counted or read, and a healthy gateway has nothing to choose.
  const known = name === "refuse" || name === "healthy" ? [] : [...COMMON, ...fault.options];
  for (const [option, value] of Object.entries(options)) {
    if (value === undefined) continue;
    if (!known.some((one) => one === option)) {
      throw new TypeError(
        `unknown option ${JSON.stringify(option)} of fault ${name}, expected ${known.join(", ") || "none"}`,
      );
    }
    const kind = KINDS[/** @type {keyof FaultOptions} */ (option)];
    if (kind && !kind.fits(value)) {
      throw new TypeError(
        `bad option ${option} of fault ${name}: expected ${kind.expected}, got ${JSON.stringify(value)}`,
      );
    }
  }
  for (const option of fault.required ?? []) {
    if (options[option] === undefined) throw new TypeError(`fault ${name} needs the option ${option}`);
  }
}

/**
 * @param {number} min
 * @param {number} [max]
 * @returns {Kind}
 */
function integer(min, max = Number.MAX_SAFE_INTEGER) {
  return {
    expected: `an integer from ${min}${max === Number.MAX_SAFE_INTEGER ? "" : ` to ${max}`}`,
    fits: (value) => Number.isSafeInteger(value) && Number(value) >= min && Number(value) <= max,
  };
}

/**
 * @param {...string} values
 * @returns {Kind}
 */
function oneOf(...values) {
  return {
    expected: values.map((value) => JSON.stringify(value)).join(" or "),
    fits: (value) => values.some((one) => one === value),
  };
}
