/**
 * An isolate that has served so much that the engine has compiled what is called often. Guards what that must not change: in whose
 * request those go on who wait for another one's promise. It did, for promises made by `new Promise`.
 */
import { describe, expect, test } from "vitest";
import { RUNTIMES, startStage, together } from "./stage.ts";
import type { Call } from "./visit.ts";

const PATIENT = { timeout: { read: "20s", write: "20s", flight: "20s" } };

/** Flights that need no Redis, since it is down: some fifty thousand. */
const VISITS = 500;
const CALLS = 100;

const call = (key: string, load: Call["load"] = {}): Call => ({
  op: "getOrSet",
  key,
  load: { value: key, ...load },
});

describe.each(RUNTIMES)("an isolate that has run hot, $name", (runtime) => {
  test("answers all who follow others, each in its own request", async () => {
    const stage = await startStage(runtime);
    const { isolate, gateway } = stage;
    await gateway.fault("refuse");
    for (let visit = 0; visit < VISITS; visit += 1) {
      const calls = Array.from({ length: CALLS }, (_, i) => call(`${i}`));
      await isolate.visit({ cache: "heat", unobserved: true, calls });
    }
    await gateway.reset();
    for (let round = 0; round < 20; round += 1) {
      const key = `round ${round}`;
      const answers = together(20, () => isolate.call(call(key, { gate: key }), { options: PATIENT }));
      await isolate.until(({ books }) => books[key]?.asked === 20);
      await isolate.open(key);
      expect((await answers).map(({ value }) => value)).toEqual(Array.from({ length: 20 }, () => key));
    }
    await stage.settled();
  });
});
