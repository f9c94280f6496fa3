/**
 * A Redis over HTTP for development and tests: Upstash's REST protocol in front of a real Redis on this
 * machine, with faults that can be switched while it runs, and with counters of what its clients cost. For
 * use in-process (`startGateway`), over its control port, and as a program:
 *
 *   node dev/gateway.mjs --port 8079 --redis-port 6379     without --redis-port it starts a Redis of its own
 *
 * A token may carry a label, `<token>.<label>`: the same rights under other credentials, for clients that keep a connection for
 * each.
 *
 * Not served: /subscribe, /psubscribe and /monitor (server-sent events), ACL RESTTOKEN, and commands that
 * Redis itself does not have.
 *
 * @module
 */
import { randomBytes } from "node:crypto";
import { realpathSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { startControl } from "./control.mjs";
import { Counter } from "./counter.mjs";
import { Exchange } from "./exchange.mjs";
import { FaultSwitch } from "./fault-switch.mjs";
import { HeldRequests } from "./held-requests.mjs";
import { Listener } from "./listener.mjs";
import { RequestLog } from "./log.mjs";
import { READ_ONLY_SET_UP, RedisPool } from "./pool.mjs";
import { startRedis } from "./redis.mjs";
import { Service } from "./service.mjs";

/** @typedef {import("./counter.mjs").Counters} Counters */
/** @typedef {import("./fault.mjs").FaultName} FaultName */
/** @typedef {import("./fault-options.mjs").FaultOptions} FaultOptions */
/** @typedef {import("./fault-switch.mjs").FaultState} FaultState */
/** @typedef {import("./held-requests.mjs").HeldRequest} HeldRequest */
/** @typedef {import("./log.mjs").LoggedRequest} LoggedRequest */

/**
 * @typedef {object} GatewayOptions
 * @property {number} redisPort the Redis on 127.0.0.1; it need not run yet
 * @property {number | undefined} [port] default any free one
 * @property {string | undefined} [token] default a random one
 * @property {string | undefined} [readOnlyToken] default a random one
 * @property {number | undefined} [controlPort] default any free one
 * @property {number | undefined} [maxRequestBytes] the largest request body, default 10 MB
 * @property {number | undefined} [poolSize] the most sockets to Redis for each of the two tokens, default 4
 */

/**
 * @typedef {object} GatewayState
 * @property {string} url
 * @property {FaultState} fault
 * @property {HeldRequest[]} held requests that `late` and `twice` hold, oldest first; at most 1000, then the
 *   oldest is dropped
 * @property {Counters} counters
 */

/**
 * @typedef {object} Gateway
 * @property {string} url
 * @property {string} controlUrl
 * @property {number} port
 * @property {string} token
 * @property {string} readOnlyToken
 * @property {(name: FaultName, options?: FaultOptions) => Promise<void>} fault switches a fault on, for the
 *   requests that arrive from now on; those that hang or are held stay so
 * @property {() => GatewayState} state
 * @property {() => Counters} counters
 * @property {(match?: string) => Promise<number>} release executes what is held, oldest first, whether or not
 *   its client still waits; with `match` only requests with this text in a command. Resolves when it is
 *   executed, to the number of those requests
 * @property {() => Promise<void>} settled resolves when nothing is held any more: executed or dropped
 * @property {() => Promise<void>} reset healthy again, counters at zero (but for what is open), the log
 *   empty; what is held is dropped: never executed, and clients that still wait for it are cut. Redis keeps
 *   its data
 * @property {readonly LoggedRequest[]} requests the last 1000 requests, oldest first
 * @property {(match?: string, count?: number) => Promise<LoggedRequest[]>} seen resolves when the log holds
 *   so many requests (default 1) with `match` in a command: what a test waits for instead of sleeping
 * @property {() => Promise<void>} idle resolves when no request is open
 * @property {() => Promise<void>} stop closes the ports, cuts all connections and drops what is held
 */

/**
 * Starts a gateway.
 * @param {GatewayOptions} options
 * @returns {Promise<Gateway>} when it listens
 * @throws {Error} when a port is taken
 */
export async function startGateway(options) {
  const token = options.token ?? randomBytes(16).toString("hex");
  const readOnlyToken = options.readOnlyToken ?? randomBytes(16).toString("hex");
  const size = options.poolSize ?? 4;
  const full = new RedisPool({ port: options.redisPort, size });
  const readOnly = new RedisPool({ port: options.redisPort, size, setUp: READ_ONLY_SET_UP });
  const counter = new Counter();
  const faults = new FaultSwitch();
  const held = new HeldRequests();
  const log = new RequestLog();
  const service = new Service({
    poolOf: (shown) => (is(token, shown) ? full : is(readOnlyToken, shown) ? readOnly : undefined),
    maxBytes: options.maxRequestBytes ?? 10 * 1024 * 1024,
    counter,
    faults,
    held,
    log,
  });
  /** @type {WeakMap<import("node:net").Socket, number>} */
  const numbers = new WeakMap();
  let connections = 0;
  let moved = Promise.resolve();

  const listener = new Listener(
    (request, response) => {
      const { url: target = "/", method = "GET", headers } = request;
      const connection = numbers.get(request.socket) ?? 0;
      const exchange = new Exchange(request, response);
      service.handle(exchange, { method, target, headers, connection }).catch((error) => {
        // A client that goes away while it sends is everyday.
        if (request.socket.destroyed) return;
        // Anything else is a bug here, and must not look like a fault that was asked for.
        process.emitWarning(error);
        if (!response.headersSent) response.writeHead(500, { "content-type": "text/plain" });
        response.end(`bug in the gateway: ${error.stack}\n`);
      });
    },
    {
      port: options.port ?? 0,
      onOpen(socket) {
        connections += 1;
        numbers.set(socket, connections);
        counter.connectionOpened();
      },
      onClose: () => counter.connectionClosed(),
    },
  );

  /**
   * @param {string} name
   * @param {FaultOptions} options
   */
  async function fault(name, options = {}) {
    faults.set(name, options);
    const move = () => (name === "refuse" ? listener.close() : listener.open());
    // One after the other: a port cannot be opened while it is being closed.
    moved = moved.then(move, move);
    await moved;
  }
  async function reset() {
    await fault("healthy");
    held.drop();
    counter.reset();
    log.clear();
  }
  const state = () => ({
    url: listener.url,
    fault: faults.state,
    held: held.entries,
    counters: counter.read(),
  });
  /** @param {string} [match] */
  const release = (match) => held.release(match);

  await listener.open();
  const control = await startControl(
    { state, requests: () => log.entries, fault, release, reset },
    options.controlPort ?? 0,
  ).catch(async (error) => {
    await listener.close();
    throw error;
  });
  return {
    url: listener.url,
    controlUrl: control.url,
    port: listener.port,
    token,
    readOnlyToken,
    fault,
    state,
    counters: () => counter.read(),
    release,
    settled: () => held.settled(),
    reset,
    get requests() {
      return log.entries;
    },
    idle: () => counter.idle(),
    seen: (match = "", count = 1) => log.seen(match, count),
    async stop() {
      await Promise.all([listener.close(), control.close()]);
      // After the ports: nothing more can come to be held, and no timer of it keeps the process alive.
      held.drop();
      full.close();
      readOnly.close();
    },
  };
}

/**
 * @param {string} token
 * @param {string | undefined} shown
 */
function is(token, shown) {
  return shown === token || (shown?.startsWith(`${token}.`) ?? false);
}

/** The program: prints one line of JSON when it is ready, ends on SIGINT and SIGTERM. */
async function main() {
  const { values } = parseArgs({
    options: {
      port: { type: "string" },
      "redis-port": { type: "string" },
      "control-port": { type: "string" },
      token: { type: "string" },
      "read-only-token": { type: "string" },
      "max-request-bytes": { type: "string" },
    },
  });
  const own = values["redis-port"] === undefined ? await startRedis() : undefined;
  const redisPort = own?.port ?? integer("redis-port", values["redis-port"]) ?? 6379;
  const gateway = await startGateway({
    redisPort,
    port: integer("port", values.port),
    controlPort: integer("control-port", values["control-port"]),
    maxRequestBytes: integer("max-request-bytes", values["max-request-bytes"]),
    token: values.token,
    readOnlyToken: values["read-only-token"],
  });
  const { url, controlUrl, token, readOnlyToken } = gateway;
  console.log(JSON.stringify({ ready: true, url, controlUrl, redisPort, token, readOnlyToken }));
  const stop = async () => {
    await gateway.stop();
    await own?.stop();
    process.exit(0);
  };
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);
}

/**
 * @param {string} name
 * @param {string | undefined} text
 * @returns {number | undefined}
 */
function integer(name, text) {
  if (text === undefined) return undefined;
  if (!/^\d+$/.test(text)) throw new TypeError(`--${name} expects a number, got ${JSON.stringify(text)}`);
  return Number(text);
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  main().catch((error) => {
    console.error(error.message);
    process.exit(1);
  });
}
