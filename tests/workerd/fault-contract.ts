/**
 * Guards the failure contract: every fault, met by every operation (`fault-operations.ts`), cold and warm, alone and many at once,
 * and coming and going. Reads give the callback's value, and writes say what they came to.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, describe, expect, onTestFinished, test } from "vitest";
import { type Box, boxesFor } from "./fault-box.ts";
import { CASES, type FaultCase } from "./fault-cases.ts";
import { OPERATIONS, SECRET } from "./fault-operations.ts";
import { expectNoSecrets, flap, jump, meetFault, patienceFor, recover } from "./fault-scenario.ts";
import { type Runtime, type Stage, startStage } from "./stage.ts";

/** Who observes nothing logs; of its own cache there is one in an isolate. */
const LOGGED = /leeward: (Redis is not there|redis refuses scripts)/;

let cells = 0;
let began = 0;

/** Of those that are alike, the ones that meet what is large. */
const FEW = ["getOrSet", "set", "delete", "redis"];

/**
 * A box for each operation, cold and warm. Where many call at once, each operation is one
 * of the two: with the next fault it is the other.
 */
async function boxesOf(stage: Stage, fault: FaultCase, count: number): Promise<Box[]> {
  const turn = CASES.indexOf(fault);
  const atOnce = fault.large ? Math.min(count, 2) : count;
  const wanted = OPERATIONS.flatMap((operation, index) => {
    if (fault.large && !FEW.includes(operation.name)) return [];
    // The old contract's operations share a connection, and with it that it is warm.
    if (operation.compat) return [{ operation, warm: false, count: atOnce }];
    const both = count > 1 ? [(index + turn) % 2 === 1] : [false, true];
    return both.map((warm) => ({ operation, warm, count: atOnce }));
  });
  return boxesFor(stage, wanted, patienceFor(fault));
}

async function expectContract(stage: Stage, fault: FaultCase, counts: readonly number[]): Promise<void> {
  for (const [index, count] of counts.entries()) {
    if (index > 0) await stage.redis.command("FLUSHALL");
    const on = index > 0 ? { ...stage, isolate: await stage.neighbour() } : stage;
    const boxes = await boxesOf(on, fault, count);
    await Promise.all(boxes.map((box) => box.cell.warm && box.warmUp()));
    await meetFault(boxes, fault);
    if (fault.jump !== undefined) await jump(boxes, fault.jump);
    await recover(boxes, fault);
    cells += boxes.length;
    // Connections that are refused cannot be counted.
    if (count === 1 && !fault.large && fault.fault !== "refuse" && fault.write === "pending") {
      await flap(boxes, fault);
      cells += boxes.length;
    }
    await expectNoSecrets(on, boxes);
  }
  await stage.settled({ allowed: LOGGED });
}

/** With so many calls at once in a cell, one after the other. */
export function guardFaults(runtime: Runtime, counts: readonly number[]): void {
  describe(`every operation, cold and warm, ${counts.join(" and ")} at once, ${runtime.name}`, () => {
    began = Date.now();
    afterAll(() => console.log(`${cells} cells in ${((Date.now() - began) / 1000).toFixed(1)} s`));

    test.each(CASES)("outlives $name", { timeout: 60_000 }, async (fault) => {
      await expectContract(await startStage(runtime), fault, counts);
    });

    test.each([302, 307])("outlives a redirect (%i), which nobody follows", {
      timeout: 60_000,
    }, async (code) => {
      let followed = 0;
      const trap = createServer((_, response) => {
        followed += 1;
        response.end("[]");
      });
      await new Promise<void>((resolve) => trap.listen(0, "127.0.0.1", resolve));
      onTestFinished(() => void trap.close());
      const location = `http://127.0.0.1:${(trap.address() as AddressInfo).port}/pipeline?${SECRET}`;
      const fault: FaultCase = {
        name: "a redirect",
        fault: "redirect",
        options: { location, code },
        error: "protocol",
        message: /redirects are not followed/,
        write: "pending",
        raw: "unknown-outcome",
      };
      await expectContract(await startStage(runtime), fault, counts);
      expect(followed).toBe(0);
    });
  });
}
