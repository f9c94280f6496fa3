/** The demo's ports: each can be set, and a taken one is told before anything has been started. */
import { createServer } from "node:net";
import { ScriptError } from "../setup/report.mjs";

const HOST = "127.0.0.1";

/**
 * The port that a variable sets, which must be free; else `usual`, or, where `anyOther` allows it, any free one in its place.
 *
 * @param {string} name of the environment variable
 * @param {number} usual
 * @param {{ env?: Record<string, string | undefined>, anyOther?: boolean }} [options]
 * @returns {Promise<number>}
 * @throws {ScriptError} when it is taken, or none
 */
export async function choosePort(name, usual, { env = process.env, anyOther = true } = {}) {
  const text = env[name];
  const port = text ? portOf(name, text) : usual;
  if (await isFree(port)) return port;
  if (!text && anyOther) return freePort();
  throw new ScriptError(`port ${port} is taken: stop what listens there, or set ${name} to another port`);
}

/** @param {number} port */
export function isFree(port) {
  return listen(port).then(
    () => true,
    () => false,
  );
}

/**
 * A port that nobody listens on at this moment. By chance, below the range from which the system gives ports to whoever asks
 * for any: one of those may be gone again before it is used.
 *
 * @returns {Promise<number>}
 */
export async function freePort() {
  for (let tries = 0; tries < 50; tries++) {
    const port = 10_000 + Math.floor(Math.random() * 20_000);
    if (await isFree(port)) return port;
  }
  return listen(0);
}

/** @param {string} name @param {string} text */
function portOf(name, text) {
  const port = Number(text);
  if (Number.isInteger(port) && port >= 1 && port <= 65535) return port;
  throw new ScriptError(`${name}: expected a port from 1 to 65535, got ${JSON.stringify(text)}`);
}

/** @param {number} port @returns {Promise<number>} */
function listen(port) {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen({ port, host: HOST, exclusive: true }, () => {
      const address = server.address();
      const bound = typeof address === "object" && address ? address.port : port;
      server.close(() => resolve(bound));
    });
  });
}
