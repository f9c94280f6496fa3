/**
 * What every operation costs while nothing fails: callbacks, HTTP requests and Redis commands, exactly. The healthy column of the
 * tables of failures; it holds as well when Redis takes its time.
 */
import { describe, expect, test } from "vitest";
import { Box } from "./fault-box.ts";
import { FRESH, KEY, OLD, OPERATIONS, type Operation } from "./fault-operations.ts";
import type { Isolate } from "./isolate.ts";
import { FLAG_ON, givenBy, OLD_DATE, type Stage, startStage } from "./stage.ts";

const MODES = [
  { warm: false, count: 1 },
  { warm: true, count: 1 },
  { warm: false, count: 20 },
  { warm: true, count: 20 },
];

/** Runs the operation, all of its calls at the same time as far as Redis can tell, and gives what it cost. */
async function costOf(stage: Stage, box: Box): Promise<number[]> {
  const { operation, warm, count } = box.cell;
  if (warm && operation.compat) {
    // Its own cache must be warm.
    const warmer: Operation = { ...operation, call: { op: "redisCache", key: KEY, load: { value: OLD } } };
    const other = new Box(stage, box.isolate, { ...box.cell, operation: warmer }, "compat");
    await other.run(1);
  } else if (warm) await box.warmUp();
  const quiet = async () => {
    await box.isolate.until(({ underWay }) => underWay.every((n) => n === 0), box.visit);
    await stage.gateway.idle();
  };
  await quiet();
  await stage.gateway.reset();
  const before = (await box.state()).books[KEY] ?? { asked: 0, started: 0 };
  if (count > 1) await stage.hold();
  const answers = box.run();
  if (count > 1) {
    await box.isolate.until(({ books }) => (books[KEY]?.asked ?? 0) - before.asked === count, box.visit);
    await stage.gateway.seen();
    await stage.release();
  }
  for (const ended of await answers) {
    expect(ended.error, box.name).toBeUndefined();
    expectGiven(box, ended.value, givenBy(operation.call, ended));
  }
  await quiet();
  const { httpRequests, redisCommands } = stage.gateway.counters();
  return [((await box.state()).books[KEY]?.started ?? 0) - before.started, httpRequests, redisCommands];
}

function expectGiven(box: Box, value: unknown, given: unknown): void {
  const { operation, warm, count } = box.cell;
  const { kind, call } = operation;
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
      measured[operation.name] = (await costOf(stage, box)).join(" ");
      expected[operation.name] = operation.costs[index]?.join(" ");
    }
    expect(measured).toEqual(expected);
    await stage.settled();
  });
});
