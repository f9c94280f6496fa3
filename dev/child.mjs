/**
 * A child process that cannot outlive the process that started it: not after a normal exit, not after Ctrl-C,
 * not after SIGTERM and not after SIGKILL. Development servers that stay behind hold their ports and make the
 * next run fail for no visible reason.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { rmSync } from "node:fs";

/** How many of the last lines of output a child keeps, for error messages. */
const KEPT_LINES = 200;

/**
 * @typedef {object} Child
 * @property {number} pid
 * @property {Promise<{ code: number | null, signal: string | null }>} exited resolves when the process has
 *   ended; never rejects
 * @property {() => boolean} running
 * @property {() => string} output the last lines of standard output and error
 * @property {(pattern: RegExp) => Promise<string>} line the first line, past or future, that matches; rejects
 *   if the child ends before
 * @property {(options?: { graceMs?: number }) => Promise<void>} stop SIGTERM, and SIGKILL after `graceMs`
 *   (2000); resolves when it has ended
 * @property {() => Promise<void>} kill SIGKILL; resolves when it has ended
 */

/**
 * Children that still run, each as the function that ends it at once.
 * @type {Set<() => void>}
 */
const living = new Set();
let handlersInstalled = false;

function endAll() {
  for (const end of living) end();
}

/** @param {"SIGINT" | "SIGTERM" | "SIGHUP"} signal */
function onSignal(signal) {
  endAll();
  // A listener takes the signal's default away. If nobody else listens, the process must end by it all the
  // same.
  if (process.listenerCount(signal) > 1) return;
  process.off(signal, onSignal);
  process.kill(process.pid, signal);
}

function installHandlers() {
  if (handlersInstalled) return;
  handlersInstalled = true;
  process.on("exit", endAll);
  for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"])) process.on(signal, onSignal);
}

/**
 * SIGKILL runs no handler, so a shell of its own waits on a pipe that only this process holds open, and kills
 * the child when the pipe closes. `read` is built into the shell: nothing else is left behind.
 * @param {number} pid
 * @param {string | undefined} folder
 */
function startWatchdog(pid, folder) {
  const script = 'read -r _; kill -9 "$1" 2>/dev/null; [ -z "$2" ] || rm -rf -- "$2"';
  const watchdog = spawn("/bin/sh", ["-c", script, "watchdog", String(pid), folder ?? ""], {
    stdio: ["pipe", "ignore", "ignore"],
    // In a group of its own, or Ctrl-C would end it together with those it watches.
    detached: true,
  });
  watchdog.on("error", () => {});
  watchdog.stdin.on("error", () => {});
  watchdog.unref();
  const pipe = /** @type {{ unref?: () => void }} */ (/** @type {unknown} */ (watchdog.stdin));
  pipe.unref?.();
  return { dismiss: () => void watchdog.kill("SIGKILL") };
}

/**
 * Starts a program.
 * @param {string} file
 * @param {readonly string[]} [args]
 * @param {{ cwd?: string, env?: Record<string, string | undefined>, temporaryFolder?: string, keptLines?: number }} [options]
 *   `temporaryFolder`: removed with all that is in it when the child has ended or this process ends; `keptLines`: how many of
 *   its last lines of output are kept, default 200
 * @returns {Promise<Child>} when it has been started
 * @throws {Error} when it cannot be started, e.g. because the file is missing
 */
export async function startChild(file, args = [], options = {}) {
  installHandlers();
  const child = spawn(file, args, { cwd: options.cwd, env: options.env, stdio: ["ignore", "pipe", "pipe"] });
  await new Promise((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", reject);
  });
  const pid = /** @type {number} */ (child.pid);
  const watchdog = startWatchdog(pid, options.temporaryFolder);

  /** @type {string[]} */
  const lines = [];
  /** @type {Set<(line: string) => void>} */
  const readers = new Set();
  /** @param {string} line */
  const keep = (line) => {
    lines.push(line);
    if (lines.length > (options.keptLines ?? KEPT_LINES)) lines.shift();
    for (const reader of readers) reader(line);
  };
  for (const stream of [child.stdout, child.stderr]) {
    let rest = "";
    stream.setEncoding("utf8");
    stream.on("data", (/** @type {string} */ text) => {
      const parts = (rest + text).split("\n");
      rest = parts.pop() ?? "";
      for (const line of parts) keep(line);
    });
    stream.on("end", () => {
      if (rest) keep(rest);
    });
  }

  let running = true;
  const cleanUp = () => {
    if (options.temporaryFolder) rmSync(options.temporaryFolder, { recursive: true, force: true });
  };
  const end = () => {
    child.kill("SIGKILL");
    cleanUp();
  };
  living.add(end);

  /** @type {Promise<{ code: number | null, signal: string | null }>} */
  const exited = new Promise((resolve) => {
    // "close" comes after the last output, which is what an error message wants to quote.
    child.once("close", (code, signal) => {
      running = false;
      living.delete(end);
      watchdog.dismiss();
      cleanUp();
      resolve({ code, signal });
    });
  });

  return {
    pid,
    exited,
    running: () => running,
    output: () => lines.join("\n"),
    line(pattern) {
      const past = lines.find((line) => pattern.test(line));
      if (past !== undefined) return Promise.resolve(past);
      return new Promise((resolve, reject) => {
        /** @param {string} line */
        const reader = (line) => {
          if (!pattern.test(line)) return;
          readers.delete(reader);
          resolve(line);
        };
        readers.add(reader);
        exited.then(({ code, signal }) => {
          readers.delete(reader);
          reject(
            new Error(
              `expected a line like ${pattern}, but the program ended (${signal ?? code}):\n${lines.join("\n")}`,
            ),
          );
        });
      });
    },
    async stop({ graceMs = 2000 } = {}) {
      if (!running) return;
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), graceMs);
      await exited;
      clearTimeout(timer);
    },
    async kill() {
      if (running) child.kill("SIGKILL");
      await exited;
    },
  };
}

/**
 * Starts a script with the node that runs this one.
 * @param {string} script
 * @param {readonly string[]} [args]
 * @param {Parameters<typeof startChild>[2]} [options]
 */
export function startNode(script, args = [], options = {}) {
  return startChild(process.execPath, [script, ...args], options);
}
