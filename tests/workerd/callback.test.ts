/** Guards that a callback is its caller's own affair: it may never settle, throw, or give what cannot be stored. */
import { describe, expect, test } from "vitest";
import { givenBy, OLD_DATE, RUNTIMES, startStage, together } from "./stage.ts";
import type { Call, Visit } from "./visit.ts";

const right = (count: number) => Array.from({ length: count }, () => "right");

describe.each([...RUNTIMES, OLD_DATE])("a callback, $name", (runtime) => {
  test.each([
    "alone",
    "busy",
  ] as const)("that never settles (%s) keeps no later request from its answer: 3 waves of 5", async (never) => {
    const { isolate, settled } = await startStage(runtime);
    const visit: Visit = {
      options: { timeout: { flight: 400 } },
      calls: [{ op: "getOrSet", key: "k", load: { never } }],
    };
    const leader = isolate.send("/", visit);
    await isolate.until(({ books }) => books.k?.started === 1);
    for (let wave = 1; wave <= 3; wave += 1) {
      const call: Call = { op: "getOrSet", key: "k", load: { value: "right" } };
      const answers = await together(5, () => isolate.call(call));
      expect(answers.map(({ value }) => value)).toEqual(right(5));
    }
    // The first wave waits until the flight's deadline, and then one of it leads for the others.
    expect((await isolate.state()).books.k?.started).toBeLessThanOrEqual(3);
    if (never === "alone") expect((await leader.answer).status).toBe(500);
    leader.reset();
    await settled({ left: 1, allowed: never === "alone" ? /hung/ : /disconnected/ });
  });

  test("that throws gives its own error, the same object, to its caller, and the others run their own", async () => {
    const stage = await startStage(runtime);
    const { isolate, settled } = stage;
    const leading = isolate.call({ op: "getOrSet", key: "k", load: { gate: "go", fail: "mine" } });
    await isolate.until(({ books }) => books.k?.waiting === 1);
    const following = together(20, (i) =>
      isolate.call({
        op: "getOrSet",
        key: "k",
        load: i % 2 === 0 ? { value: "right" } : { fail: `own ${i}` },
      }),
    );
    await isolate.until(({ books }) => books.k?.asked === 21);
    await isolate.open("go");
    expect((await leading).error).toMatchObject({ message: "mine", own: true, leeward: false });
    for (const [i, { value, error }] of (await following).entries()) {
      // A value may come from another one's callback; an error never does.
      if (error === undefined) expect(value).toBe("right");
      else expect(error).toMatchObject({ message: `own ${i}`, own: true, leeward: false });
      if (i % 2 === 0) expect(error).toBeUndefined();
    }
    await settled();
  });

  test("that throws gives its own error when Redis is down, too", async () => {
    const { isolate, gateway, settled } = await startStage(runtime);
    await gateway.fault("refuse");
    const answers = await together(10, (i) =>
      isolate.call({ op: "lookup", key: "k", load: { fail: `own ${i}` } }),
    );
    for (const [i, { error }] of answers.entries())
      expect(error).toMatchObject({ message: `own ${i}`, own: true });
    await settled();
  });
});

describe.each(RUNTIMES)("50 requests of a key, $name", (runtime) => {
  test.each([
    ["a Date in the value", { make: "date" }],
    ["skip()", { skip: true, value: { n: 1 } }],
  ] as const)("whose value cannot be stored (%s) do not queue: all who wait run at once", async (_, load) => {
    const { isolate, gateway, settled, hash } = await startStage(runtime);
    const call: Call = { op: "lookup", key: "k", load: { gate: "first", laterGate: "others", ...load } };
    const options = { timeout: { flight: "20s", read: "20s", write: "20s" } };
    const answers = together(50, () => isolate.call(call, { options }));
    await isolate.until(({ books }) => books.k?.asked === 50 && books.k.waiting === 1);
    await isolate.open("first");
    // In a queue there would never be 49 at the same time: each would wait for the one before.
    await isolate.until(({ books }) => books.k?.waiting === 49);
    await isolate.open("others");
    for (const answer of await answers) {
      expect(givenBy(call, answer)).toMatchObject(
        "make" in load ? { at: "1970-01-01T00:00:00.000Z" } : { n: 1 },
      );
      expect(answer.value).toMatchObject({ stored: false, shared: false });
    }
    // Then it is passed through: nobody waits, nobody asks Redis.
    const before = gateway.counters().httpRequests;
    const again = await together(10, () => isolate.call({ op: "lookup", key: "k", load: { ...load } }));
    expect(again.map(({ value }) => value)).toMatchObject(
      Array.from({ length: 10 }, () => ({ outcome: "bypass", reason: "pass-through" })),
    );
    expect(gateway.counters().httpRequests).toBe(before);
    const { books, stats, events } = await isolate.state();
    expect(books.k?.started).toBe(60);
    expect(stats.fills).toBe(0);
    const told = events.filter(({ type }) => type === "unstorable");
    if ("make" in load) expect(told[0]).toMatchObject({ path: "$.at" });
    else expect(told).toEqual([]);
    // What a fill would have named, and the lease of the one who computed: no entry.
    expect(Object.keys(await hash("k"))).toEqual(["g", "x", "l:"]);
    await settled();
  });
});
