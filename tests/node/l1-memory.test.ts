/** What L1 takes of the process' memory: never more than it may, as V8 counts it. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { createCache } from "leeward";
import { createTestRedis } from "leeward/testing";
import { expect, onTestFinished, test } from "vitest";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

const MAX = 1 << 20;
const KEYS = 5_000;
const TURN = 250;

/** Small and large, flat and deep, with short and with long texts. */
function nth(n: number): unknown {
  const text = "x".repeat(n % 97);
  switch (n % 7) {
    case 0:
      return { id: n, name: text, [`own-${n}`]: n / 3 };
    case 1:
      return Array.from({ length: n % 50 }, (_, i) => ({ i, tags: [text] }));
    case 2:
      return Array.from({ length: n % 200 }, () => []);
    case 3:
      return `${text}\u20ac`;
    case 4:
      // Records by id: nobody else has these names.
      return Object.fromEntries(Array.from({ length: n % 60 }, (_, i) => [`${n}-${i}`, true]));
    case 5:
      return Array.from({ length: n % 30 }, () => ({ [n % 40]: true }));
    default:
      return Uint8Array.from({ length: n % 1000 }, (_, i) => i);
  }
}

test.for([
  "frozen",
  "copied",
] as const)("%s: takes no more memory than it may, however much comes", async (values) => {
  const redis = createTestRedis();
  onTestFinished(redis.install());
  const { url, token } = redis;
  const cache = createCache({
    url,
    token,
    timeout: { read: "30s" },
    l1: { ttl: "60s", maxBytes: MAX, values },
  });
  const plain = createCache({ url, token, timeout: { write: "30s" } });
  // Those of the other test are still there.
  const held = cache.stats().l1Bytes;
  for (let n = 0; n < KEYS; n += TURN) {
    const keys = Array.from({ length: TURN }, (_, i) => n + i);
    await Promise.all(keys.map((key) => plain.set(`key:${key}`, nth(key) as never)));
    await Promise.all(keys.map((key) => cache.get(`key:${key}`)));
    // Redis is in this memory, too.
    await Promise.all(keys.map((key) => plain.delete(`key:${key}`)));
    expect(cache.stats().l1Bytes - held).toBeLessThanOrEqual(MAX);
  }
  expect(cache.stats().l1Bytes - held).toBeGreaterThan(MAX / 2);
  await plain.invalidate({ all: true });
  const full = await use();
  const dropped = dropAll();
  expect(dropped).toBeGreaterThan(100);
  const taken = full - (await use());
  expect(taken).toBeGreaterThan(MAX / 10);
  expect(taken).toBeLessThan(MAX);
});

/** Bytes that the process has in use. */
async function use(): Promise<number> {
  await new Promise((resolve) => setImmediate(resolve));
  collect();
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

test("names that were cut out of larger texts do not keep those", async () => {
  const redis = createTestRedis();
  onTestFinished(redis.install());
  const { url, token } = redis;
  const cache = createCache({ url, token, l1: { ttl: "60s", maxBytes: MAX } });
  const before = await use();
  for (let n = 0; n < 100; n += 1) {
    const body = `${n}-${"0".repeat(30)};${String.fromCharCode(97 + (n % 26)).repeat(500_000)}`;
    const name = body.slice(0, 30);
    await cache.getOrSet(name, () => n, { tags: [name] });
    await redis.idle();
  }
  expect(cache.stats().l1Entries).toBeGreaterThanOrEqual(100);
  expect((await use()) - before).toBeLessThan(5_000_000);
});

interface L1 {
  spots(cache: number, link: number): { at(path: string): Map<string, { id: number }> };
  drop(held: { id: number }): void;
}

/** Lets go of all that the isolate holds, as if the core had said so. */
function dropAll(): number {
  const symbol = Object.getOwnPropertySymbols(globalThis).find(({ description }) =>
    description?.startsWith("leeward@"),
  );
  const isolates = globalThis as unknown as Record<symbol, { instance: { l1: L1 } } | undefined>;
  const l1 = isolates[symbol as symbol]?.instance.l1;
  let count = 0;
  for (let place = 0; place < 64; place += 1) {
    for (const held of [
      ...(l1
        ?.spots(place >> 3, place & 7)
        .at("")
        .values() ?? []),
    ]) {
      l1?.drop(held);
      count += 1;
    }
  }
  return count;
}
