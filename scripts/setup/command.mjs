/**
 * External programs: where they are, and running one to its end.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { accessSync, constants, statSync } from "node:fs";
import { delimiter, join } from "node:path";

/**
 * @typedef {object} Result
 * @property {boolean} ok it ended by itself with code 0
 * @property {string} output what it wrote, standard output and error in the order of arrival
 * @property {string} reason how it ended, for messages
 */

/** @param {string} path */
export function isProgram(path) {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/**
 * @param {string} name
 * @param {string} [path] in place of the PATH
 * @returns {string | undefined} the path of the first program of that name on the PATH
 */
export function find(name, path = process.env.PATH ?? "") {
  const folders = path.split(delimiter).filter(Boolean);
  return folders.map((folder) => join(folder, name)).find(isProgram);
}

/**
 * Runs a program without input. Never rejects: a program that is missing is a result like any other failure.
 * @param {string} file
 * @param {readonly string[]} args
 * @param {{ cwd?: string, env?: Record<string, string | undefined> | undefined, timeoutMs?: number, echo?: boolean }} [options]
 *   `env` is added to this process' environment, `undefined` removes; `echo` also shows the output while it runs
 * @returns {Promise<Result>}
 */
export function run(file, args, options = {}) {
  return new Promise((resolve) => {
    const child = spawn(file, args, {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    /** @type {Buffer[]} */
    const chunks = [];
    let timedOut = false;
    const timer = options.timeoutMs
      ? setTimeout(() => {
          timedOut = true;
          child.kill("SIGKILL");
        }, options.timeoutMs)
      : undefined;
    /** @param {boolean} ok @param {string} reason */
    const end = (ok, reason) => {
      clearTimeout(timer);
      resolve({ ok, output: Buffer.concat(chunks).toString(), reason });
    };
    for (const [from, to] of /** @type {const} */ ([
      [child.stdout, process.stdout],
      [child.stderr, process.stderr],
    ])) {
      from.on("data", (/** @type {Buffer} */ chunk) => {
        chunks.push(chunk);
        if (options.echo) to.write(chunk);
      });
    }
    child.once("error", (error) => end(false, error.message));
    // "close" and not "exit": the last lines of a failure are the ones that matter. But a killed program's own children
    // may hold the pipe open for as long as they like.
    child.once("exit", () => {
      if (timedOut) end(false, `it did not end within ${(options.timeoutMs ?? 0) / 1000} s`);
    });
    child.once("close", (code, signal) =>
      end(code === 0, signal ? `ended by ${signal}` : `exit code ${code}`),
    );
  });
}

/**
 * @param {string} output
 * @param {number} [count]
 * @returns {string} its last lines, for a message
 */
export function lastLines(output, count = 30) {
  return output.trimEnd().split("\n").slice(-count).join("\n");
}
