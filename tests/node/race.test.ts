/** The race that caches lose: a slow fill, a write to the source, its invalidation, and a read after it was acknowledged. */
import type { Lookup } from "leeward";
import { beforeEach, describe, expect, test } from "vitest";
import { type Isolate, isolates } from "./isolates.ts";
import { type Stage, startStage } from "./stage.ts";

let stage: Stage;
beforeEach(async () => {
  stage = await startStage();
});

/** So many writes to the source, each read after in two isolates: with two tests 1,000 chances to be stale. */
const KEYS = 25;
const ROUNDS = 10;
/** Reads of each isolate between two invalidations, besides those that make it store again. */
const READS = 40;

/** The source of truth: a version for each key. */
class Source {
  readonly versions = new Map<string, number>();

  read = (key: string) => this.versions.get(key) ?? 0;

  write(key: string): number {
    const version = this.read(key) + 1;
    this.versions.set(key, version);
    return version;
  }
}

interface Tally {
  stale: number;
  reads: number;
  hits: number;
}

/** One key: each round reads while a fill is in flight, after it, and then until the next write. */
async function play(key: string, isolates: readonly Isolate[], byTag: boolean, tally: Tally): Promise<void> {
  const source = new Source();
  const options = { tags: [`tag of ${key}`] };
  const what = byTag ? options : { keys: [key] };
  for (let round = 0; round < ROUNDS; round += 1) {
    const writer = isolates[round % isolates.length] as Isolate;
    const filler = isolates[(round >> 1) % isolates.length] as Isolate;
    const gate = Promise.withResolvers<void>();
    const began = Promise.withResolvers<void>();
    // It reads the source before the write, and ends when the invalidation has been acknowledged.
    const slow = filler.cache.for().getOrSet(
      key,
      async () => {
        const version = source.read(key);
        began.resolve();
        await gate.promise;
        return version;
      },
      { ...options, forceFresh: true },
    );
    await began.promise;
    const version = source.write(key);
    await writer.cache.for().invalidate(what);
    gate.resolve();
    const load = async () => source.read(key);
    const note = ({ value, outcome }: Lookup<number>) => {
      tally.stale += Number(value < version);
      tally.hits += Number(outcome === "hit");
      tally.reads += 1;
      return outcome;
    };
    const look = ({ cache }: Isolate) => cache.for().lookup(key, load, options);
    const first = isolates.map(look);
    await slow;
    for (const found of await Promise.all(first)) note(found);
    for (const isolate of isolates) {
      while (note(await look(isolate)) !== "hit");
      const client = isolate.cache.for();
      const looked = Array.from({ length: READS }, () => client.lookup(key, load, options));
      for (const found of await Promise.all(looked)) note(found);
    }
  }
}

test.for([
  ["of one build, by key", ["v1", "v1"], false],
  ["of two builds, by tag", ["v1", "v2"], true],
] as const)("two isolates %s: give nothing older than the acknowledged invalidation, 0 of 500 times", {
  timeout: 120_000,
}, async ([, builds, byTag]) => {
  const caches = await Promise.all(builds.map((version) => isolates(2, { ...stage.settings, version })));
  const pair = [caches[0]?.[0], caches[1]?.[1]] as [Isolate, Isolate];
  const tally: Tally = { stale: 0, reads: 0, hits: 0 };
  await Promise.all(Array.from({ length: KEYS }, (_, i) => play(`key ${i}`, pair, byTag, tally)));
  expect(tally.stale).toBe(0);
  expect(tally.reads).toBeGreaterThanOrEqual(KEYS * ROUNDS * READS * 2);
  expect(tally.hits / tally.reads).toBeGreaterThanOrEqual(0.95);
});

describe("a command that reaches Redis after its client has given up, or once more", () => {
  test("as a fill, late: does not undo an invalidation that was acknowledged meanwhile", async () => {
    const [here, there] = (await isolates(2, { ...stage.settings, timeout: { write: "300ms" } })) as [
      Isolate,
      Isolate,
    ];
    await there.cache.get("connect");
    await here.cache.get("connect");
    await stage.gateway.fault("late", { match: '"old"', times: 1 });
    expect(await here.cache.getOrSet("key", () => "old", { tags: ["tag"] })).toBe("old");
    await stage.gateway.seen('"old"');
    for (const what of [{ keys: ["key"] }, { tags: ["tag"] }, { all: true }] as const) {
      expect(await there.cache.invalidate(what)).toEqual({ state: "applied" });
    }
    expect(await stage.gateway.release()).toBe(1);
    for (const { cache } of [here, there]) {
      expect(await cache.lookup("key", () => "new", { tags: ["tag"] })).not.toMatchObject({ value: "old" });
    }
  });

  test.for([
    ["first", "fill"],
    ["second", "fill"],
    ["first", "set"],
    ["second", "set"],
  ] as const)("answered the %s time, a %s executed twice: does not bring back what was invalidated between", async ([
    answer,
    by,
  ]) => {
    const [here, there] = (await isolates(2, stage.settings)) as [Isolate, Isolate];
    const client = here.cache.for(undefined, { waitUntil() {} });
    await there.cache.get("connect");
    await client.get("key");
    await stage.gateway.fault("twice", { match: '"old"', times: 1, hold: true, answer });
    const stored = by === "set" ? client.set("key", "old") : client.getOrSet("key", () => "old");
    await stage.gateway.seen('"old"');
    if (answer === "first") await stored;
    expect(await there.cache.invalidate({ keys: ["key"] })).toEqual({ state: "applied" });
    const between = await there.cache.set("key", "between");
    expect(between.state).toBe("applied");
    await stage.gateway.release();
    await stored;
    await stage.gateway.idle();
    expect(await there.cache.lookup("key", () => "new")).not.toMatchObject({ value: "old" });
    expect(await here.cache.lookup("key", () => "new")).not.toMatchObject({ value: "old" });
  });

  test("as an invalidation, late: ends more than it must, and never less", async () => {
    const { cache } = stage.cache({ timeout: { read: "300ms", write: "300ms" } });
    const [other] = (await isolates(1, stage.settings)) as [Isolate];
    await other.cache.set("key", "old");
    await stage.gateway.fault("late", { times: 1 });
    await cache.invalidate({ keys: ["key"] }).catch(() => {});
    await stage.gateway.release();
    expect(await other.cache.lookup("key", () => "new")).toMatchObject({ value: "new" });
  });
});
