/** Guards tags, namespaces, stale values, leases and mutate between requests and isolates as workerd runs them. */
import { describe, expect, test } from "vitest";
import type { Isolate } from "./isolate.ts";
import { complaints, RUNTIMES, type Stage, startStage, together } from "./stage.ts";
import type { Call, Ended } from "./visit.ts";

const options = { timeout: { read: "20s", write: "20s", flight: "20s" }, swr: "1h" };
const PATIENT = { options };
const APPLIED = { value: { state: "applied" } };

const lookup = (value: string, more: Partial<Call> = {}): Call => ({
  ...{ op: "lookup", key: "k", load: { value } },
  ...more,
});

/** Asks until the key is a hit. */
async function untilHit(isolate: Isolate, call: Call): Promise<Ended> {
  for (const end = Date.now() + 12_000; ; ) {
    const ended = await isolate.call(call, PATIENT);
    if ((ended.value as { outcome: string }).outcome === "hit") return ended;
    if (Date.now() > end) throw new Error(`no hit: ${JSON.stringify(await isolate.state())}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function pair(runtime: (typeof RUNTIMES)[number]): Promise<Stage & { there: Isolate }> {
  const stage = await startStage(runtime);
  return { ...stage, there: await stage.neighbour() };
}

describe.each(RUNTIMES)("tags, $name", (runtime) => {
  const tagged = (value: string) => lookup(value, { options: { tags: ["tag"] } });

  test("an invalidation of one reaches the values that carry it in all isolates, and refuses late fills", async () => {
    const { isolate, there, settled } = await pair(runtime);
    await untilHit(isolate, tagged("old"));
    expect((await there.call(tagged("own"), PATIENT)).value).toMatchObject({ value: "old", outcome: "hit" });
    const slow = there.call(
      lookup("older", { key: "slow", load: { gate: "go", value: "older" }, options: { tags: ["tag"] } }),
      PATIENT,
    );
    await there.until(({ books }) => books.slow?.waiting === 1);
    expect(await isolate.call({ op: "invalidate", key: "", what: { tags: ["tag"] } })).toMatchObject(APPLIED);
    for (const one of [isolate, there]) {
      const { value } = await one.call({ op: "look", key: "k" }, PATIENT);
      expect(value).toMatchObject({ outcome: "miss" });
    }
    await there.open("go");
    expect((await slow).value).toMatchObject({ value: "older", outcome: "miss" });
    await there.until(({ stats }) => stats.fillsRefused === 1);
    expect((await isolate.call({ op: "look", key: "slow" }, PATIENT)).value).toMatchObject({
      outcome: "miss",
    });
    await settled();
  });

  test("declared by callbacks of many requests, and awaited: all are stored, also of those that answered early", async () => {
    const { isolate, there, settled } = await pair(runtime);
    const late = (key: string): Call => ({
      ...{ op: "lookup", key, load: { value: key, tags: { names: ["tag", `of ${key}`], awaited: true } } },
    });
    await isolate.call({ op: "get", key: "connect" }, PATIENT);
    const answers = await together(20, (i) => isolate.call(late(`k${i}`), PATIENT));
    for (const { value } of answers) expect(value).toMatchObject({ outcome: "miss" });
    await isolate.send("/", { ...PATIENT, early: true, calls: [late("early")] }).answer;
    await isolate.until(({ stats }) => stats.fills === 21);
    const found = await there.call(lookup("", { key: "early", options: { tags: ["of early"] } }), PATIENT);
    expect(found.value).toMatchObject({ value: "early", outcome: "hit" });
    await there.call({ op: "invalidate", key: "", what: { tags: ["tag"] } });
    for (const { value } of await together(20, (i) => isolate.call({ op: "look", key: `k${i}` }, PATIENT))) {
      expect(value).toMatchObject({ outcome: "miss" });
    }
    await settled();
  });

  test("awaited while Redis hangs, by a request that others follow, some of whom are gone: all are answered", async () => {
    const { isolate, gateway } = await startStage(runtime);
    const hasty = { options: { timeout: { read: 300, write: 300, flight: "20s" } }, cache: "hasty" };
    await untilHit(isolate, lookup("connect", { key: "connect" }));
    await gateway.fault("hang", { match: "leeward:t::tag" });
    const load = { gate: "go", tags: { names: ["tag"], awaited: true }, value: "value" };
    const call = lookup("", { load });
    const leader = isolate.call(call, hasty);
    await isolate.until(({ books }) => books.k?.started === 1, hasty);
    const gone = Array.from({ length: 5 }, () => isolate.send("/", { ...hasty, calls: [call] }));
    const followers = together(5, () => isolate.call(call, hasty));
    await isolate.until(({ books }) => books.k?.asked === 11, hasty);
    for (const one of gone) one.reset();
    await isolate.open("go");
    for (const { value } of [await leader, ...(await followers)]) {
      expect(value).toMatchObject({ value: "value" });
    }
    // What the lost ones leave is swept when room is needed: their operations, and the flight that they followed.
    const { unhandled } = await isolate.until(({ underWay }) => String(underWay) === "5,5,0,1");
    expect(unhandled).toEqual([]);
    expect(await complaints(isolate)).toEqual([]);
  });
});

describe.each(RUNTIMES)("namespaces, $name", (runtime) => {
  test("the end of an outer one reaches the inner one in all isolates", async () => {
    const { isolate, there, settled } = await pair(runtime);
    const inner = { namespace: ["outer", "inner"] };
    for (const one of [isolate, there]) await untilHit(one, lookup("old", inner));
    await untilHit(isolate, lookup("kept"));
    const end: Call = { op: "invalidate", key: "", what: { all: true }, namespace: ["outer"] };
    expect(await there.call(end, PATIENT)).toMatchObject(APPLIED);
    expect((await isolate.call(lookup("new", inner), PATIENT)).value).toMatchObject({ value: "new" });
    expect((await isolate.call(lookup("no"), PATIENT)).value).toMatchObject({
      value: "kept",
      outcome: "hit",
    });
    await settled();
  });
});

describe.each(RUNTIMES)("a stale value, $name", (runtime) => {
  test("is served to everybody at once, and refreshed behind one answer of all isolates", async () => {
    const { isolate, there, settled } = await pair(runtime);
    await untilHit(isolate, lookup("old"));
    const before = (await isolate.state()).books.k?.started ?? 0;
    await there.call({ op: "get", key: "connect" }, PATIENT);
    expect(await there.call({ op: "expire", key: "k" })).toMatchObject(APPLIED);
    const call = lookup("new", { load: { gate: "go", value: "new" } });
    const served = await Promise.all(
      [isolate, there].map((one) => together(10, () => one.call(call, PATIENT))),
    );
    for (const { value } of served.flat()) expect(value).toMatchObject({ value: "old", outcome: "stale" });
    const started = async () => {
      const states = await Promise.all([isolate.state(), there.state()]);
      return states.reduce((sum, { books }) => sum + (books.k?.started ?? 0), 0) - before;
    };
    expect(await started()).toBe(1);
    await Promise.all([isolate.open("go"), there.open("go")]);
    for (const one of [isolate, there]) {
      expect((await untilHit(one, call)).value).toMatchObject({ value: "new" });
    }
    expect(await started()).toBe(1);
    await settled();
  });

  test("whose refresh fails is nobody's unhandled rejection", async () => {
    const { isolate, settled } = await startStage(runtime);
    await untilHit(isolate, lookup("old"));
    await isolate.call({ op: "expire", key: "k" });
    const { value } = await isolate.call(lookup("", { load: { fail: "on purpose" } }), PATIENT);
    expect(value).toMatchObject({ value: "old", outcome: "stale" });
    await isolate.until(({ events }) =>
      events.some((event) => event.type === "failure" && event.error === "callback"),
    );
    await settled();
  });
});

describe.each(RUNTIMES)("leaseWait, $name", (runtime) => {
  test("isolates that miss at the same time run one callback, with many requests each", async () => {
    const stage = await startStage(runtime);
    const all = [stage.isolate, ...(await Promise.all([1, 2, 3].map(() => stage.neighbour())))];
    await Promise.all(all.map((one) => one.call({ op: "get", key: "connect" }, PATIENT)));
    const call = lookup("value", { load: { gate: "go", value: "value" }, options: { leaseWait: "20s" } });
    const answers = Promise.all(all.map((one) => together(5, () => one.call(call, PATIENT))));
    await Promise.all(all.map((one) => one.until(({ books }) => books.k?.asked === 5)));
    await Promise.all(all.map((one) => one.open("go")));
    for (const { value } of (await answers).flat()) expect(value).toMatchObject({ value: "value" });
    const states = await Promise.all(all.map((one) => one.state()));
    expect(states.reduce((sum, { books }) => sum + (books.k?.started ?? 0), 0)).toBe(1);
    await stage.settled();
  });
});

describe.each(RUNTIMES)("a mutate, $name", (runtime) => {
  const change = (more: Partial<Call> = {}): Call => ({
    ...{ op: "mutate", key: "k", load: { gate: "go", value: "changed" } },
    ...more,
  });

  test("keeps all isolates from the old state while it runs, and from nothing after it", async () => {
    const { isolate, there, settled } = await pair(runtime);
    for (const one of [isolate, there]) await untilHit(one, lookup("old"));
    const mutate = isolate.call(change(), PATIENT);
    await isolate.until(({ books }) => books.k?.waiting === 1);
    for (const one of [isolate, there]) {
      for (const { value } of await together(5, () => one.call(lookup("own"), PATIENT))) {
        expect(value).toMatchObject({ value: "own", stored: false });
      }
    }
    await isolate.open("go");
    expect((await mutate).value).toEqual({
      ...{ value: "changed", invalidation: { state: "applied" }, marked: true },
    });
    for (const one of [isolate, there]) {
      expect((await untilHit(one, lookup("new"))).value).toMatchObject({ value: "new" });
    }
    await settled();
  });

  test("whose request is lost while it runs leaves a mark that runs out, and nothing old comes back", async () => {
    const { isolate, there } = await pair(runtime);
    await untilHit(there, lookup("old"));
    const lost = isolate.send("/", {
      ...PATIENT,
      calls: [change({ load: { never: "alone" }, options: { timeout: 500 } })],
    });
    await isolate.until(({ books }) => books.k?.started === 1);
    lost.reset();
    expect((await there.call(lookup("meanwhile"), PATIENT)).value).toMatchObject({ stored: false });
    expect((await untilHit(there, lookup("new"))).value).toMatchObject({ value: "new" });
    expect((await untilHit(isolate, lookup("newer"))).value).not.toMatchObject({ value: "old" });
    await isolate.until(({ stats }) => stats.journal === 0);
  });

  test("gives its callback's own error, runs it without Redis, and leaves nothing unhandled", async () => {
    const { isolate, gateway, settled } = await startStage(runtime);
    const failed = await isolate.call(change({ load: { fail: "own" } }), PATIENT);
    expect(failed.error).toMatchObject({ message: "own", own: true, leeward: false });
    await gateway.fault("refuse");
    const { value } = await isolate.call(change({ load: { value: "changed" } }), PATIENT);
    expect(value).toMatchObject({ value: "changed", marked: false, invalidation: { state: "pending" } });
    // Of the error's fields JSON shows none that names a key.
    expect(JSON.stringify(value)).not.toContain('"k"');
    await gateway.fault("healthy");
    await isolate.until(({ stats }) => stats.journal === 0);
    await settled();
  });
});
