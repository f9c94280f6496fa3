/**
 * What the scripts tell the person who runs them: one line for each long step, and errors that name the ways out.
 *
 * All of it goes to standard error: standard output belongs to the result (`npm pack --json` runs the build, too).
 *
 * @module
 */

/** @param {string} line */
export function say(line) {
  process.stderr.write(`${line}\n`);
}

/**
 * Something cannot be had, or a step has failed; the message is meant for a person and needs no stack.
 */
export class ScriptError extends Error {
  /**
   * @param {string} message what is missing and why it is needed
   * @param {{ ways?: readonly string[], tried?: readonly string[] }} [details] `ways`: how to get it, each good alone;
   *   `tried`: what this script did, and how it ended
   */
  constructor(message, { ways = [], tried = [] } = {}) {
    const list = (/** @type {string} */ title, /** @type {readonly string[]} */ items) =>
      items.length
        ? `\n  ${title}:${items.map((item) => `\n    - ${item.replaceAll("\n", "\n      ")}`).join("")}`
        : "";
    super(
      `${message}${list("tried", tried)}${list(ways.length > 1 ? "any of these helps" : "this helps", ways)}`,
    );
  }
}

/**
 * Ends the process with the error's message; other errors are defects and keep their stack.
 * @param {unknown} error
 * @returns {never}
 */
export function fail(error) {
  say(
    error instanceof ScriptError
      ? `\nerror: ${error.message}`
      : String((error instanceof Error && error.stack) || error),
  );
  process.exit(1);
}
