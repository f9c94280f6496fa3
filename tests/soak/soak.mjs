/**
 * Mixed load with random faults against real isolates, for as long as one likes: two workerds, each with a gateway of its own to
 * one Redis. What must hold: no error reaches a client, nothing older than an applied invalidation is served, the
 * counters add up, memory is flat.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { transformSync } from "esbuild";
import { startGateway } from "../../dev/gateway.mjs";
import { startRedis } from "../../dev/redis.mjs";
import { serve } from "../workerd/serve.mjs";
import { failNowAndThen } from "./faults.mjs";
import { judge } from "./judge.mjs";
import { mib, residentBytes } from "./memory.mjs";
import { Random } from "./random.mjs";
import { Visitors } from "./visitors.mjs";

/** @typedef {import("./visit.ts").Look} Look */

const ISOLATES = 2;
const VISITORS = 16;

/**
 * @typedef {object} Isolate
 * @property {string} url
 * @property {import("../../dev/child.mjs").Child} child
 * @property {import("../../dev/gateway.mjs").Gateway} gateway
 * @property {import("./memory.mjs").Sample[]} samples
 */

/**
 * @param {{ minutes: number, seed: number, leavers: number, say: (line: string) => void }} options `leavers`: the share of
 *   visits whose visitor is gone before the answer
 * @returns {Promise<boolean>} whether all of it held
 */
export async function soak({ minutes, seed, leavers, say }) {
  const random = new Random(seed);
  const redis = await startRedis();
  const source = await startSource();
  const isolates = await Promise.all(
    Array.from({ length: ISOLATES }, () => startIsolate(redis.port, source.url)),
  );
  const visitors = new Visitors(leavers);
  const urls = isolates.map(({ url }) => url);
  try {
    say(
      `soak: ${minutes} minutes, ${ISOLATES} isolates, ${VISITORS} visitors, --seed ${seed} --leavers ${leavers}`,
    );
    const load = new AbortController();
    const own = () => new Random(random.integer(0, 2 ** 31));
    const failing = isolates.map(({ gateway }) => failNowAndThen(gateway, own(), load.signal));
    const visiting = Array.from({ length: VISITORS }, () => visitors.visit(urls, own(), load.signal));
    await watch(isolates, visitors, minutes, say);
    load.abort();
    const faults = (await Promise.all(failing)).reduce((a, b) => a + b);
    await Promise.all(visiting);
    const looks = await Promise.all(isolates.map((isolate) => rest(isolate, visitors)));
    const logs = isolates.map(({ child }) => child.output());
    const samples = isolates.map((isolate) => isolate.samples);
    const arrived = isolates.map(({ gateway }) => gateway.counters().httpRequests);
    return judge({ samples, arrived, looks, logs, visitors, minutes, faults, say });
  } finally {
    visitors.stop();
    await Promise.all(isolates.map(({ child }) => child.kill()));
    await Promise.all(isolates.map(({ gateway }) => gateway.stop()));
    await source.stop();
    await redis.stop();
  }
}

/**
 * @param {number} redisPort
 * @param {string} source
 * @returns {Promise<Isolate>}
 */
async function startIsolate(redisPort, source) {
  const file = (/** @type {string} */ path) => readFileSync(new URL(path, import.meta.url));
  const gateway = await startGateway({ redisPort });
  const worker = transformSync(file("worker.ts").toString(), {
    loader: "ts",
    format: "esm",
    target: "es2022",
  });
  const { url, child } = await serve([
    {
      name: "main",
      modules: {
        "worker.js": worker.code,
        leeward: file("../../dist/index.js"),
        "leeward.wasm": file("../../dist/leeward.wasm"),
      },
      env: {
        UPSTASH_REDIS_REST_URL: gateway.url,
        UPSTASH_REDIS_REST_TOKEN: gateway.token,
        SOURCE: source,
      },
    },
  ]);
  return { url: url("main"), child, gateway, samples: [] };
}

/** What is cached: a number for each path, one more with each POST. */
async function startSource() {
  /** @type {Map<string, number>} */
  const numbers = new Map();
  const server = createServer((request, response) => {
    const path = request.url ?? "";
    const number = (numbers.get(path) ?? 1) + (request.method === "POST" ? 1 : 0);
    numbers.set(path, number);
    // Data take a moment.
    setTimeout(() => response.end(String(number)), 5);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  return {
    url: `http://127.0.0.1:${port}`,
    stop() {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}

/**
 * @param {string} url
 * @returns {Promise<Look>}
 */
async function look(url) {
  return /** @type {Promise<Look>} */ ((await fetch(url)).json());
}

/**
 * Samples memory, and says each minute how it goes.
 * @param {readonly Isolate[]} isolates
 * @param {Visitors} visitors
 * @param {number} minutes
 * @param {(line: string) => void} say
 */
async function watch(isolates, visitors, minutes, say) {
  const began = Date.now();
  const end = began + minutes * 60_000;
  const every = Math.min(2000, (minutes * 60_000) / 40);
  let next = began + 60_000;
  for (;;) {
    const looks = await Promise.all(isolates.map(({ url }) => look(url)));
    const now = Date.now();
    for (const [index, { child, samples }] of isolates.entries()) {
      const wasm = looks[index]?.wasmBytes ?? 0;
      samples.push({ at: now - began, resident: residentBytes(child.pid), wasm });
    }
    if (now >= next || now >= end) {
      next += 60_000;
      say(`${((now - began) / 60_000).toFixed(1).padStart(5)} min: ${progress(isolates, looks, visitors)}`);
    }
    if (now >= end) return;
    await sleep(Math.min(every, end - now));
  }
}

/**
 * @param {readonly Isolate[]} isolates
 * @param {readonly Look[]} looks
 * @param {Visitors} visitors
 */
function progress(isolates, looks, visitors) {
  const sum = (/** @type {(look: Look) => number} */ of) => looks.reduce((all, one) => all + of(one), 0);
  const resident = isolates.map(({ samples }) => mib(samples.at(-1)?.resident ?? 0)).join(" + ");
  const wasm = looks.map(({ wasmBytes }) => mib(wasmBytes)).join(" + ");
  return [
    `${visitors.visits} visits`,
    `${sum(({ stats }) => stats.hits)} hits`,
    `${sum(({ stats }) => stats.bypasses)} bypasses`,
    `${sum(({ stats }) => stats.requests)} requests to Redis`,
    `RSS ${resident} MiB`,
    `wasm ${wasm} MiB`,
    `journal ${sum(({ stats }) => stats.journal)}`,
    `errors ${visitors.errors}`,
  ].join(", ");
}

/**
 * Waits until nothing is pending any more. Somebody must come by for that: what was told as pending is sent by others.
 * @param {Isolate} isolate
 * @param {Visitors} visitors
 * @returns {Promise<Look>}
 */
async function rest({ url, gateway }, visitors) {
  for (const end = Date.now() + 30_000; ; ) {
    await gateway.idle();
    const found = await look(url);
    const quiet = found.underWay.every((n) => n <= visitors.left);
    if (quiet && found.stats.journal === 0 && found.connection.state === "ready") return found;
    if (Date.now() > end) return found;
    if (found.stats.journal > 0 || found.connection.state !== "ready")
      await visitors.ask(url, { key: "key-at-rest", tag: "tag-at-rest", change: "delete" });
    await sleep(50);
  }
}
