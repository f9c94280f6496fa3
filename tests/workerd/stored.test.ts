/** Guards what is stored: compressed by the runtime's own streams, and looked at by schemas, between requests that come and go. */
import { gzipSync } from "node:zlib";
import type { CacheEvent, Stats } from "leeward";
import { describe, expect, test, vi } from "vitest";
import type { Isolate } from "./isolate.ts";
import { RUNTIMES, type Stage, startStage, together } from "./stage.ts";

interface State {
  events: CacheEvent[];
  decompressed: number;
  stats: Stats;
}

interface Found {
  outcome: string;
  same: boolean;
  own: boolean;
  reason?: string;
}

async function ask<T>(isolate: Isolate, path: string): Promise<T> {
  const { status, text } = await isolate.send(path, {}).answer;
  expect(status, text).toBe(200);
  return JSON.parse(text) as T;
}

const state = (isolate: Isolate) => ask<State>(isolate, "/state");
const read = (isolate: Isolate, key: string, taste = "takes") =>
  ask<Found>(isolate, `/read?key=${key}&taste=${encodeURIComponent(taste)}`);

describe.each(RUNTIMES)("what is stored, $name", (runtime) => {
  const start = () => startStage(runtime, { handler: "stored-worker.ts" });

  /** Stores one of the worker's values. */
  async function store(isolate: Isolate, key: string): Promise<void> {
    const { fills } = (await state(isolate)).stats;
    expect(await ask(isolate, `/store?key=${key}`)).toEqual({ value: true });
    await vi.waitFor(async () => expect((await state(isolate)).stats.fills).toBe(fills + 1), 10_000);
  }

  test("is compressed, and comes back as it went in, in the same isolate and in another", async () => {
    const { isolate, neighbour, hash } = await start();
    const other = await neighbour();
    for (const [key, kind] of [
      ["json", "J"],
      ["bytes", "B"],
      ["buffer", "A"],
    ] as const) {
      await store(isolate, key);
      expect((await hash(key))["h:"]?.split(" ")[7]).toBe(kind);
      for (const reader of [isolate, other]) {
        expect(await read(reader, key)).toMatchObject({ outcome: "hit", same: true });
      }
    }
    const { compressedFrom, compressedTo } = (await state(isolate)).stats;
    expect(compressedFrom).toBeGreaterThan(4_000_000);
    expect(compressedTo).toBeLessThan(compressedFrom / 4);
  });

  test("is read by many requests at once, each with a schema of its own that takes its time", async () => {
    const { isolate, neighbour } = await start();
    await store(await neighbour(), "json");
    const found = await together(30, () => read(isolate, "json", "takes later"));
    expect(found.every(({ outcome, same }) => outcome === "hit" && same)).toBe(true);
  });

  test("and is a bomb costs no more than one step of it", async () => {
    const { isolate, redis } = await start();
    await store(isolate, "bytes");
    const bomb = gzipSync(new Uint8Array(256 << 20)).toString("base64");
    await redis.command("HSET", "leeward:k::bytes", "b:", bomb);
    const before = (await state(isolate)).decompressed;
    expect(await read(isolate, "bytes")).toMatchObject({ outcome: "miss", own: true });
    const { decompressed, events } = await state(isolate);
    expect(decompressed - before).toBe(16_384);
    expect(events).toContainEqual(expect.objectContaining({ type: "failure", error: "decode" }));
  });

  test.for([16_384, 16_385, 40_000])("and is of %i noisy bytes is whole", async (length) => {
    const { isolate, neighbour, redis } = await start();
    await store(isolate, "buffer");
    // All of it must go in, some of it while nothing has come out yet.
    const noise = crypto.getRandomValues(new Uint8Array(length));
    const packed = gzipSync(noise, { level: 9 }).toString("base64");
    await redis.command("HSET", "leeward:k::buffer", "b:", packed);
    expect(await read(await neighbour(), "buffer")).toMatchObject({
      outcome: "hit",
      own: false,
      same: false,
    });
  });

  test("and is refused by the schema, at once or later, is computed once and stored anew", async () => {
    for (const taste of ["refuses", "refuses later"]) {
      const stage: Stage = await start();
      await store(await stage.neighbour(), "json");
      const found = await together(20, () => read(stage.isolate, "json", taste));
      expect(found.every(({ outcome, own }) => outcome === "miss" && own)).toBe(true);
      const { stats } = await state(stage.isolate);
      expect(stats.callbacks).toBeLessThan(20);
      await vi.waitFor(
        async () => expect((await state(stage.isolate)).stats.fills).toBeGreaterThan(0),
        10_000,
      );
    }
  });

  test("and never judged by the schema holds nobody up, also when the request that asked is gone", async () => {
    const { isolate, neighbour } = await start();
    await store(await neighbour(), "json");
    expect(await read(isolate, "json", "never answers")).toMatchObject({
      outcome: "bypass",
      reason: "timeout",
      own: true,
    });
    const other = await neighbour();
    const leader = other.send("/read?key=buffer&taste=never%20answers", {});
    await store(isolate, "buffer");
    const gone = other.send("/read?key=buffer&taste=never%20answers", {});
    const following = together(10, () => read(other, "buffer", "takes later"));
    gone.reset();
    leader.reset();
    await Promise.allSettled([leader.answer, gone.answer]);
    for (const { own, same } of await following) expect(own || same).toBe(true);
  });
});
