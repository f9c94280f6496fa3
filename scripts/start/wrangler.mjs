/**
 * `wrangler dev` as the demo and its tests run it: local, offline, unattended, and gone when it is told to go.
 *
 * Wrangler has children of its own, so everything here is about the process group that it leads.
 */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { MODULES, ROOT, STATE } from "../setup/folders.mjs";
import { ScriptError } from "../setup/report.mjs";

const SCRATCH = join(STATE, "wrangler");
const GRACE_MS = 1500;
const KEPT_LINES = 100;

/** Wrangler needs node 22; the one of the lock file is used even where `node` is older. */
const OWN_NODE = join(MODULES, ".bin", "node");

/**
 * @typedef {object} Wrangler
 * @property {number} pid
 * @property {string} url
 * @property {Promise<string>} exited the reason, when it has ended
 * @property {() => string} output its last lines
 * @property {() => Promise<void>} stop ends it with all its children
 */

/**
 * @param {object} options
 * @param {number} options.port
 * @param {Record<string, string>} options.vars the worker's environment
 * @param {string} [options.config] default `wrangler.toml` of the root
 * @param {readonly string[]} [options.more] arguments of `wrangler dev` besides
 * @param {(line: string) => void} [options.onLine] called with each line of output
 * @returns {Wrangler} when it has been started; it answers later: see `untilAnswering`
 */
export function startWrangler({ port, vars, config = "wrangler.toml", more = [], onLine = () => {} }) {
  mkdirSync(SCRATCH, { recursive: true });
  // Local state of its own: two demos at once do not lock each other's databases.
  const state = mkdtempSync(join(SCRATCH, "state-"));
  const args = ["dev", "--local", "--config", config];
  args.push("--ip", "127.0.0.1", "--port", String(port), "--inspector-port", "0", "--persist-to", state);
  args.push("--show-interactive-dev-session=false", ...more);
  for (const [name, value] of Object.entries(vars)) args.push("--var", `${name}:${value}`);
  const child = spawnWrangler(args);
  const group = child.pid ?? 0;
  const dismiss = watch(group, state);
  /** @type {string[]} */
  const lines = [];
  for (const input of [child.stdout, child.stderr]) {
    createInterface({ input }).on("line", (line) => {
      lines.push(line);
      if (lines.length > KEPT_LINES) lines.shift();
      onLine(line);
    });
  }
  /** @type {Promise<string>} */
  const exited = new Promise((resolve) => {
    child.once("error", (error) => resolve(error.message));
    // What is left of the group when its leader has gone on its own also holds the pipes open, before "close".
    child.once("exit", () => signalGroup(group, "SIGKILL"));
    child.once("close", (code, signal) => resolve(`it ended with ${signal ?? `code ${code}`}`));
  });
  exited.then(() => {
    dismiss();
    rmSync(state, { recursive: true, force: true });
  });
  return {
    pid: group,
    url: `http://127.0.0.1:${port}`,
    exited,
    output: () => lines.join("\n"),
    async stop() {
      signalGroup(group, "SIGTERM");
      const timer = setTimeout(() => signalGroup(group, "SIGKILL"), GRACE_MS);
      await exited;
      clearTimeout(timer);
    },
  };
}

/**
 * Resolves when the worker answers `path`.
 *
 * @param {Wrangler} wrangler
 * @param {string} path
 * @param {number} [withinMs]
 */
export async function untilAnswering(wrangler, path, withinMs = 60_000) {
  /** @type {string | undefined} */
  let ended;
  wrangler.exited.then((reason) => {
    ended = reason;
  });
  for (const deadline = Date.now() + withinMs; !ended && Date.now() < deadline; ) {
    const signal = AbortSignal.timeout(5000);
    // The body may be late as well.
    const ok = await fetch(new URL(path, wrangler.url), { signal })
      .then((response) => response.arrayBuffer().then(() => response.ok))
      .catch(() => false);
    if (ok) return;
    await Promise.race([wrangler.exited, new Promise((resolve) => setTimeout(resolve, 50))]);
  }
  const problem = ended ?? `it does not answer ${path} within ${withinMs / 1000} s`;
  throw new ScriptError(`wrangler dev could not be started: ${problem}\n${wrangler.output()}`);
}

/**
 * Wrangler with any arguments, in the root, without a terminal.
 *
 * @param {readonly string[]} args
 */
export function spawnWrangler(args) {
  const node = existsSync(OWN_NODE) ? OWN_NODE : process.execPath;
  return spawn(node, ["node_modules/wrangler/bin/wrangler.js", ...args], {
    cwd: ROOT,
    env: { ...process.env, ...quiet() },
    stdio: ["ignore", "pipe", "pipe"],
    // A group of its own: Ctrl-C reaches the demo alone, which then ends the whole group, in order.
    detached: true,
  });
}

/** No reports, no look-ups, no colours, nothing written outside the checkout. */
function quiet() {
  return {
    CI: "1",
    NO_COLOR: "1",
    CLOUDFLARE_CF_FETCH_ENABLED: "false",
    WRANGLER_HIDE_BANNER: "true",
    WRANGLER_SEND_METRICS: "false",
    WRANGLER_SEND_ERROR_REPORTS: "false",
    WRANGLER_WRITE_LOGS: "false",
    WRANGLER_REGISTRY_PATH: join(SCRATCH, "registry"),
    XDG_CONFIG_HOME: join(SCRATCH, "config"),
  };
}

/** @param {number} group @param {NodeJS.Signals} signal */
function signalGroup(group, signal) {
  // 0 would be the caller's own group.
  if (group === 0) return;
  try {
    process.kill(-group, signal);
  } catch {
    // Gone already.
  }
}

/**
 * Ends the group when this process has ended without a chance to, by SIGKILL: a shell waits on a pipe that only this process
 * holds open.
 *
 * @param {number} group
 * @param {string} state the folder that goes with it
 * @returns {() => void} ends the watch
 */
function watch(group, state) {
  if (group === 0) return () => {};
  // `-s KILL`, since not every sh takes `--` after `-9`.
  const script = 'read -r _; kill -s KILL -- "-$1" 2>/dev/null; rm -rf "$2"';
  const watchdog = spawn("/bin/sh", ["-c", script, "watchdog", String(group), state], {
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
  });
  watchdog.on("error", () => {});
  watchdog.stdin.on("error", () => {});
  watchdog.unref();
  return () => void watchdog.kill("SIGKILL");
}
