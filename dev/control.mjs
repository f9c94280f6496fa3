/**
 * The gateway's control port: the same switches over HTTP, for tests and demos that run in another process.
 *
 *   GET  /              { url, fault, counters }
 *   GET  /requests      the log of the last requests
 *   POST /fault/:name   options as JSON, e.g. { "times": 2 } -> the new state, or 400 { "error" }
 *   POST /reset         healthy again, counters at zero, the log empty -> the new state
 *
 * @module
 */
import { Listener } from "./listener.mjs";

/** Options of a fault are small. */
const MAX_BODY = 1024 * 1024;

/**
 * @typedef {object} Controlled
 * @property {() => unknown} state
 * @property {() => unknown} requests
 * @property {(name: string, options: Record<string, unknown>) => Promise<void>} fault
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
  const name = /^POST \/fault\/([^/?]+)$/.exec(route)?.[1];
  if (!name)
    return {
      status: 404,
      value: { error: "expected GET /, GET /requests, POST /fault/:name or POST /reset" },
    };
  const options = body.trim() === "" ? {} : JSON.parse(body);
  if (typeof options !== "object" || options === null || Array.isArray(options))
    throw new TypeError("expected the options as a JSON object");
  await gateway.fault(name, options);
  return { status: 200, value: gateway.state() };
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
