/** Values that are compressed: in the background, only where it gains, exactly, and read by whoever comes. */
import { gzipSync } from "node:zlib";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { ofType, type Stage, startStage, until } from "./stage.ts";

let stage: Stage;
beforeEach(async () => {
  stage = await startStage();
});

const HASH = "leeward:k::key";
const field = async (name: string) => (await stage.redis.command("HGET", HASH, name)) as string;
const kindOf = async (): Promise<string | undefined> => (await field("h:")).split(" ")[7];

/** Random, so that nothing can be gained. */
const noise = (length: number) => crypto.getRandomValues(new Uint8Array(length));
const bytes = (length: number) => Uint8Array.from({ length }, (_, i) => (i >> 4) % 256);

describe.each(["callback", "set"])("the value of a %s", (by) => {
  const VALUES: Record<string, [kind: string, make: () => unknown]> = {
    JSON: ["J", () => ({ text: "Grüße, 世界, \u0000 \ud800 ".repeat(500), list: [1, null, { a: [] }] })],
    "a Uint8Array": ["B", () => bytes(40_000)],
    "an ArrayBuffer": ["A", () => bytes(40_000).buffer],
    "1 MB of JSON": ["J", () => Array.from({ length: 60_000 }, (_, id) => ({ id, even: id % 2 === 0 }))],
  };

  test.for(Object.entries(VALUES))("%s comes back as it went in", async ([, [kind, make]]) => {
    const { cache, events } = stage.cache({ compress: 1024 });
    if (by === "set") {
      expect(await cache.set("key", make() as string)).toEqual({ state: "applied", stored: true });
    } else {
      expect(await cache.getOrSet("key", make as () => string)).toEqual(make());
      await stage.filled(cache, 1);
    }
    expect(await kindOf()).toBe(kind);
    const [fill] = ofType(events, "fill");
    const { from, to } = fill?.compression ?? { from: 0, to: 0 };
    expect(to).toBe((await field("b:")).length);
    expect(from).toBeGreaterThan(2 * to);
    expect(cache.stats()).toMatchObject({ fills: 1, compressedFrom: from, compressedTo: to });
    // Whoever reads need not compress.
    const reader = stage.cache().cache;
    const found = await Promise.all([1, 2].map(() => reader.lookup("key")));
    for (const { outcome, value } of found) {
      expect(outcome).toBe("hit");
      expect(value).toEqual(make());
      expect(Object.getPrototypeOf(value)).toBe(Object.getPrototypeOf(make()));
    }
    expect(found[0]?.value).not.toBe(found[1]?.value);
  });

  test.for([
    ["below the threshold", () => "x".repeat(1021)],
    ["that gains nothing", () => noise(4096)],
    ["undefined", (): unknown => undefined],
  ] as [string, () => unknown][])("one %s is stored as it is", async ([, make]) => {
    const { cache, events } = stage.cache({ compress: 1024 });
    const made = make();
    if (by === "set") await cache.set("key", made as string);
    else await cache.getOrSet("key", () => made as string);
    await stage.filled(cache, 1);
    expect(await kindOf()).toMatch(/[jbu]/);
    expect(ofType(events, "fill")).toMatchObject([{ stored: true, compression: null }]);
    expect(cache.stats()).toMatchObject({ compressedFrom: 0, compressedTo: 0 });
    expect(await cache.get("key")).toEqual(made);
  });
});

test("the threshold counts bytes: one byte less is not compressed", async () => {
  const { cache } = stage.cache({ compress: 2048 });
  // With its quotes, in UTF-8.
  await cache.set("key", `${"é".repeat(1022)}x`);
  expect(await kindOf()).toBe("j");
  await cache.set("key", "é".repeat(1023));
  expect(await kindOf()).toBe("J");
});

test("nobody waits for it, and a runtime without it stores values as they are", async () => {
  vi.stubGlobal("CompressionStream", undefined);
  try {
    const { cache } = stage.cache({ compress: 1024 });
    await cache.getOrSet("key", () => "x".repeat(5000));
    await stage.filled(cache, 1);
    expect(await kindOf()).toBe("j");
  } finally {
    vi.unstubAllGlobals();
  }
});

test("an exact set compresses, too, in one request", async () => {
  const { cache } = stage.cache({ compress: 1024 });
  const client = cache.for({}, { waitUntil() {} });
  await client.getOrSet("key", () => "old");
  await stage.filled(cache, 1);
  await client.get("key");
  stage.gateway.reset();
  expect(await client.set("key", "x".repeat(5000))).toEqual({ state: "applied", stored: true });
  expect(stage.gateway.counters().httpRequests).toBe(1);
  expect(await kindOf()).toBe("J");
});

describe("what somebody forged is no hit, and is healed", () => {
  /** Puts a body of this kind where a valid entry lies. */
  async function forge(kind: string, body: string): Promise<void> {
    const { cache } = stage.cache();
    await cache.set("key", "stored");
    const words = (await field("h:")).split(" ");
    words[7] = kind;
    await stage.redis.command("HSET", HASH, "h:", words.join(" "), "b:", body);
  }
  const packed = (data: Uint8Array | string) => gzipSync(data).toString("base64");
  const whole = packed(JSON.stringify("x".repeat(10_000)));

  const FORGED: Record<string, [kind: string, body: string]> = {
    "truncated gzip": ["J", Buffer.from(whole, "base64").subarray(0, 30).toString("base64")],
    "gzip without its trailer": ["J", Buffer.from(whole, "base64").subarray(0, -8).toString("base64")],
    "a wrong checksum": [
      "J",
      Buffer.concat([Buffer.from(whole, "base64").subarray(0, -8), Buffer.alloc(8)]).toString("base64"),
    ],
    "nothing at all": ["J", ""],
    "no base64": ["J", "%%%"],
    "no gzip": ["B", Buffer.from("plain").toString("base64")],
    "JSON that is none": ["J", packed("{")],
    "what is no UTF-8": ["J", packed(Uint8Array.of(0x22, 0xff, 0x22))],
    "plain JSON under the kind of compressed": ["J", '"plain"'],
    "compressed JSON under the kind of plain": ["j", whole],
    "a kind of another version": ["Z", whole],
    "undefined, compressed": ["U", packed("")],
  };

  test.for(Object.entries(FORGED))("%s", async ([, [kind, body]]) => {
    await forge(kind, body);
    const { cache, events } = stage.cache();
    expect(await cache.lookup("key", () => "own")).toMatchObject({ value: "own", outcome: "miss" });
    expect(ofType(events, "failure")).toMatchObject([{ error: "decode" }]);
    await stage.filled(cache, 2);
    expect(await cache.lookup("key")).toMatchObject({ value: "own", outcome: "hit" });
  });

  test("a bomb: 64 MiB of one byte", async () => {
    await forge("B", packed(new Uint8Array(64 << 20)));
    const { cache } = stage.cache();
    const before = process.memoryUsage().arrayBuffers;
    expect(await cache.getOrSet("key", () => "own")).toBe("own");
    await until(() => process.memoryUsage().arrayBuffers - before < 32 << 20);
    await stage.filled(cache, 2);
    expect(await cache.get("key")).toBe("own");
  });
});

describe("maxValueBytes", () => {
  test("a larger value is returned, not stored, and counts before it is compressed", async () => {
    for (const compress of [false, 1024] as const) {
      const { cache, events } = stage.cache({ maxValueBytes: 2048, compress });
      const large = "x".repeat(2047);
      expect(await cache.lookup(`large ${compress}`, () => large)).toMatchObject({
        value: large,
        stored: false,
      });
      expect(ofType(events, "unstorable")).toMatchObject([{ reason: "it is over 2048 bytes when encoded" }]);
      expect(await cache.set(`set ${compress}`, large)).toEqual({ state: "applied", stored: false });
      const fits = "x".repeat(2046);
      expect(await cache.set(`fits ${compress}`, fits)).toEqual({ state: "applied", stored: true });
      expect(await cache.get(`fits ${compress}`)).toBe(fits);
    }
  });

  test.for([
    false,
    1024,
  ] as const)("a larger value of another cache is not read; compressed: %s", async (compress) => {
    await stage.cache({ compress }).cache.set("key", "x".repeat(5000));
    const { cache, events } = stage.cache({ maxValueBytes: 4096 });
    expect(await cache.lookup("key", () => "own")).toMatchObject({ value: "own", outcome: "miss" });
    expect(ofType(events, "failure")).toMatchObject([{ error: "decode" }]);
  });
});
