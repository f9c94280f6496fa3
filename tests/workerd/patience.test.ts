/** Guards that bounds on callbacks hold by each request's own timer, and that what goes on behind an answer outlives its request. */
import { describe, expect, test } from "vitest";
import { RUNTIMES, startStage, together } from "./stage.ts";
import type { Call } from "./visit.ts";

const OPTIONS = {
  options: { staleIfError: "1h", timeout: { read: "10s", write: "10s", flight: "10s" } },
};
const LATE = {
  ...{ name: "TimeoutError", leeward: true, code: "callback-timeout", kind: "timeout", retryable: true },
};
const gated: Call = { op: "lookup", key: "k", load: { gate: "go", value: "new" } };
const soft: Call = { ...gated, options: { timeout: { soft: 30 } } };
const hard: Call = { ...gated, options: { timeout: { hard: 30 } } };

/** An isolate in which "k" is stale, and one that has made it so. */
async function stale(runtime: (typeof RUNTIMES)[number]) {
  const stage = await startStage(runtime);
  const there = await stage.neighbour();
  expect(await there.call({ op: "set", key: "k", value: "old" }, OPTIONS)).toMatchObject({
    value: { stored: true },
  });
  expect(await there.call({ op: "expire", key: "k" }, OPTIONS)).toMatchObject({
    value: { state: "applied" },
  });
  return { ...stage, there };
}

describe.each(RUNTIMES)("a soft bound, $name", (runtime) => {
  test("is answered with the stale value, and the refreshed one is stored although the request has ended", async () => {
    const { isolate, there, settled } = await stale(runtime);
    const { value } = await isolate.call(soft, OPTIONS);
    expect(value).toMatchObject({ value: "old", outcome: "stale" });
    // The response is there, and the callback waits still.
    expect((await isolate.state()).books.k).toMatchObject({ started: 1, waiting: 1, cancelled: 0 });
    await isolate.open("go");
    await isolate.until(({ stats }) => stats.fills === 1);
    expect(await there.call({ op: "look", key: "k" }, OPTIONS)).toMatchObject({
      value: { value: "new", outcome: "hit" },
    });
    await settled();
  });

  test("of twenty requests at once: each is answered by its own timer, and one callback runs", async () => {
    const { isolate, settled } = await stale(runtime);
    const answers = await together(20, () => isolate.call(soft, OPTIONS));
    for (const { value } of answers) expect(value).toMatchObject({ value: "old", outcome: "stale" });
    expect((await isolate.state()).books.k).toMatchObject({ started: 1, waiting: 1 });
    await isolate.open("go");
    await isolate.until(({ stats }) => stats.fills === 1);
    await settled();
  });

  test("what the callback finds unchanged is stored anew behind the answer", async () => {
    const { isolate, there, settled } = await stale(runtime);
    const call: Call = { ...soft, load: { gate: "go", unchanged: true } };
    expect((await isolate.call(call, OPTIONS)).value).toMatchObject({ value: "old", outcome: "stale" });
    await isolate.open("go");
    await isolate.until(({ stats }) => stats.fills === 1);
    expect(await there.call({ op: "look", key: "k" }, OPTIONS)).toMatchObject({
      value: { value: "old", outcome: "hit" },
    });
    await settled();
  });
});

describe.each(RUNTIMES)("a hard bound, $name", (runtime) => {
  test("ends the wait with an error, the callback's signal fires, and a late value is stored", async () => {
    const { isolate, there, settled } = await startStage(runtime).then(async (stage) => ({
      ...stage,
      there: await stage.neighbour(),
    }));
    expect((await isolate.call(hard, OPTIONS)).error).toMatchObject(LATE);
    await isolate.until(({ books }) => books.k?.cancelled === 1);
    await isolate.open("go");
    await isolate.until(({ stats }) => stats.fills === 1);
    expect(await there.call({ op: "look", key: "k" }, OPTIONS)).toMatchObject({ value: { value: "new" } });
    await settled();
  });

  test("of the leader leaves the callback to the request that waits for it", async () => {
    const { isolate, settled } = await startStage(runtime);
    const leader = isolate.call({ ...hard, options: { timeout: { hard: 3_000 } } }, OPTIONS);
    await isolate.until(({ books }) => books.k?.waiting === 1);
    const follower = isolate.call({ ...gated, load: { value: "own" } }, OPTIONS);
    expect((await leader).error).toMatchObject(LATE);
    expect((await isolate.state()).books.k).toMatchObject({ asked: 2, started: 1, cancelled: 0 });
    await isolate.open("go");
    expect((await follower).value).toMatchObject({ value: "new", shared: true });
    await settled();
  });

  test("of a hundred requests whose callback never settles: each is told by its own timer", async () => {
    const { isolate, settled } = await startStage(runtime);
    const call: Call = { ...hard, load: { never: "busy" } };
    const visit = { options: { ...OPTIONS.options, timeout: { ...OPTIONS.options.timeout, flight: "3s" } } };
    const answers = await together(100, () => isolate.call(call, visit));
    for (const { error } of answers) expect(error).toMatchObject(LATE);
    // Who comes then is no worse off.
    await isolate.open("go");
    expect((await isolate.call({ ...gated, key: "other" }, OPTIONS)).value).toMatchObject({ value: "new" });
    const { books } = await isolate.state();
    expect(books.k?.started).toBeLessThan(100);
    await settled({ left: books.k?.started ?? 0 });
  });

  test("holds without Redis", async () => {
    const { isolate, settled } = await startStage(runtime);
    const visit = { ...OPTIONS, cache: "disabled", env: {} };
    expect((await isolate.call(hard, visit)).error).toMatchObject(LATE);
    await isolate.until(({ books }) => books.k?.cancelled === 1, visit);
    await isolate.open("go");
    await settled({ allowed: /disabled/ });
  });
});
