/**
 * The gateway's control port: the same switches over HTTP, for tests and demos that run in another process.
 *
 *   GET  /              { url, fault, held, counters }
 *   GET  /requests      the log of the last requests
 *   POST /fault/:name   options as JSON, e.g. { "times": 2 } -> the new state, or 400 { "error" }
 *   POST /release       executes what `late` and `twice` hold, or of it what has { "match": "a text" } in a
 *                       command -> { released } and the new state, when it is executed
 *   POST /reset         healthy again, what is held dropped, counters at zero, the log empty -> the new state
 *
 * @module
 */
import { Listener } from "./listener.mjs";

/** Options of a fault are small. */
const MAX_BODY = 1024 * 1024;

/**
 * @typedef {object} Controlled
 * @property {() => object} state
 * @property {() => unknown} requests
 * @property {(name: string, options: Record<string, unknown>) => Promise<void>} fault
 * @property {(match?: string) => Promise<number>} release
 * @property {() => Promise<void>} reset
 */

/**
 * @param {Controlled} gateway
 * @param {number} port 0 for any free one
 */
export async function startControl(gateway, port) {
  const listener = new Listener(
    async (request, response) => {
      const { status, value } = await answer(gateway, request).catch((error) => ({
        status: 400,
        value: { error: error.message },
      }));
      response.writeHead(status, { "content-type": "application/json" });
      response.end(`${JSON.stringify(value, null, 2)}\n`);
    },
    { port },
  );
  await listener.open();
  return listener;
}

/**
 * @param {Controlled} gateway
 * @param {import("node:http").IncomingMessage} request
 * @returns {Promise<{ status: number, value: unknown }>}
 */
async function answer(gateway, request) {
  const route = `${request.method} ${request.url}`;
  const body = await readText(request);
  if (route === "GET /") return { status: 200, value: gateway.state() };
  if (route === "GET /requests") return { status: 200, value: gateway.requests() };
  if (route === "POST /reset") {
    await gateway.reset();
    return { status: 200, value: gateway.state() };
  }
  if (route === "POST /release") {
    const released = await gateway.release(matchOf(optionsOf(body)));
    return { status: 200, value: { released, ...gateway.state() } };
  }
  const name = /^POST \/fault\/([^/?]+)$/.exec(route)?.[1];
  if (!name)
    return {
      status: 404,
      value: { error: "expected GET /, GET /requests, POST /fault/:name, POST /release or POST /reset" },
    };
  await gateway.fault(name, optionsOf(body));
  return { status: 200, value: gateway.state() };
}

/**
 * @param {string} body
 * @returns {Record<string, unknown>}
 */
function optionsOf(body) {
  const options = body.trim() === "" ? {} : JSON.parse(body);
  if (typeof options !== "object" || options === null || Array.isArray(options))
    throw new TypeError("expected the options as a JSON object");
  return options;
}

/**
 * A misspelt `match` must not release everything.
 * @param {Record<string, unknown>} options those of a release
 */
function matchOf({ match, ...unknown }) {
  const [option] = Object.keys(unknown);
  if (option !== undefined)
    throw new TypeError(`unknown option ${JSON.stringify(option)} of release, expected match`);
  if (match !== undefined && typeof match !== "string")
    throw new TypeError(`bad option match of release: expected a string, got ${JSON.stringify(match)}`);
  return match;
}

/** @param {import("node:http").IncomingMessage} request */
async function readText(request) {
  let text = "";
  request.setEncoding("utf8");
  for await (const chunk of request) {
    text += chunk;
    if (text.length > MAX_BODY) throw new Error(`expected at most ${MAX_BODY} bytes`);
  }
  return text;
}
