/** Guards the two promises that Leeward comes from: one attempt to connect, and nobody suffers from another request's end. */
import { describe, expect, test } from "vitest";
import type { Isolate } from "./isolate.ts";
import { OLD_DATE, RUNTIMES, type Stage, startStage, together } from "./stage.ts";
import type { Call, Ended, Visit } from "./visit.ts";
import type { Visiting } from "./visitor.ts";

/** Deadlines that no test here is to reach. */
const PATIENT = { timeout: { read: "20s", write: "20s", flight: "20s" } };

const call = (key: string, load: Call["load"] = {}): Call => ({
  op: "getOrSet",
  key,
  load: { value: key, ...load },
});

/** How many calls of all keys together there have been. */
const asked = (isolate: Isolate, count: number) =>
  isolate.until(({ books }) => Object.values(books).reduce((sum, book) => sum + book.asked, 0) === count);

async function expectOneOfEach({ isolate, gateway }: Stage, answers: Ended[]): Promise<void> {
  expect(answers.map(({ value }) => value)).toEqual(answers.map(() => "k"));
  const { books, connection, stats } = await isolate.state();
  expect(books.k?.started).toBe(1);
  expect(connection).toMatchObject({ attempts: 1, failures: 0 });
  expect(stats).toMatchObject({ callbacks: 1, bypasses: 0 });
  await gateway.idle();
  expect(gateway.counters().httpRequests).toBe(2);
}

/** 99 more after a leader, who is left alone as soon as `leads` says that it leads. */
async function follow(
  stage: Stage,
  leader: Visiting,
  leads: () => Promise<unknown>,
  leave: () => Promise<unknown>,
): Promise<Ended[]> {
  await leads();
  const followers = together(99, () => stage.isolate.call(call("k", { gate: "go" })));
  await asked(stage.isolate, 100);
  await leave();
  await stage.release();
  await stage.isolate.open("go");
  await leader.answer.catch(() => {});
  return followers;
}

describe.each([...RUNTIMES, OLD_DATE])("100 first requests, $name", (runtime) => {
  test("of one key, all asking before Redis answers, are one attempt, one callback and two HTTP requests", async () => {
    const stage = await startStage(runtime);
    await stage.hold();
    const answers = together(100, () => stage.isolate.call(call("k"), { options: PATIENT }));
    await asked(stage.isolate, 100);
    await stage.release();
    await expectOneOfEach(stage, await answers);
    await stage.settled();
  });

  test("of one key, asking while the callback runs, are one attempt, one callback and two HTTP requests", async () => {
    const stage = await startStage(runtime);
    const answers = together(100, () => stage.isolate.call(call("k", { gate: "go" }), { options: PATIENT }));
    await asked(stage.isolate, 100);
    await stage.isolate.open("go");
    await expectOneOfEach(stage, await answers);
    await stage.settled();
  });

  test("of 100 keys are one attempt, 100 callbacks and 200 HTTP requests", async () => {
    const stage = await startStage(runtime);
    const { isolate, gateway } = stage;
    await stage.hold();
    const answers = together(100, (i) => isolate.call(call(`k${i}`), { options: PATIENT }));
    await asked(isolate, 100);
    await gateway.seen();
    expect(gateway.counters().httpRequests).toBe(1);
    await stage.release();
    expect((await answers).map(({ value }) => value)).toEqual(Array.from({ length: 100 }, (_, i) => `k${i}`));
    await stage.settled();
    const { connection, stats } = await isolate.state();
    expect(connection).toMatchObject({ attempts: 1, reuses: 99, state: "ready" });
    expect(stats).toMatchObject({ callbacks: 100, misses: 100, fills: 100, requests: 200 });
    expect(gateway.counters().httpRequests).toBe(200);
  });

  test("of 100 keys are one HTTP request when Redis hangs, and are answered at the read deadline", async () => {
    const stage = await startStage(runtime);
    const { isolate, gateway } = stage;
    await gateway.fault("hang");
    const options = { timeout: { read: 1000 } };
    const answers = await together(100, (i) => isolate.call(call(`k${i}`), { options }));
    expect(answers.map(({ value }) => value)).toEqual(Array.from({ length: 100 }, (_, i) => `k${i}`));
    expect(Math.max(...answers.map(({ ms }) => ms))).toBeLessThan(1900);
    expect(gateway.counters().httpRequests).toBe(1);
    expect((await isolate.state()).connection).toMatchObject({
      attempts: 1,
      state: "down",
      lastError: "timeout",
    });
    await stage.settled();
  });
});

describe.each(RUNTIMES)("the leader of 100 first requests of one key, $name", (runtime) => {
  /** The runtime tells the handler that a client has gone. */
  const flags = ["enable_request_signal"];
  const visit = (load: Call["load"], more: Partial<Visit> = {}): Visit => ({
    options: PATIENT,
    ...more,
    calls: [call("k", load)],
  });

  test("may lose its client while Redis is asked", async () => {
    const stage = await startStage(runtime, { flags });
    await stage.hold();
    const leader = stage.isolate.send("/", visit({}));
    const answers = await follow(
      stage,
      leader,
      () => stage.gateway.seen("EVAL"),
      async () => {
        leader.reset();
        await stage.isolate.until(({ gone }) => gone === 1);
      },
    );
    await expectOneOfEach(stage, answers);
    await stage.settled();
  });

  test("may lose its client while its callback runs", async () => {
    const stage = await startStage(runtime, { flags });
    const leader = stage.isolate.send("/", visit({ gate: "go" }));
    const answers = await follow(
      stage,
      leader,
      () => stage.isolate.until(({ books }) => books.k?.waiting === 1),
      async () => {
        leader.reset();
        await stage.isolate.until(({ gone }) => gone === 1);
      },
    );
    await expectOneOfEach(stage, answers);
    await stage.settled();
  });

  test.each(["given", "imported"] as const)("may answer early, with its waitUntil %s", async (ctx) => {
    const stage = await startStage(runtime);
    await stage.hold();
    const leader = stage.isolate.send("/", visit({}, { early: true, ctx }));
    const answers = await follow(
      stage,
      leader,
      () => stage.gateway.seen("EVAL"),
      async () => expect(await leader.answer).toEqual({ status: 200, text: "early" }),
    );
    await expectOneOfEach(stage, answers);
    await stage.settled();
  });

  test("may have its request ended by the runtime while its callback runs, which costs only itself", async () => {
    // Its callback never settles. What it has anchored is settled at the flight's deadline; then the runtime ends it.
    const stage = await startStage(runtime);
    const leader = stage.isolate.send("/", {
      ...visit({ never: "alone" }),
      options: { timeout: { flight: 300 } },
    });
    await stage.isolate.until(({ books }) => books.k?.started === 1);
    const followers = together(20, () => stage.isolate.call(call("k")));
    expect((await followers).map(({ value }) => value)).toEqual(Array.from({ length: 20 }, () => "k"));
    expect((await leader.answer).status).toBe(500);
    await stage.settled({ left: 1, allowed: /hung/ });
  });
});
