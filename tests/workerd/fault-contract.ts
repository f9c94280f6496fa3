/**
 * Guards the failure contract: whatever Redis does, reads give the callback's value and writes say what they came to. For two
 * files of tests, since most of it is waiting for a backoff to pass.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { CASES, type FaultCase, SECRET } from "./fault-cases.ts";
import {
  callOf,
  expectNoSecrets,
  isWrite,
  meetFault,
  OPERATIONS,
  recover,
  Sandbox,
} from "./fault-scenario.ts";
import { type Runtime, type Stage, startStage, together } from "./stage.ts";
import type { State } from "./visit.ts";

const SCENARIOS = OPERATIONS.flatMap((operation) =>
  [false, true].flatMap((warm) => [1, 20].map((count) => ({ operation, warm, count }))),
);

async function expectContract(stage: Stage, fault: FaultCase): Promise<void> {
  await Promise.all(
    SCENARIOS.map(async (scenario, i) => {
      const box = await Sandbox.make(stage, `box${i}`, fault.silent);
      await meetFault(box, fault, scenario);
      await recover(box, fault, scenario);
    }),
  );
  await stage.settled();
}

export function guardFaults(runtime: Runtime): void {
  describe(`every operation, cold and warm, alone and 20 at once, ${runtime.name}`, () => {
    test.each(CASES)("outlives $name", async (fault) => {
      await expectContract(await startStage(runtime), fault);
    });

    test.each([302, 307])("outlives a redirect (%i), which nobody follows", async (code) => {
      let followed = 0;
      const trap = createServer((_, response) => {
        followed += 1;
        response.end("[]");
      });
      await new Promise<void>((resolve) => trap.listen(0, "127.0.0.1", resolve));
      onTestFinished(() => void trap.close());
      const location = `http://127.0.0.1:${(trap.address() as AddressInfo).port}/pipeline?${SECRET}`;
      await expectContract(await startStage(runtime), {
        name: "a redirect",
        fault: "redirect",
        options: { location, code },
        error: "protocol",
        message: /redirects are not followed/,
        write: "pending",
      });
      expect(followed).toBe(0);
    });

    test("outlives a server that forgets its scripts: warm, hits continue", async () => {
      const stage = await startStage(runtime);
      await Promise.all(
        SCENARIOS.map(async ({ operation, warm, count }, i) => {
          const box = await Sandbox.make(stage, `box${i}`);
          const call = callOf(operation);
          if (warm) await box.untilHit(call.key, "old");
          await box.gateway.fault("flushScripts", { times: 3 });
          for (const { value, error } of await together(count, () => box.call(call))) {
            expect(error).toBeUndefined();
            if (operation === "get") expect(value).toBe(warm ? "old" : undefined);
            else if (operation === "getOrSet") expect(value).toBe(warm ? "old" : call.load?.value);
            else if (operation === "lookup") expect(value).toMatchObject({ outcome: warm ? "hit" : "miss" });
            else expect(value).toMatchObject({ state: "applied" });
          }
          await box.untilHit(call.key, "old");
          const { connection, stats } = await box.state();
          expect(connection).toMatchObject({ state: "ready", attempts: 1, failures: 0 });
          expect(stats.invalidationsPending).toBe(0);
        }),
      );
      await stage.settled();
    });

    test("outlives a wrong token, and tells nobody what it is", async () => {
      const stage = await startStage(runtime);
      await Promise.all(
        SCENARIOS.filter(({ warm }) => !warm).map(async ({ operation, count }, i) => {
          const box = await Sandbox.make(stage, `box${i}`);
          const call = callOf(operation);
          const visit = {
            ...box.visit,
            env: { ...box.visit.env, UPSTASH_REDIS_REST_TOKEN: `${SECRET}-token` },
          };
          for (const { value, error } of await together(count, () => stage.isolate.call(call, visit))) {
            if (isWrite(operation))
              expect(error).toMatchObject({ code: "invalidation-pending", retryable: true });
            else expect(error).toBeUndefined();
            if (operation === "getOrSet") expect(value).toBe(call.load?.value);
          }
          // A replay may be trying again just now.
          const isDown = ({ connection }: State) => connection.state === "down";
          const { connection, events } = await stage.isolate.until(isDown, visit);
          expect(connection).toMatchObject({ isOpen: false, isReady: false, lastError: "auth" });
          expect(connection.attempts).toBeLessThanOrEqual(4);
          expect(events.some((event) => event.type === "failure" && event.error === "auth")).toBe(true);
          await expectNoSecrets(box, JSON.stringify(events));
        }),
      );
    });
  });
}
