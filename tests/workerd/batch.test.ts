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
