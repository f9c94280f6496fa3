/** Waiting for another isolate that computes the value: opt-in, and bounded. */
import { beforeEach, describe, expect, test, vi } from "vitest";
import { isolates } from "./isolates.ts";
import { cost, ofType, type Stage, startStage, until } from "./stage.ts";

let stage: Stage;
beforeEach(async () => {
  stage = await startStage();
});

const MANY = 20;

describe("20 isolates on one cold key", () => {
  test("with leaseWait: one callback, and everybody gets its value", async () => {
    const all = await isolates(MANY, { ...stage.settings, leaseWait: "30s" });
    // What a first use costs is paid before: a lease that nobody renews may be taken over after a second.
    await Promise.all(all.map(({ cache }) => cache.get("connect")));
    const gate = Promise.withResolvers<string>();
    const load = vi.fn(() => gate.promise);
    const answers = Promise.all(all.map(({ cache }) => cache.lookup("key", load)));
    // All but one have asked twice: they have found that somebody else is at it, and wait.
    const waiting = () => all.filter(({ cache }) => cache.stats().requests > 2).length;
    await until(() => waiting() >= MANY - 1);
    gate.resolve("value");
    const found = await answers;
    expect(found.map(({ value }) => value)).toEqual(all.map(() => "value"));
    expect(load).toHaveBeenCalledOnce();
    expect(found.filter(({ outcome }) => outcome === "miss")).toHaveLength(1);
    const waits = all.flatMap(({ events }) => ofType(events, "lease"));
    expect(waits.map(({ outcome }) => outcome)).toEqual(Array.from({ length: MANY - 1 }, () => "filled"));
    expect(new Set(waits.map(({ key }) => key)).size).toBe(1);
  });

  test("with leaseWait, and the holder dies: a second callback, and the others get its value", async () => {
    const all = await isolates(MANY, { ...stage.settings, leaseWait: "30s" });
    const gate = Promise.withResolvers<string>();
    let started = 0;
    const load = () => {
      started += 1;
      return started === 1 ? new Promise<string>(() => {}) : gate.promise;
    };
    const answers = all.map(({ cache }) => cache.lookup("key", load));
    await until(() => started === 2);
    gate.resolve("value");
    const rest = await Promise.all(
      answers.map((answer) =>
        Promise.race([answer, new Promise<undefined>((resolve) => setTimeout(resolve, 5_000))]),
      ),
    );
    expect(rest.filter((found) => found?.value === "value")).toHaveLength(MANY - 1);
    expect(started).toBe(2);
    const waits = all.flatMap(({ events }) => ofType(events, "lease").map(({ outcome }) => outcome));
    expect(waits.sort()).toEqual([...Array.from({ length: MANY - 2 }, () => "filled"), "taken"]);
  });

  test("without: nobody waits, each runs its own", async () => {
    const all = await isolates(MANY, stage.settings);
    const gate = Promise.withResolvers<void>();
    const load = vi.fn(async (i: number) => {
      await gate.promise;
      return `value ${i}`;
    });
    const answers = Promise.all(all.map(({ cache }, i) => cache.getOrSet("key", () => load(i))));
    await until(() => load.mock.calls.length === MANY);
    expect(cost(stage.gateway)).toEqual([MANY, MANY]);
    gate.resolve();
    expect(await answers).toEqual(all.map((_, i) => `value ${i}`));
    expect(all.flatMap(({ events }) => ofType(events, "lease"))).toEqual([]);
  });
});

test("the wait is bounded: then the callback runs all the same", async () => {
  const [holder, waiter] = await isolates(2, stage.settings);
  const never = vi.fn(() => new Promise<string>(() => {}));
  void holder?.cache.getOrSet("key", never);
  await vi.waitFor(() => expect(never).toHaveBeenCalledOnce());
  const found = await waiter?.cache.lookup("key", () => "own", { leaseWait: 100 });
  expect(found).toMatchObject({ value: "own", outcome: "miss" });
  expect(ofType(waiter?.events ?? [], "lease")).toMatchObject([{ outcome: "timed-out" }]);
  await stage.filled(waiter?.cache as NonNullable<typeof waiter>["cache"], 1);
});

test("nobody waits on what a mutate has marked", async () => {
  const [writer, reader] = await isolates(2, { ...stage.settings, leaseWait: "30s" });
  await writer?.cache.mutate({ keys: ["key"] }, async () => {
    for (let i = 0; i < 2; i += 1) {
      expect(await reader?.cache.getOrSet("key", () => i)).toBe(i);
    }
  });
  expect(ofType(reader?.events ?? [], "lease")).toEqual([]);
});
