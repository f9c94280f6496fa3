/** Guards that a caller's signal ends that caller's wait and nothing else. */
import { describe, expect, test } from "vitest";
import { RUNTIMES, startStage } from "./stage.ts";
import type { Visit } from "./visit.ts";

const PATIENT = { timeout: { read: "20s", write: "20s", flight: "20s" } };
const LEFT = { message: "the caller has left", own: true, leeward: false };

describe.each(RUNTIMES)("a caller's signal, $name", (runtime) => {
  test("ends the leader's wait; the callback goes on for those who follow", async () => {
    const { isolate, settled } = await startStage(runtime);
    const options = PATIENT;
    const leader = isolate.call(
      { op: "getOrSet", key: "k", load: { gate: "go", value: 1 }, abortAt: "leave" },
      { options },
    );
    await isolate.until(({ books }) => books.k?.waiting === 1);
    const follower = isolate.call({ op: "lookup", key: "k", load: { value: 2 } });
    await isolate.until(({ books }) => books.k?.asked === 2);
    await isolate.open("leave");
    // The leader's answer comes while its callback still waits at the gate.
    expect((await leader).error).toMatchObject(LEFT);
    expect((await isolate.state()).books.k).toMatchObject({ waiting: 1, cancelled: 0 });
    await isolate.open("go");
    expect((await follower).value).toMatchObject({ value: 1, shared: true });
    expect((await isolate.state()).books.k).toMatchObject({ started: 1, cancelled: 0 });
    await settled();
  });

  test("ends the follower's wait; the leader gets its value", async () => {
    const { isolate, settled } = await startStage(runtime);
    const leader = isolate.call(
      { op: "getOrSet", key: "k", load: { gate: "go", value: 1 } },
      { options: PATIENT },
    );
    await isolate.until(({ books }) => books.k?.waiting === 1);
    const follower = isolate.call({ op: "getOrSet", key: "k", load: { value: 2 }, abortAt: "leave" });
    await isolate.until(({ books }) => books.k?.asked === 2);
    await isolate.open("leave");
    expect((await follower).error).toMatchObject(LEFT);
    await isolate.open("go");
    expect((await leader).value).toBe(1);
    expect((await isolate.state()).books.k).toMatchObject({ started: 1, cancelled: 0 });
    await settled();
  });

  test("fires the callback's signal when nobody else waits", async () => {
    const { isolate, settled } = await startStage(runtime);
    const visit: Omit<Visit, "calls"> = { options: PATIENT };
    const alone = isolate.call(
      { op: "getOrSet", key: "k", load: { gate: "go", value: 1 }, abortAt: "leave" },
      visit,
    );
    await isolate.until(({ books }) => books.k?.waiting === 1);
    await isolate.open("leave");
    expect((await alone).error).toMatchObject(LEFT);
    await isolate.until(({ books }) => books.k?.cancelled === 1);
    await isolate.open("go");
    await settled();
  });

  test("that fires while Redis is asked ends the wait at once, and no callback runs", async () => {
    const stage = await startStage(runtime);
    const { isolate, gateway, settled } = stage;
    await stage.hold();
    const alone = isolate.call(
      { op: "getOrSet", key: "k", load: { value: 1 }, abortAt: "leave" },
      { options: PATIENT },
    );
    await gateway.seen("EVAL");
    await isolate.open("leave");
    expect((await alone).error).toMatchObject(LEFT);
    await stage.release();
    await gateway.idle();
    expect((await isolate.state()).books.k?.started).toBe(0);
    await settled();
  });

  test("that has fired before the call is thrown, and nothing is asked", async () => {
    const { isolate, gateway, settled } = await startStage(runtime);
    await isolate.open("leave");
    const [ended] = await isolate.visit({
      calls: [{ op: "getOrSet", key: "k", load: { value: 1 }, abortAt: "leave" }],
    });
    expect(ended?.error).toMatchObject(LEFT);
    expect(gateway.counters().httpRequests).toBe(0);
    expect((await isolate.state()).books.k?.started).toBe(0);
    await settled();
  });
});
