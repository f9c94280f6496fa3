/**
 * Guards values over `maxValueBytes`, met by every operation: those that a callback gives or a `set` is to store, and one that
 * Redis holds since a cache with a larger limit has stored it. They do not come and go from one request to the next: size is the
 * value's, and no fault of the connection.
 */
import { describe, expect, test } from "vitest";
import { Box, boxesFor, type Cell, PATIENT } from "./fault-box.ts";
import { costOf, quiet } from "./fault-cost.ts";
import { type Costs, ends, FRESH, MODES, OLD, OPERATIONS, type Operation, TAG } from "./fault-operations.ts";
import { expectNoSecrets } from "./fault-scenario.ts";
import { givenBy, RUNTIMES, type Stage, startStage } from "./stage.ts";
import type { Ended, State } from "./visit.ts";

/** The least that there is. */
const SETTINGS = { maxValueBytes: 1024 };
const PADDING = "x".repeat(SETTINGS.maxValueBytes);
const LARGE = `${FRESH} ${PADDING}`;

/** Of the old contract's cache the limit cannot be set: it has a test of its own. */
const OWN = OPERATIONS.filter(({ compat }) => !compat);

const isSet = ({ call }: Operation) => call.op === "set" || call.op === "update";

/** The same, with a value that is too large in the place of the callback's or the one to be stored. */
function enlarged(operation: Operation): Operation {
  const { load, value, ...call } = operation.call;
  const large = isSet(operation) ? { value: LARGE } : { value };
  return { ...operation, call: { ...call, ...large, ...(load && { load: { ...load, value: LARGE } }) } };
}

// Nobody may wait for a value that cannot be shared: each of those that followed runs a callback of its own.
const computed: Costs = [
  [1, 1, 1],
  [0, 1, 1],
  [20, 1, 1],
  [0, 20, 20],
];
const set: Costs = [
  [0, 1, 1],
  [0, 1, 1],
  [0, 20, 20],
  [0, 20, 20],
];

/** What is not stored costs no fill. All others cost what they do while nothing is too large. */
/* biome-ignore format: a table */
const UNSTORED: Readonly<Record<string, Costs>> = {
  getOrSet: computed,
  "getOrSet, with tags": computed,
  // One is served what is stale, and refreshes it in vain.
  "getOrSet, with a stale entry": [[1, 1, 1], [1, 1, 1], [20, 1, 1], [20, 1, 1]],
  // Who waits for the lease is told that no value will come.
  "getOrSet, waiting for a lease": [[1, 2, 2], [0, 1, 1], [20, 2, 2], [0, 20, 20]],
  "getOrSet, forced to be fresh": [[1, 1, 1], [1, 1, 1], [20, 1, 1], [20, 1, 1]],
  "getOrSet, strict": computed,
  "getOrSet, in a namespace": computed,
  "getOrSet, a tag from the callback": [[1, 2, 2], [0, 1, 1], [20, 2, 2], [0, 20, 20]],
  lookup: computed,
  "getMany, forced to be fresh": [[1, 1, 2], [1, 1, 2], [20, 20, 40], [20, 20, 40]],
  "a wrapped function": computed,
  "getOrSet, with l1": [[1, 1, 1], [0, 0, 0], [20, 1, 1], [0, 0, 0]],
  set,
  "set, with l1": set,
};

/** So many events of this form. */
function told(state: State, form: Record<string, unknown>): number {
  return state.events.filter((event) =>
    Object.entries(form).every(([name, wanted]) => {
      const value: unknown = (event as unknown as Record<string, unknown>)[name];
      return wanted instanceof RegExp ? wanted.test(String(value)) : value === wanted;
    }),
  ).length;
}

/** Whether Redis holds what is too large, in whatever field. */
async function isLargeStored({ stage, hash }: Box): Promise<boolean> {
  return JSON.stringify(await stage.redis.command("HGETALL", hash)).includes(PADDING);
}

/** The operation does what it is for, with one of these values. */
function expectGiven(box: Box, ended: Ended, values: readonly unknown[]): void {
  const { kind, call } = box.cell.operation;
  expect(ended.error, box.name).toBeUndefined();
  if (kind === "raw") box.tally.take(ended, {}, box.name);
  else if (kind === "write") expect(ended.value, box.name).toMatchObject({ state: "applied" });
  else if (kind === "change")
    expect(ended.value, box.name).toMatchObject({ value: values[0], invalidation: { state: "applied" } });
  else expect(values, box.name).toContain(givenBy(call, ended));
}

/** What of a value that was too large for the operation others may find after it. */
function leftBy(operation: Operation, count: number): unknown[] {
  const { kind } = operation;
  if (kind === "look" || kind === "raw") return [LARGE];
  if (kind === "read") return [FRESH];
  // Of many each ends what the others have stored.
  return isSet(operation) ? [FRESH, ...(count > 1 ? [undefined] : [])] : [undefined];
}

/** This isolate holds nothing that is too large. */
async function expectNotHeld(box: Box): Promise<void> {
  if (!box.cell.operation.l1) return;
  const { value } = (await box.other({ op: "look" })) as { value: { value?: unknown } };
  expect(value.value, box.name).not.toBe(LARGE);
}

async function start(stage: Stage, cell: Omit<Cell, "operation">, operations: readonly Operation[]) {
  const cells = operations.map((operation) => ({ ...cell, operation }));
  return boxesFor(stage, cells, PATIENT, SETTINGS);
}

describe.each(RUNTIMES)("every operation, $name:", (runtime) => {
  const modes = MODES.map((mode, index) => ({ ...mode, index }));

  test.each(
    modes,
  )("what is too large to be stored reaches all callers, and nothing is stored: warm $warm, $count at once", async ({
    warm,
    count,
    index,
  }) => {
    const stage = await startStage(runtime);
    const boxes = await start(stage, { warm, count }, OWN.map(enlarged));
    const [measured, expected]: [Record<string, unknown>, Record<string, unknown>] = [{}, {}];
    for (const box of boxes) {
      const { operation } = box.cell;
      const { name, kind, call, stale } = operation;
      if (warm) await box.warmUp();
      const cost = (UNSTORED[name] ?? operation.costs)[index] ?? [0, 0, 0];
      const computes = kind === "read" && cost[0] > 0;
      const old = kind === "look" && !warm ? undefined : OLD;
      const values = computes
        ? [LARGE, ...(stale && warm ? [OLD] : [])]
        : kind === "change"
          ? [LARGE]
          : [old];
      measured[name] = await costOf(box, cost, (ended) => {
        expectGiven(box, ended, values);
        if (isSet(operation)) expect(ended.value, box.name).toEqual({ state: "applied", stored: false });
      });
      expected[name] = cost;

      const state = await box.state();
      // One for each key of each call for many: nobody follows those.
      const loads = call.also ? 2 * count : 1;
      const reason = new RegExp(`over ${SETTINGS.maxValueBytes} bytes`);
      expect(told(state, { type: "unstorable", path: "$", reason }), box.name).toBe(computes ? loads : 0);
      const fill = { type: "fill", stored: false, reason: /^(too large|read before)$/ };
      expect(told(state, fill), box.name).toBe(isSet(operation) ? count : 0);
      expect(await isLargeStored(box), box.name).toBe(false);
      await expectNotHeld(box);
      if (ends(operation))
        expect((await box.beside({ op: "look" })).value, box.name).toMatchObject({ outcome: "miss" });
      if (computes) {
        // It is passed through for a while.
        const { requests } = (await box.state()).stats;
        expect(await box.read(), box.name).toBe(FRESH);
        expect((await box.state()).stats.requests, box.name).toBe(requests);
      }
    }
    expect(measured).toEqual(expected);
    for (const isolate of new Set(boxes.map((box) => box.isolate)))
      await isolate.send("/jump?by=61000", {}).answer;
    for (const box of boxes) await box.untilHit(FRESH, ends(box.cell.operation) ? [FRESH] : [FRESH, OLD]);
    await expectNoSecrets(stage, boxes);
    await stage.settled();
  });

  test.each(
    modes,
  )("what is too large in Redis is not there, and is replaced: warm $warm, $count at once", async ({
    warm,
    count,
  }) => {
    const stage = await startStage(runtime);
    const there = await stage.neighbour();
    // What is warm is the connection.
    const boxes = await start(stage, { warm: false, count }, OWN);
    const [measured, expected]: [Record<string, unknown>, Record<string, unknown>] = [{}, {}];
    for (const [index, box] of boxes.entries()) {
      const { operation } = box.cell;
      const { name, kind, call, stale } = operation;
      const other = warm ? box : new Box(stage, there, box.cell, String(index));
      const tags = call.what?.tags ?? call.options?.tags;
      const options = { swr: 60_000, ...(tags && { tags: [TAG] }) };
      const { value } = await other.beside({ op: "set", value: LARGE, options });
      expect(value, box.name).toMatchObject({ stored: true });
      if (stale) expect((await other.beside({ op: "expire" })).value).toEqual({ state: "applied" });
      expect(await isLargeStored(box), box.name).toBe(true);
      const cost = operation.costs[count === 1 ? 0 : 2];
      measured[name] = await costOf(box, cost, (ended) =>
        expectGiven(box, ended, [kind === "look" ? undefined : FRESH]),
      );
      expected[name] = cost;

      const failure = { type: "failure", error: "decode", message: /stored value cannot be decoded/ };
      const failures = told(await box.state(), failure);
      // Who is forced to be fresh looks at nothing; those who only look do so each by itself.
      const looks = kind === "look" || call.op === "update";
      const most = looks ? count : kind === "read" && !call.options?.forceFresh ? 1 : 0;
      expect(failures, box.name).toBeLessThanOrEqual(most);
      expect(failures > 0, `${box.name}: whether an event names the cause`).toBe(most > 0);
      await expectNotHeld(box);
      const found = (await box.beside({ op: "look" })).value as { value?: unknown };
      expect(leftBy(operation, count), box.name).toContain(found.value);
      expect(await box.read(), box.name).toBe(FRESH);
      await quiet(box);
      expect(await isLargeStored(box), box.name).toBe(false);
      await box.untilHit(FRESH, [FRESH]);
    }
    expect(measured).toEqual(expected);
    await expectNoSecrets(stage, boxes);
    await stage.settled();
  });

  test("the old contract's cache, whose limit is the largest that there is, stores nothing over it", async () => {
    const stage = await startStage(runtime);
    const value = LARGE.padEnd(4 * 1024 * 1024, "x");
    const operation = OPERATIONS.find(({ call }) => call.op === "redisCache") as Operation;
    const call = { ...operation.call, load: { value } };
    const cell = { operation: { ...operation, call }, warm: false, count: 1 };
    const box = new Box(stage, stage.isolate, cell, "compat");
    const cost = await costOf(box, [1, 1, 1], (ended) => {
      expect(ended.error).toBeUndefined();
      expect(ended.value === value).toBe(true);
    });
    expect(cost).toEqual([1, 1, 1]);
    expect(await isLargeStored(box)).toBe(false);
    await expectNoSecrets(stage, [box]);
    await stage.settled();
  });
});
