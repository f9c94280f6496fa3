/**
 * `npm start`: sets up and builds what is missing, then runs the demo: a Redis, the HTTP gateway in front of it, the slow
 * upstream, and the worker with its page under `wrangler dev`.
 *
 * PORT (8787), REDIS_PORT (6390), GATEWAY_PORT (8079), CONTROL_PORT (8078) and UPSTREAM_PORT (8790) set the ports,
 * UPSTREAM_DELAY (400) the upstream's slowness in ms, UPSTREAM_DATA the file of its records.
 *
 * @module
 */
import { startGateway } from "../dev/gateway.mjs";
import { startUpstream } from "../dev/upstream.mjs";
import { build } from "./build.mjs";
import { fail, ScriptError, say } from "./setup/report.mjs";
import { prepare } from "./setup.mjs";
import { guide } from "./start/guide.mjs";
import { readCommands } from "./start/keyboard.mjs";
import { endWithParent } from "./start/parent.mjs";
import { choosePort } from "./start/port.mjs";
import { redisSwitch } from "./start/redis-switch.mjs";
import { startWrangler, untilAnswering } from "./start/wrangler.mjs";

/** The page's own files, and its question every second what is new: they would bury what the worker says. */
const OF_THE_PAGE = /GET \/(?:events|[\w-]+\.(?:css|js|svg|woff2)) (?:200|304) /;

/** What has been started. @type {{ stop(): Promise<void> }[]} */
const started = [];
let stopping = false;

async function main() {
  endWithParent();
  // Before the set-up: nobody should wait minutes to be told that a port is taken.
  const ports = await choosePorts();
  const delay = delayOf(process.env.UPSTREAM_DELAY || "400");
  await prepare(import.meta.url);
  await build();
  endOnSignals();
  await run(ports, delay);
}

async function choosePorts() {
  return {
    worker: await choosePort("PORT", 8787, { anyOther: false }),
    redis: await choosePort("REDIS_PORT", 6390),
    gateway: await choosePort("GATEWAY_PORT", 8079),
    control: await choosePort("CONTROL_PORT", 8078),
    upstream: await choosePort("UPSTREAM_PORT", 8790),
  };
}

/** @param {string} text */
function delayOf(text) {
  const delay = Number(text);
  if (Number.isInteger(delay) && delay >= 0 && delay <= 60_000) return delay;
  throw new ScriptError(`UPSTREAM_DELAY: expected milliseconds from 0 to 60000, got ${JSON.stringify(text)}`);
}

/**
 * @param {Awaited<ReturnType<typeof choosePorts>>} ports
 * @param {number} delay
 */
async function run(ports, delay) {
  const data = process.env.UPSTREAM_DATA;
  const upstream = await startUpstream({ port: ports.upstream, delay, ...(data ? { file: data } : {}) });
  started.push(upstream);
  const redis = redisSwitch(ports.redis, tell);
  started.push(redis);
  const server = await redis.start();
  const gateway = await startGateway({
    redisPort: ports.redis,
    port: ports.gateway,
    controlPort: ports.control,
  });
  started.push(gateway);
  if (stopping) return;

  say("start: starting the worker (wrangler dev), which takes a few seconds");
  let answering = false;
  let polled = false;
  const worker = startWrangler({
    port: ports.worker,
    vars: {
      UPSTREAM_URL: upstream.url,
      UPSTASH_REDIS_REST_URL: gateway.url,
      UPSTASH_REDIS_REST_TOKEN: gateway.token,
      DEMO: "1",
      GATEWAY_CONTROL_URL: gateway.controlUrl,
    },
    onLine(line) {
      // The line of our own poll, which may come before or after the answer to it.
      if (!polled && line.includes("GET /connection 200")) polled = true;
      // The chatter of the start is of interest only if it fails, and is then part of the error.
      else if (answering && line && !OF_THE_PAGE.test(line)) tell(line.replace("[wrangler:info] ", ""));
    },
  });
  started.push(worker);
  await untilAnswering(worker, "/connection");
  answering = true;
  worker.exited.then((reason) => end(new ScriptError(`wrangler dev is gone: ${reason}`)));
  tell(guide({ worker: worker.url, upstream: upstream.url, gateway, redis: server }));

  const commands = readCommands((command) => {
    if (command === "r") redis.toggle();
    else if (command === "q") end();
    else if (command) tell("r: stops Redis, or starts it again. q: ends everything");
  });
  started.push({ stop: async () => commands.close() });
}

/** The demo's own output: standard output. @param {string} line */
function tell(line) {
  console.log(line);
}

function endOnSignals() {
  for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"])) {
    // Asked twice, it does not tidy up: the watchdogs of the children do.
    process.on(signal, () => (stopping ? process.exit(130) : end()));
  }
}

/**
 * Stops everything, and then this process: with a failure only if there is an error.
 *
 * @param {unknown} [error]
 */
async function end(error) {
  if (stopping) return;
  stopping = true;
  await Promise.allSettled(started.map((one) => one.stop()));
  if (error) fail(error);
  process.exit(0);
}

main().catch(end);
