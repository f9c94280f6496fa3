/** Guards that an invalidation wins over everything that was read before it, and is never lost without a word. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { Isolate } from "./isolate.ts";
import { RUNTIMES, type Stage, startStage, together } from "./stage.ts";
import type { Ended } from "./visit.ts";

const PATIENT = { timeout: { read: "20s", write: "20s", flight: "20s" } };
const HASTY = { timeout: { read: 300, write: 300 } };
const APPLIED = { value: { state: "applied" } };
const SOURCE = readFileSync(new URL("../../src/core/redis/drop.lua", import.meta.url), "utf8");
/** SHA-1 or text of the drop script, as either names it in a request. */
const DROP = new RegExp(`^(${createHash("sha1").update(SOURCE).digest("hex")}|-- drop)`);

const lookup = (isolate: Isolate, value: string) => isolate.call({ op: "lookup", key: "k", load: { value } });

/** Asks until the key is a hit. */
async function untilHit(isolate: Isolate, value: string): Promise<Ended> {
  for (const end = Date.now() + 12_000; ; ) {
    const ended = await lookup(isolate, value);
    if ((ended.value as { outcome: string }).outcome === "hit") return ended;
    if (Date.now() > end) throw new Error(`no hit: ${JSON.stringify(await isolate.state())}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** A callback of this isolate holds a value that was read before the invalidation. */
async function slowFill({ isolate }: Stage): Promise<() => Promise<Ended>> {
  const filling = isolate.call(
    { op: "lookup", key: "k", load: { gate: "go", value: "old" } },
    { options: PATIENT },
  );
  await isolate.until(({ books }) => books.k?.waiting === 1);
  return async () => {
    await isolate.open("go");
    return filling;
  };
}

async function expectRefusedFill(stage: Stage, finish: () => Promise<Ended>): Promise<void> {
  expect((await finish()).value).toMatchObject({ value: "old", outcome: "miss" });
  const { events, stats } = await stage.isolate.until(
    (state) => state.stats.fills + state.stats.fillsRefused === 1,
  );
  expect(stats).toMatchObject({ fills: 0, fillsRefused: 1 });
  expect(events.filter(({ type }) => type === "fill")).toMatchObject([
    { stored: false, reason: "overtaken" },
  ]);
  expect(JSON.stringify(await stage.hash("k"))).not.toContain("old");
  expect((await lookup(stage.isolate, "new")).value).toMatchObject({ value: "new", outcome: "miss" });
  await stage.settled();
}

describe.each(RUNTIMES)("an invalidation, $name", (runtime) => {
  test.each([
    "invalidate",
    "delete",
    "set",
  ] as const)("by %s from the same isolate refuses the fill that it has overtaken", async (op) => {
    const stage = await startStage(runtime);
    const finish = await slowFill(stage);
    const key = "k";
    const ended = await stage.isolate.call(op === "set" ? { op, key, value: "set" } : { op, key });
    expect(ended).toMatchObject(APPLIED);
    if (op !== "set") return expectRefusedFill(stage, finish);
    expect((await finish()).value).toMatchObject({ value: "old" });
    await stage.isolate.until(({ stats }) => stats.fillsRefused === 1);
    expect((await lookup(stage.isolate, "new")).value).toMatchObject({ value: "set", outcome: "hit" });
    await stage.settled();
  });

  test.each([
    "invalidate",
    "delete",
  ] as const)("by %s from another isolate refuses the fill that it has overtaken", async (op) => {
    const stage = await startStage(runtime);
    const neighbour = await stage.neighbour();
    const finish = await slowFill(stage);
    expect(await neighbour.call({ op, key: "k" })).toMatchObject(APPLIED);
    await expectRefusedFill(stage, finish);
  });

  test("reaches the reads of all isolates that begin after it", async () => {
    const stage = await startStage(runtime);
    const isolates = [stage.isolate, await stage.neighbour(), await stage.neighbour()];
    for (let round = 1; round <= 5; round += 1) {
      const writer = isolates[round % 3] ?? stage.isolate;
      expect(await writer.call({ op: "invalidate", key: "k", also: ["other"] })).toMatchObject(APPLIED);
      const answers = await Promise.all(
        isolates.flatMap((isolate) => [1, 2, 3].map(() => lookup(isolate, `${round}`))),
      );
      for (const { value } of answers) expect(value).toMatchObject({ value: `${round}` });
      await Promise.all(isolates.map((isolate) => untilHit(isolate, `${round}`)));
    }
    await stage.settled();
  });

  test("does not let those who ask after it join a flight that began before it", async () => {
    const stage = await startStage(runtime);
    const finish = await slowFill(stage);
    expect(await stage.isolate.call({ op: "invalidate", key: "k" })).toMatchObject(APPLIED);
    const after = await together(10, () => lookup(stage.isolate, "new"));
    for (const { value } of after) expect(value).toMatchObject({ value: "new" });
    expect((await finish()).value).toMatchObject({ value: "old" });
    expect((await untilHit(stage.isolate, "never")).value).toMatchObject({ value: "new" });
    await stage.settled();
  });
});

describe.each(RUNTIMES)("an invalidation in an outage, $name", (runtime) => {
  const faults = [["refuse"], ["hang"], ["resetBeforeHeaders"]] as const;

  async function outage(fault: (typeof faults)[number][0]): Promise<Stage> {
    const stage = await startStage(runtime);
    const { isolate, gateway } = stage;
    await isolate.call({ op: "lookup", key: "k", load: { value: "old" } }, { options: HASTY });
    expect((await untilHit(isolate, "old")).value).toMatchObject({ value: "old" });
    await gateway.fault(fault);
    const { error } = await isolate.call({ op: "invalidate", key: "k" });
    expect(error).toMatchObject({
      code: "invalidation-pending",
      state: "pending",
      keys: ["k"],
      retryable: true,
    });
    expect((await isolate.state()).stats).toMatchObject({ invalidationsPending: 1, journal: 1 });
    return stage;
  }

  test.each(
    faults,
  )("(%s) is told as pending, and nothing stored is served until it is applied", async (fault) => {
    const stage = await outage(fault);
    const { isolate } = stage;
    for (const { value } of await together(10, () => lookup(isolate, "new"))) {
      expect(value).toMatchObject({ value: "new", outcome: "bypass", stored: false });
    }
    expect((await isolate.call({ op: "get", key: "k" })).type).toBe("undefined");
    expect(JSON.stringify(await stage.hash("k"))).toContain("old");
    const { events } = await isolate.state();
    expect(events.filter(({ type }) => type === "invalidation")).toMatchObject([
      { state: "pending", replay: false },
    ]);
    await stage.gateway.fault("healthy");
    expect((await untilHit(isolate, "newer")).value).toMatchObject({ value: "newer" });
    await stage.settled();
  });

  test.each(
    faults,
  )("(%s) is applied after it in the background, though nobody asks for the key", async (fault) => {
    const stage = await outage(fault);
    await stage.gateway.fault("healthy");
    const { events } = await stage.isolate.until(({ stats }) => stats.journal === 0);
    expect(events.filter(({ type }) => type === "invalidation")).toMatchObject([
      { state: "pending", replay: false },
      { state: "applied", replay: true },
    ]);
    expect(await stage.hash("k")).toEqual({});
    expect((await lookup(stage.isolate, "new")).value).toMatchObject({ value: "new", outcome: "miss" });
    await stage.settled();
  });

  test("is applied before any read of its key: ahead of it in the same request, if it comes to that", async () => {
    const stage = await startStage(runtime);
    const { isolate, gateway } = stage;
    await isolate.call({ op: "lookup", key: "k", load: { value: "old" } }, { options: HASTY });
    await untilHit(isolate, "old");
    // Only drops fail: nothing but the fence stands between a read and the old value.
    await gateway.fault("status", { code: 500, match: "-- drop KEYS" });
    expect((await isolate.call({ op: "invalidate", key: "k" })).error).toMatchObject({ state: "pending" });
    const outage = gateway.requests.length;
    expect((await lookup(isolate, "new")).value).toMatchObject({ value: "new", outcome: "bypass" });
    const joint = gateway.requests.slice(outage).find(({ commands }) => commands.length > 1);
    expect(joint?.commands.map((words) => [DROP.test(words[1] ?? ""), words[3]])).toEqual([
      [true, "leeward:k::k"],
      [false, "leeward:k::k"],
    ]);
    const recovery = gateway.requests.length;
    await gateway.fault("healthy");
    expect((await untilHit(isolate, "newer")).value).toMatchObject({ value: "newer" });
    const commands = gateway.requests.slice(recovery).flatMap((request) => request.commands);
    expect(commands[0]?.[1]).toMatch(DROP);
    await isolate.until(({ stats }) => stats.journal === 0);
    await stage.settled();
  });

  test("of many keys is told and applied for each, and only once", async () => {
    const stage = await startStage(runtime);
    const { isolate, gateway } = stage;
    const keys = Array.from({ length: 300 }, (_, i) => `k${i}`);
    await isolate.visit({ options: PATIENT, calls: keys.map((key) => ({ op: "set", key, value: "old" })) });
    await gateway.fault("refuse");
    const { error } = await isolate.call({ op: "invalidate", key: "k0", also: keys.slice(1) });
    expect(error).toMatchObject({ state: "pending", keys });
    await gateway.fault("healthy");
    await isolate.until(({ stats }) => stats.journal === 0);
    for (const key of keys) expect(await stage.hash(key)).toEqual({});
    expect((await isolate.state()).stats.invalidationsApplied).toBe(600);
    await stage.settled();
  });
});
