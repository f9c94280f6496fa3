/**
 * A real Redis for development and tests: finds a server binary, runs it on 127.0.0.1 in a temporary folder
 * without persistence, and sees to it that it does not outlive this process.
 *
 * @module
 */
import { accessSync, constants, mkdtempSync, rmSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { startChild } from "./child.mjs";
import { RedisConnection } from "./connection.mjs";

/** The names under which a server that speaks Redis' protocol is installed. */
const NAMES = ["redis-server", "valkey-server"];
/** Places that are often missing from the PATH of editors, cron and CI. */
const FOLDERS = ["/usr/bin", "/usr/local/bin", "/opt/homebrew/bin"];
/** Where the set-up script unpacks a server of its own. */
const BUNDLED = fileURLToPath(new URL("../.leeward/redis/redis-server", import.meta.url));
/** How long a server may take to answer its first PING. */
const START_MS = 15_000;
/** A free port may be gone before Redis has bound it; then another one is tried. */
const PORT_TRIES = 5;

/**
 * @typedef {object} Redis
 * @property {number} port
 * @property {number} pid
 * @property {string} server the binary that runs
 * @property {(...command: import("./resp.mjs").Argument[]) => Promise<import("./resp.mjs").PlainReply>}
 *   command sends a command past the gateway, unseen by its counters; an error reply is thrown
 * @property {Promise<{ code: number | null, signal: string | null }>} exited resolves when the server has
 *   ended, for whatever reason
 * @property {() => string} log the server's last lines of output
 * @property {() => Promise<void>} stop ends it in good order; another may then be started on the same port
 * @property {() => Promise<void>} kill ends it with SIGKILL: sockets are cut, nobody is told
 */

/**
 * Finds a server: `LEEWARD_REDIS_SERVER` (a path or a name on the PATH, and then nothing else counts), the
 * PATH, the usual folders, and at last the one that the set-up script may have unpacked into `.leeward`.
 * @param {Record<string, string | undefined>} [env]
 * @returns {string | undefined} the path of the binary
 */
export function findRedisServer(env = process.env) {
  const onPath = (env.PATH ?? "").split(delimiter).filter(Boolean);
  const chosen = env.LEEWARD_REDIS_SERVER;
  if (chosen) {
    const places = chosen.includes("/") ? [chosen] : onPath.map((folder) => join(folder, chosen));
    return places.find(isExecutable);
  }
  const places = [...onPath, ...FOLDERS].flatMap((folder) => NAMES.map((name) => join(folder, name)));
  return [...places, BUNDLED].find(isExecutable);
}

/**
 * Starts a Redis.
 * @param {{ port?: number, args?: readonly string[], server?: string }} [options] `port`: default any free
 *   one; `args`: more arguments for the server, e.g. `["--maxmemory", "4mb"]`; `server`: the binary, default
 *   what `findRedisServer` finds
 * @returns {Promise<Redis>} when it answers PING
 * @throws {Error} when there is no binary, the port is taken, or the server ends or does not answer
 */
export async function startRedis(options = {}) {
  const server = options.server ?? findRedisServer();
  if (!server) throw new Error(noServerMessage());
  if (options.port) {
    if (!(await isFree(options.port))) throw new Error(portTakenMessage(options.port));
    return launch(server, options.port, options.args ?? []);
  }
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await launch(server, await freePort(), options.args ?? []);
    } catch (error) {
      if (!(error instanceof PortTakenError) || attempt === PORT_TRIES) throw error;
    }
  }
}

class PortTakenError extends Error {}

/**
 * @param {string} server
 * @param {number} port
 * @param {readonly string[]} args
 * @returns {Promise<Redis>}
 */
async function launch(server, port, args) {
  const folder = mkdtempSync(join(tmpdir(), "leeward-redis-"));
  const ownArgs = [
    "--port",
    String(port),
    "--bind",
    "127.0.0.1",
    "--dir",
    folder,
    "--save",
    "",
    "--appendonly",
    "no",
  ];
  const child = await startChild(server, [...ownArgs, "--daemonize", "no", ...args], {
    temporaryFolder: folder,
  }).catch((error) => {
    rmSync(folder, { recursive: true, force: true });
    throw new Error(`cannot start ${server}: ${error.message}`, { cause: error });
  });
  const connection = new RedisConnection({ port });
  const deadline = Date.now() + START_MS;
  while (!(await answers(connection, child.pid))) {
    connection.close();
    if (child.running() && Date.now() < deadline) {
      await Promise.race([child.exited, new Promise((resolve) => setTimeout(resolve, 5))]);
      continue;
    }
    const ended = !child.running();
    await child.kill();
    if (/address already in use/i.test(child.output())) throw new PortTakenError(portTakenMessage(port));
    const what = ended ? "ended before it answered" : `did not answer within ${START_MS} ms`;
    throw new Error(`${server} on port ${port} ${what}:\n${child.output()}`);
  }
  return {
    port,
    pid: child.pid,
    server,
    command: (...command) => connection.command(...command),
    exited: child.exited,
    log: child.output,
    async stop() {
      connection.close();
      await child.stop();
    },
    async kill() {
      await child.kill();
      connection.close();
    },
  };
}

/**
 * Whether the server at the other end answers, and is the process that was started: another Redis may sit on
 * the port.
 * @param {RedisConnection} connection
 * @param {number} pid
 * @returns {Promise<boolean>}
 */
async function answers(connection, pid) {
  try {
    const [pong, info] = await connection.send([["PING"], ["INFO", "server"]]);
    // With a password of its own (in `args`) it says NOAUTH to both: an answer, too.
    if (pong?.type === "error") return pong.text.startsWith("NOAUTH");
    if (info?.type !== "bulk" || info.bytes === null) return false;
    return new TextDecoder().decode(info.bytes).includes(`process_id:${pid}\r\n`);
  } catch {
    return false;
  }
}

/**
 * @param {string} path
 * @returns {boolean}
 */
function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/**
 * @param {number} port
 * @returns {Promise<boolean>}
 */
function isFree(port) {
  return listenOnce(port).then(
    () => true,
    () => false,
  );
}

/** @returns {Promise<number>} a port that nobody listens on at this moment */
function freePort() {
  return listenOnce(0);
}

/**
 * @param {number} port
 * @returns {Promise<number>}
 */
function listenOnce(port) {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", reject);
    probe.listen({ host: "127.0.0.1", port, exclusive: true }, () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === "object" && address ? address.port : port));
    });
  });
}

/** @param {number} port */
function portTakenMessage(port) {
  return `port ${port} on 127.0.0.1 is already in use: stop what listens there, or choose another port`;
}

function noServerMessage() {
  const chosen = process.env.LEEWARD_REDIS_SERVER;
  if (chosen) return `LEEWARD_REDIS_SERVER is ${JSON.stringify(chosen)}, which is not an executable file`;
  return (
    "no Redis server found: install redis-server or valkey-server " +
    "(Debian and Ubuntu: apt-get install redis-server, macOS: brew install valkey), " +
    "or set LEEWARD_REDIS_SERVER to the path of one"
  );
}
