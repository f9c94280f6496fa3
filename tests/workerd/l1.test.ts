/** Guards that visitors of an isolate that holds values share them, and nothing that one does to his. */
import { describe, expect, test } from "vitest";
import { complaints, RUNTIMES, startStage, together } from "./stage.ts";

interface Visited {
  got: unknown;
  changes: string[];
  l1: boolean;
  outcome: string;
  requests: number;
}

describe.each(RUNTIMES)("$name", (runtime) => {
  test.for([
    ["frozen", ["TypeError", "TypeError", "changed"]],
    ["copied", ["changed", "changed", "changed"]],
  ] as const)("what one visitor does to a value, no other one sees: %s", async ([values, changes]) => {
    const { isolate, gateway } = await startStage(runtime, { handler: "l1-worker.ts" });
    const visit = async (): Promise<Visited> => {
      const { status, text } = await isolate.send(`/visit?values=${values}`, {}).answer;
      expect(status, text).toBe(200);
      return JSON.parse(text) as Visited;
    };
    const got = { learner: { name: "Ada", badges: ["first"] }, bytes: [1, 2, 3] };
    // Who computes a value has it for himself.
    expect(await visit()).toMatchObject({ got, changes: ["changed", "changed", "changed"], l1: false });
    await gateway.idle();
    await visit();
    await gateway.idle();
    await gateway.reset();
    for (const visited of await together(20, visit)) {
      expect(visited).toMatchObject({ got, changes, l1: true, outcome: "hit" });
    }
    expect(gateway.counters().httpRequests).toBe(0);
    expect(await complaints(isolate)).toEqual([]);
  });
});
