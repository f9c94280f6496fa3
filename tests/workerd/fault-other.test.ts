/**
 * Guards the rest of the failure contract, by every operation: what fails on this side of Redis, what is wrong with what it
 * has stored, and failures that are none.
 */
import { describe, expect, test } from "vitest";
import { Box, boxesFor, type Cell } from "./fault-box.ts";
import { ends, FRESH, KEY, OLD, OPERATIONS, type Operation, SECRET } from "./fault-operations.ts";
import { expectNoSecrets } from "./fault-scenario.ts";
import type { Failures } from "./fault-tally.ts";
import type { Isolate } from "./isolate.ts";
import { FLAG_OFF, FLAG_ON, givenBy, OLD_DATE, RUNTIMES, type Stage, startStage } from "./stage.ts";
import type { Ended } from "./visit.ts";
import { TRAPPING_PACKAGE } from "./workerd.ts";

type Env = Record<string, string>;

/** Those with a connection of their own. */
const OWN = OPERATIONS.filter(({ compat }) => !compat);

function boxesOf(stage: Stage, warm: readonly boolean[], count: number, operations = OWN): Promise<Box[]> {
  const cells = operations.flatMap((operation) => warm.map((one): Cell => ({ operation, warm: one, count })));
  return boxesFor(stage, cells);
}

/** The operation does what it is for; what is stored counts if it is among `stored`, and what is held in any case. */
function expectDone(box: Box, ended: Ended, stored: readonly unknown[]): void {
  const { cell, name, tally, holds } = box;
  const { kind, call } = cell.operation;
  expect(ended.error, name).toBeUndefined();
  if (kind === "raw") tally.take(ended, {}, name);
  else if (holds) expect(givenBy(call, ended), name).toBe(OLD);
  else if (kind === "write") expect(ended.value, name).toMatchObject({ state: "applied" });
  else if (kind === "change")
    expect(ended.value, name).toMatchObject({ value: FRESH, invalidation: { state: "applied" } });
  else expect([...stored, kind === "look" ? undefined : FRESH], name).toContain(givenBy(call, ended));
}

/** The operation says honestly what of it has got through: a write by its state, a raw command by its code. */
function expectHonest(box: Box, ended: Ended, states: readonly string[], failures: Failures): void {
  const { kind, call, name } = box.cell.operation;
  if (kind === "raw") {
    box.tally.take(ended, failures, box.name);
    return;
  }
  if (kind === "write") {
    expect(states, name).toContain(ended.error?.state ?? "applied");
    return;
  }
  expect(ended.error, name).toBeUndefined();
  if (kind === "change") {
    const { value, invalidation } = ended.value as { value: unknown; invalidation: { state: string } };
    expect(value, name).toBe(FRESH);
    expect(states, name).toContain(invalidation.state);
  } else expect([OLD, kind === "look" ? undefined : FRESH], name).toContain(givenBy(call, ended));
}

describe.each(RUNTIMES)("every operation, $name,", (runtime) => {
  test.each([1, 20])("outlives a server that forgets its scripts, %i at once", async (count) => {
    const stage = await startStage(runtime);
    const boxes = await boxesOf(stage, count > 1 ? [true] : [false, true], count);
    await Promise.all(boxes.map((box) => box.cell.warm && box.warmUp()));
    await stage.gateway.fault("flushScripts", { times: 40 });
    await Promise.all(
      boxes.map(async (box) => {
        for (const ended of await box.run()) expectDone(box, ended, box.cell.warm ? [OLD] : []);
        await box.untilHit(FRESH, ends(box.cell.operation) ? [FRESH] : [FRESH, OLD]);
        const { connection, stats } = await box.state();
        expect(connection, box.name).toMatchObject({ state: "ready", attempts: 1, failures: 0 });
        expect(stats.invalidationsPending, box.name).toBe(0);
        await box.tally.check(box.name);
      }),
    );
    await stage.settled();
  });

  const down = { "not-executed": { kind: "transport", retryable: true } };
  const elsewhere: [string, string, Failures, (env: Env) => Env][] = [
    [
      "a wrong token",
      "auth",
      { "not-executed": { kind: "auth", retryable: false } },
      (env) => ({ ...env, UPSTASH_REDIS_REST_TOKEN: `${SECRET}-${tokenOf(env)}` }),
    ],
    [
      "a name that no server has",
      "transport",
      // What the runtime says of it is not told from a connection that broke.
      { ...down, "unknown-outcome": { kind: "transport", retryable: false } },
      (env) => ({ ...env, UPSTASH_REDIS_REST_URL: `http://${SECRET}-${tokenOf(env).split(".")[1]}.invalid` }),
    ],
  ];

  test.each(elsewhere)("outlives %s", async (_, error, failures, change) => {
    const stage = await startStage(runtime);
    const boxes = await boxesOf(stage, [false], 5);
    await Promise.all(
      boxes.map(async (box) => {
        box.visit.env = change(box.visit.env ?? {});
        for (const ended of await box.run()) expectHonest(box, ended, ["pending"], failures);
        await box.tally.check(box.name);
        const state = await box.isolate.until(({ connection }) => connection.lastError !== null, box.visit);
        expect(state.connection, box.name).toMatchObject({ isReady: false, lastError: error });
        expect(state.events.some((event) => event.type === "failure" && event.error === error)).toBe(true);
      }),
    );
    await expectNoSecrets(stage, boxes);
  });
});

function tokenOf({ UPSTASH_REDIS_REST_TOKEN = "" }: Env): string {
  return UPSTASH_REDIS_REST_TOKEN;
}

/** What may have become of an entry that Redis holds. */
const DAMAGES: [string, (hash: string) => string[][]][] = [
  ["a poisoned header", (hash) => [["HSET", hash, "h:", `2 ${SECRET} 1`]]],
  ["a poisoned value", (hash) => [["HSET", hash, "b:", `{"${SECRET}`]]],
  [
    "an entry of another version alone",
    (hash) => [
      ["HDEL", hash, "h:", "b:"],
      ["HSET", hash, "h:old", "2 g", "b:old", "1"],
    ],
  ],
  ["an entry from which the rest is gone", (hash) => [["HDEL", hash, "g", "x"]]],
  [
    "something foreign in an entry's place",
    (hash) => [
      ["DEL", hash],
      ["SET", hash, SECRET],
    ],
  ],
];

test.each(DAMAGES)("every operation outlives %s", async (what, damage) => {
  const stage = await startStage(FLAG_ON);
  const boxes = await boxesOf(stage, [true], 1);
  await Promise.all(
    boxes.map(async (box) => {
      await box.warmUp();
      expect(await stage.redis.command("EXISTS", box.hash)).toBe(1);
      for (const command of damage(box.hash)) await stage.redis.command(...command);
      const [ended] = await box.run();
      const foreign = what.startsWith("something foreign");
      // What cannot be stored over keeps a `set` and a mark pending; by the next invalidation it is gone.
      if (foreign) expectHonest(box, ended as Ended, ["applied", "pending"], {});
      else expectDone(box, ended as Ended, []);
      if (foreign) expect((await box.beside({ op: "delete" })).value, box.name).toEqual({ state: "applied" });
      await box.untilHit(FRESH, [FRESH]);
    }),
  );
  await expectNoSecrets(stage, boxes);
  await stage.settled();
});

describe.each([FLAG_OFF, OLD_DATE])("every operation, $name,", (runtime) => {
  test("outlives a core that traps in the middle of it", { timeout: 60_000 }, async () => {
    const stage = await startStage(runtime, { files: TRAPPING_PACKAGE });
    // A raw command that has been sent may have been executed: it meets more of them.
    const sent = OWN.filter(({ kind }) => kind === "raw").flatMap((raw) => [raw, raw, raw, raw]);
    const all = [...OWN, ...sent];
    const meet = async (isolate: Isolate, index: number) => {
      const operation = all[index] as Operation;
      const at = index < OWN.length ? 1 + (index % 2) * 3 : 7 + (index - OWN.length) * 3;
      const box = new Box(stage, isolate, { operation, warm: true, count: 1 }, String(index));
      await box.warmUp();
      await isolate.send(`/fail?at=${at}&how=trap`, {}).answer;
      const [ended] = await box.run();
      expectHonest(box, ended as Ended, ["applied", "pending", "refused"], {
        "unknown-outcome": { kind: "transport", retryable: false },
        "not-executed": { kind: "transport", retryable: true },
      });
      await box.tally.check(box.name);
      const told =
        (ended?.value as { invalidation?: { state: string } } | undefined)?.invalidation ?? ended?.error;
      const old = ends(operation) && told?.state !== "refused" ? [] : [OLD];
      await box.untilHit(FRESH, [FRESH, ...old]);
      if (operation.l1) expect([FRESH, ...old], box.name).toContain(await box.read());
    };
    // After three traps within 10 s an isolate does without a core: two operations for each.
    for (let index = 0; index < all.length; index += 2) {
      const isolate = index === 0 ? stage.isolate : await stage.neighbour();
      for (const next of [index, index + 1]) if (next < all.length) await meet(isolate, next);
      if (isolate !== stage.isolate) await isolate.stop();
    }
  });

  test("runs callbacks and refuses writes without wasm", async () => {
    const empty = Uint8Array.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
    const stage = await startStage(runtime, { files: { "leeward.wasm": empty } });
    for (const box of await boxesOf(stage, [false], 5, [...OPERATIONS])) {
      for (const ended of await box.run()) {
        expectHonest(box, ended, ["refused"], {
          unconfigured: { kind: "config", retryable: false },
          "not-executed": { kind: "transport", retryable: true },
        });
      }
      await box.tally.check(box.name);
    }
    expect(stage.gateway.counters().httpRequests).toBe(0);
    expect((await stage.isolate.state()).unhandled).toEqual([]);
  });
});

test("a journal that is full loses nothing: nothing old is served, and all of it is applied in the end", async () => {
  const stage = await startStage(FLAG_ON);
  const box = new Box(stage, stage.isolate, { operation: OWN[0] as Operation, warm: true, count: 1 }, "full");
  await box.warmUp();
  await stage.gateway.fault("status", { code: 503 });
  const many = Array.from({ length: 5000 }, (_, n) => `${KEY}-${n}`);
  const { error } = await box.call({ op: "invalidate", key: KEY, also: many });
  expect(error).toMatchObject({ state: "pending" });
  const { stats } = await box.state();
  expect(stats.journal).toBeGreaterThan(0);
  expect(stats.journal).toBeLessThanOrEqual(4096);
  expect((await box.call({ op: "getOrSet", key: KEY, load: { value: FRESH } })).value).toBe(FRESH);
  await stage.gateway.fault("healthy");
  await box.untilHit(FRESH, [FRESH]);
  await box.untilEmpty();
  await expectNoSecrets(stage, [box]);
});
