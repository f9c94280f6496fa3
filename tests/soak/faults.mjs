/**
 * A Redis that fails now and then: healthy for some seconds, then one fault of many, for a while or for some requests.
 *
 * @module
 */
import { setTimeout as sleep } from "node:timers/promises";

/** @typedef {import("../../dev/gateway.mjs").FaultName} FaultName */
/** @typedef {import("../../dev/gateway.mjs").FaultOptions} FaultOptions */

/**
 * All but a refusal for good (NOPERM), which ends caching for as long as an entry can live, as it must.
 * @type {readonly [FaultName, FaultOptions?][]}
 */
const FAULTS = [
  ["refuse"],
  ["resetBeforeHeaders"],
  ["resetAfterHeaders"],
  ["resetMidBody"],
  ["loseReply"],
  ["hang"],
  ["hangAfterHeaders"],
  ["slow", { delayMs: 150 }],
  ["slow", { delayMs: 20, chunkBytes: 40, chunkMs: 15 }],
  ["late", { delayMs: 700 }],
  ["twice", { delayMs: 300 }],
  ["twice", { answer: "second" }],
  ["status", { code: 401 }],
  ["status", { code: 429 }],
  ["status", { code: 500 }],
  ["status", { code: 503 }],
  ["html"],
  ["truncated"],
  ["empty"],
  ["wrongTypes", { shape: "results" }],
  ["wrongTypes", { shape: "fewer" }],
  ["oversize", { megabytes: 17, times: 2 }],
  ["redirect", { location: "http://127.0.0.1:9/" }],
  ["redisError", { error: "LOADING Redis is loading the dataset in memory" }],
  ["redisError", { error: "OOM command not allowed when used memory > 'maxmemory'." }],
  ["redisError", { error: "READONLY You can't write against a read only replica." }],
  ["redisError", { error: "ERR max daily request limit exceeded" }],
  ["flushScripts", { times: 3 }],
];

/**
 * Has the gateway fail until it is told to stop, and leaves it healthy.
 * @param {import("../../dev/gateway.mjs").Gateway} gateway
 * @param {import("./random.mjs").Random} random
 * @param {AbortSignal} signal
 * @returns {Promise<number>} how many faults there were
 */
export async function failNowAndThen(gateway, random, signal) {
  let count = 0;
  const pause = (/** @type {number} */ ms) => sleep(ms, undefined, { signal }).catch(() => {});
  while (!signal.aborted) {
    await pause(random.integer(1000, 8000));
    if (signal.aborted) break;
    const [name, options = {}] = random.one(FAULTS);
    const some = random.chance(0.3) && name !== "refuse";
    await gateway.fault(name, some ? { times: random.integer(1, 8), ...options } : options);
    count += 1;
    await pause(random.integer(100, 1500));
    await gateway.fault("healthy");
  }
  await gateway.fault("healthy");
  return count;
}
