/**
 * `npm run bench:l1`: what a hit in L1 costs, awaited, beside the least that a memory of one's own would: a Map, and a look at how
 * old what is in it is. Both in one run, in turns; the medians of many rounds.
 *
 * @module
 */
import { createCache } from "leeward";
import { createTestRedis } from "leeward/testing";

const ROUNDS = 25;
const CALLS = 20_000;
const TTL = 60_000;

const redis = createTestRedis();
redis.install();
const cache = createCache({
  ...{ url: redis.url, token: redis.token, ttl: "1h" },
  l1: { ttl: TTL, maxBytes: 1 << 24 },
});
const copied = createCache({
  ...{ url: redis.url, token: redis.token, ttl: "1h" },
  l1: { ttl: TTL, maxBytes: 1 << 24, values: "copied" },
});

/** @param {number} bytes */
function rowsOf(bytes) {
  const rows = Math.ceil(bytes / 64);
  return Array.from({ length: rows }, (_, id) => ({ id, name: "x".repeat(40), done: id % 2 === 0 }));
}

/** The least: one Map, and a guard. */
const map = new Map();
/** @param {string} key */
async function guarded(key) {
  const held = map.get(key);
  if (held === undefined || Date.now() - held.at >= 60 * TTL) throw new Error("expected to have it");
  return held.value;
}

/**
 * Nanoseconds for each call.
 * @param {(key: string) => Promise<unknown>} get
 * @param {readonly string[]} keys
 */
async function time(get, keys) {
  const begun = process.hrtime.bigint();
  for (let n = 0; n < CALLS; n += 1) await get(keys[n % keys.length] ?? "");
  return Number(process.hrtime.bigint() - begun) / CALLS;
}

/** @param {number[]} times */
function median(times) {
  return times.sort((a, b) => a - b)[Math.floor(times.length / 2)] ?? 0;
}

const context = { waitUntil() {} };
const load = async () => 0;
const options = { tags: ["learners"], ttl: 3_600_000 };
for (const kib of [1, 10]) {
  const keys = Array.from({ length: 100 }, (_, n) => `learner:${kib}:${n}`);
  const value = rowsOf(kib * 1024);
  for (const key of keys) {
    map.set(key, { value, at: Date.now() });
    await cache.set(key, value, { tags: ["learners"] });
    await cache.getOrSet(key, load, options);
    await copied.get(key);
  }
  const bound = cache.for(undefined, context);
  /** @type {[string, (key: string) => Promise<unknown>, number[]][]} */
  const ways = [
    ["a Map and a guard", guarded, []],
    ["get", (key) => cache.get(key), []],
    ["get, of a bound client", (key) => bound.get(key), []],
    ["getOrSet, with tags", (key) => bound.getOrSet(key, load, options), []],
    ["get, copied", (key) => copied.get(key), []],
  ];
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [, get, times] of ways) times.push(await time(get, keys));
  }
  const base = median(ways[0]?.[2] ?? []);
  console.log(`${kib} KB`);
  for (const [name, , times] of ways) {
    const each = median(times);
    console.log(
      `  ${name.padEnd(26)}${each.toFixed(0).padStart(8)} ns${(each / base).toFixed(2).padStart(8)} x`,
    );
  }
}
const { l1Hits, requests } = cache.stats();
if (l1Hits < 3 * ROUNDS * CALLS)
  throw new Error(`expected hits alone, got ${l1Hits}, and ${requests} requests`);
