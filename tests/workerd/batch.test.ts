/** Guards what a request costs: what one turn asks for travels as one HTTP request. */
import { describe, expect, test } from "vitest";
import { OLD_DATE, RUNTIMES, startStage, together } from "./stage.ts";
import type { Call } from "./visit.ts";

/** Deadlines that no test here is to reach. */
const PATIENT = { timeout: { read: "20s", write: "20s" } };
const keys = Array.from({ length: 50 }, (_, i) => `k${i}`);
const gets: Call[] = keys.map((key) => ({ op: "look", key }));
const loads: Call[] = keys.map((key) => ({ op: "lookup", key, load: { value: key } }));
const drops: Call[] = keys.map((key) => ({ op: "delete", key }));

describe.each([...RUNTIMES, OLD_DATE])("50 operations of one turn, $name", (runtime) => {
  test("are one HTTP request of 50 commands, cold and warm, and their fills another", async () => {
    const { isolate, gateway, settled } = await startStage(runtime);
    const outcomes = (answers: { value?: unknown }[]) =>
      new Set(answers.map(({ value }) => (value as { outcome: string }).outcome));
    expect(outcomes(await isolate.visit({ options: PATIENT, calls: gets }))).toEqual(new Set(["miss"]));
    expect(gateway.counters()).toMatchObject({ httpRequests: 1, redisCommands: 50 });
    expect((await isolate.state()).connection).toMatchObject({ attempts: 1, reuses: 0 });
    expect(outcomes(await isolate.visit({ calls: loads }))).toEqual(new Set(["miss"]));
    await isolate.until(({ stats }) => stats.fills === 50);
    expect(gateway.counters()).toMatchObject({ httpRequests: 3, redisCommands: 150 });
    expect(outcomes(await isolate.visit({ calls: loads }))).toEqual(new Set(["hit"]));
    expect(gateway.counters()).toMatchObject({ httpRequests: 4, redisCommands: 200 });
    await isolate.visit({ calls: drops });
    expect(gateway.counters()).toMatchObject({ httpRequests: 5, redisCommands: 250 });
    expect((await isolate.state()).stats).toMatchObject({ requests: 5, commands: 250 });
    await settled();
  });

  test("by one call of getMany are two HTTP requests cold, one warm, and one callback", async () => {
    const { isolate, gateway, settled } = await startStage(runtime);
    const [key = "", ...also] = keys;
    const many: Call = { op: "getMany", key, also };
    const values = Object.fromEntries(keys.map((key) => [key, `value of ${key}`]));
    expect((await isolate.call(many, { options: PATIENT })).value).toEqual(values);
    const { books } = await isolate.until(({ stats }) => stats.fills === 50);
    expect(books[key]?.started).toBe(1);
    expect(gateway.counters()).toMatchObject({ httpRequests: 2, redisCommands: 100 });
    expect((await isolate.call(many)).value).toEqual(values);
    expect(gateway.counters()).toMatchObject({ httpRequests: 3, redisCommands: 150 });
    await settled();
  });

  test("and raw commands among them are one HTTP request, and one that fails fails alone", async () => {
    const { isolate, gateway, settled } = await startStage(runtime);
    const raw = (...command: [string, ...(string | number)[]]): Call => ({ op: "redis", key: "", command });
    const calls = [raw("INCR", "n"), ...gets, raw("LPUSH", "n", 1), raw("INCRBY", "n", 41)];
    const answers = await isolate.visit({ options: PATIENT, calls });
    expect([answers[0]?.value, answers.at(-1)?.value]).toEqual([1, 42]);
    expect(answers[51]?.error).toMatchObject({ leeward: true, code: "redis-error", kind: "server" });
    expect(gateway.counters()).toMatchObject({ httpRequests: 1, redisCommands: 53 });
    await settled();
  });

  test("never share an HTTP request with those of another request", async () => {
    const { isolate, gateway, settled } = await startStage(runtime);
    await isolate.visit({ options: PATIENT, calls: [{ op: "look", key: "first" }] });
    const visits = await together(20, (v) =>
      isolate.visit({ calls: keys.map((key) => ({ op: "look", key: `${v} ${key}` })) }),
    );
    expect(visits.flat()).toHaveLength(1000);
    const requests = gateway.requests.slice(1);
    expect(requests).toHaveLength(20);
    for (const { commands } of requests) {
      const visitors = commands.map((words) => words[3]?.split("::")[1]?.split(" ")[0]);
      expect(new Set(visitors).size).toBe(1);
      expect(visitors).toHaveLength(50);
    }
    await settled();
  });
});

describe.each(RUNTIMES)("a request that loads many keys, $name", (runtime) => {
  test("may lose its client while its callback runs: those who have joined it are answered", async () => {
    const { isolate, settled } = await startStage(runtime, { flags: ["enable_request_signal"] });
    await isolate.call({ op: "get", key: "connect" }, { options: PATIENT });
    const many = isolate.send("/", {
      calls: [{ op: "getMany", key: "a", also: ["b"], load: { gate: "go" } }],
    });
    await isolate.until(({ books }) => books.a?.waiting === 1);
    const joined = together(20, (i) =>
      isolate.call({ op: "getOrSet", key: i % 2 === 0 ? "a" : "b", load: { gate: "go", value: "own" } }),
    );
    await isolate.until(({ books }) => (books.a?.asked ?? 0) + (books.b?.asked ?? 0) === 21);
    many.reset();
    await isolate.until(({ gone }) => gone === 1);
    await isolate.open("go");
    for (const { value } of await joined) expect(value).toMatch(/^(value of [ab]|own)$/);
    await settled();
  });

  test("keeps nobody waiting who asks for its keys by a call for many", async () => {
    const { isolate, settled } = await startStage(runtime);
    await isolate.call({ op: "get", key: "connect" }, { options: PATIENT });
    const slow = isolate.call({ op: "getMany", key: "a", also: ["b"], load: { gate: "go" } });
    await isolate.until(({ books }) => books.a?.waiting === 1);
    const { value } = await isolate.call({ op: "getMany", key: "b", also: ["a"] });
    expect(value).toEqual({ a: "value of a", b: "value of b" });
    await isolate.open("go");
    expect((await slow).value).toEqual(value);
    await settled();
  });
});
