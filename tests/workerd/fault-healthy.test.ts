/**
 * What every operation costs while nothing fails: callbacks, HTTP requests and Redis commands, exactly. The healthy column of the
 * tables of failures; it holds as well when Redis takes its time.
 */
import { describe, expect, test } from "vitest";
import { Box } from "./fault-box.ts";
import { costOf } from "./fault-cost.ts";
import { type Cost, FRESH, KEY, MODES, OLD, OPERATIONS, type Operation } from "./fault-operations.ts";
import type { Isolate } from "./isolate.ts";
import { FLAG_ON, givenBy, OLD_DATE, type Stage, startStage } from "./stage.ts";
import type { Ended } from "./visit.ts";

/** Makes warm what is to be, and gives what the operation costs. */
async function healthyCost(stage: Stage, box: Box, expected: Cost): Promise<Cost> {
  const { operation, warm, count } = box.cell;
  if (warm && operation.compat) {
    // Its own cache must be warm.
    const warmer: Operation = { ...operation, call: { op: "redisCache", key: KEY, load: { value: OLD } } };
    const other = new Box(stage, box.isolate, { ...box.cell, operation: warmer }, "compat");
    await other.run(1);
  } else if (warm) await box.warmUp();
  const cost = await costOf(box, expected, (ended) => {
    expect(ended.error, box.name).toBeUndefined();
    expectGiven(box, ended);
  });
  if (operation.kind === "raw") expect(await box.tally.executed(), box.name).toBe(count);
  await box.tally.check(box.name);
  return cost;
}

function expectGiven(box: Box, ended: Ended): void {
  const { operation, warm, count } = box.cell;
  const { kind, call } = operation;
  if (kind === "raw") {
    box.tally.take(ended, {}, box.name);
    return;
  }
  const { value } = ended;
  const given = givenBy(call, ended);
  const isFresh = !warm || call.options?.forceFresh === true;
  if (kind === "write") expect(value, box.name).toMatchObject({ state: "applied" });
  else if (kind === "change")
    expect(value, box.name).toEqual({ value: FRESH, invalidation: { state: "applied" }, marked: true });
  else if (kind === "look") expect(given, box.name).toBe(warm ? OLD : undefined);
  // Who asks after the one that refreshes it may get the new one.
  else if (operation.stale && warm && count > 1) expect([OLD, FRESH], box.name).toContain(given);
  else expect(given, box.name).toBe(isFresh ? FRESH : OLD);
}

describe.each([FLAG_ON, OLD_DATE])("$name, while nothing fails", (runtime) => {
  test.each(
    MODES.map((mode, index) => ({ ...mode, index })),
  )("callbacks, requests and commands are exact: warm $warm, $count at once", async ({
    warm,
    count,
    index,
  }) => {
    const stage = await startStage(runtime);
    const measured: Record<string, unknown> = {};
    const expected: Record<string, unknown> = {};
    for (const [label, operation] of OPERATIONS.entries()) {
      // Of the old contract's cache there is one in an isolate.
      const isolate: Isolate = operation.compat ? await stage.neighbour() : stage.isolate;
      const box = new Box(stage, isolate, { operation, warm, count }, String(label));
      const cost = operation.costs[index] ?? [0, 0, 0];
      measured[operation.name] = (await healthyCost(stage, box, cost)).join(" ");
      expected[operation.name] = cost.join(" ");
      // What was held has ended for this isolate, too, at once.
      if (operation.l1 && (operation.kind === "write" || operation.kind === "change"))
        expect(await box.read(), box.name).toBe(FRESH);
    }
    expect(measured).toEqual(expected);
    await stage.settled();
  });
});
