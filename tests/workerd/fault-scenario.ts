/** One kind of call, meeting one fault on a connection of its own: what must hold then, and after it. */
import { expect } from "vitest";
import type { Gateway } from "../../dev/gateway.mjs";
import { secretsIn } from "../secrets.ts";
import { type FaultCase, SECRET } from "./fault-cases.ts";
import { credentials, givenBy, type Stage, together } from "./stage.ts";
import type { Call, Ended, State, Visit } from "./visit.ts";

export const OPERATIONS = ["getOrSet", "lookup", "get", "set", "delete", "invalidate"] as const;
export type Operation = (typeof OPERATIONS)[number];

export interface Scenario {
  operation: Operation;
  /** The connection is ready and the key's value stored when the fault begins. */
  warm: boolean;
  count: number;
}

const KEY = `${SECRET}-key`;
const OLD = `${SECRET}-old`;
const FRESH = `${SECRET}-fresh`;

export function isWrite(operation: Operation): boolean {
  return operation === "set" || operation === "delete" || operation === "invalidate";
}

/** A cache with a connection, a prefix and events of its own. */
export class Sandbox {
  readonly stage: Stage;
  readonly gateway: Gateway;
  readonly visit: Omit<Visit, "calls">;
  readonly prefix: string;
  readonly patience: { read: number; write: number };

  private constructor(stage: Stage, gateway: Gateway, prefix: string, silent: boolean) {
    this.stage = stage;
    this.gateway = gateway;
    this.prefix = prefix;
    // Where nothing is silent no deadline is to be reached.
    this.patience = silent ? { read: 300, write: 400 } : { read: 10_000, write: 10_000 };
    const options = { prefix, timeout: { ...this.patience, flight: "20s" } };
    this.visit = { cache: prefix, options, env: credentials(gateway) };
  }

  static async make(stage: Stage, prefix: string, silent = false): Promise<Sandbox> {
    return new Sandbox(stage, await stage.another(), prefix, silent);
  }

  call(call: Call): Promise<Ended> {
    return this.stage.isolate.call(call, this.visit);
  }

  state(): Promise<State> {
    return this.stage.isolate.state(this.visit);
  }

  until(check: (state: State) => boolean): Promise<State> {
    return this.stage.isolate.until(check, this.visit);
  }

  /** Asks until the key is a hit: everything is in order then. */
  async untilHit(key: string, value: string): Promise<void> {
    for (const end = Date.now() + 15_000; ; ) {
      const { value: found } = await this.call({ op: "lookup", key, load: { value } });
      if ((found as { outcome: string }).outcome === "hit") return;
      if (Date.now() > end)
        throw new Error(`${key} does not become a hit: ${JSON.stringify(await this.state())}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

export function callOf(operation: Operation): Call {
  if (operation === "set") return { op: "set", key: KEY, value: FRESH };
  if (operation === "delete" || operation === "invalidate" || operation === "get")
    return { op: operation, key: KEY };
  return { op: operation, key: KEY, load: { value: FRESH } };
}

/** During the fault: reads give the callback's value, writes say what they came to. */
export async function meetFault(
  box: Sandbox,
  fault: FaultCase,
  { operation, warm, count }: Scenario,
): Promise<void> {
  if (warm) await box.untilHit(KEY, OLD);
  const before = await box.state();
  await box.gateway.fault(fault.fault, fault.options);
  const call = callOf(operation);
  const ended = await together(count, () => box.call(call));
  const patience = isWrite(operation) ? box.patience.write : box.patience.read;
  for (const one of ended) {
    // Its own deadline, and much for a busy machine.
    expect(one.ms).toBeLessThan(patience + 2000);
    if (isWrite(operation)) {
      expect(one.error).toMatchObject({
        name: "InvalidationError",
        code: `invalidation-${fault.write}`,
        state: fault.write,
        kind: "invalidation",
        retryable: fault.write === "pending",
        keys: [KEY],
        leeward: true,
      });
      expect(one.error?.message).not.toContain(SECRET);
      // As a logger prints it: the keys are there for programs alone.
      expect(one.error?.printed).not.toContain(SECRET);
    } else {
      expect(one.error).toBeUndefined();
      expect(givenBy(call, one)).toBe(operation === "get" ? undefined : FRESH);
    }
  }
  // And then: nothing old, whatever has been asked before, and Redis is left alone.
  const more = await together(10, () => box.call({ op: "getOrSet", key: KEY, load: { value: FRESH } }));
  expect(more.map(({ value }) => value)).toEqual(more.map(() => FRESH));
  const after = await box.state();
  // A refusal is no failure of the exchange: the invalidation's own event names it.
  const refused = isWrite(operation) && fault.write === "refused";
  const named = after.events.some((event) =>
    refused
      ? event.type === "invalidation" &&
        event.state === "refused" &&
        /^not permitted/.test(event.reason ?? "")
      : event.type === "failure" && event.error === fault.error && fault.message.test(event.message),
  );
  expect(named, `no event names the cause among ${JSON.stringify(after.events)}`).toBe(true);
  expect(after.connection.attempts - before.connection.attempts).toBeLessThanOrEqual(4);
  expect(after.stats.requests - before.stats.requests).toBeLessThanOrEqual(2 * (count + more.length) + 4);
}

/** After the fault: pending writes are carried out, and hits come back. */
export async function recover(box: Sandbox, fault: FaultCase, { operation }: Scenario): Promise<void> {
  await box.gateway.fault("healthy");
  if (fault.write === "refused") {
    // Who may not run scripts is not asked to for a minute, and a refused invalidation is not sent again: nothing is stored.
    const { value } = await box.call({ op: "getOrSet", key: `${SECRET}-other`, load: { value: FRESH } });
    expect(value).toBe(FRESH);
    return expectNoSecrets(box, JSON.stringify((await box.state()).events));
  }
  await box.untilHit(KEY, FRESH);
  const { events, stats } = await box.until(({ stats }) => stats.journal === 0);
  if (isWrite(operation)) {
    expect(JSON.stringify(await box.stage.hash(KEY, box.prefix))).not.toContain(OLD);
    expect(stats.invalidationsApplied).toBeGreaterThan(0);
  }
  await expectNoSecrets(box, JSON.stringify(events));
}

export async function expectNoSecrets(box: Sandbox, told: string): Promise<void> {
  for (const text of [told, await box.stage.isolate.log()]) {
    expect(secretsIn(text, [SECRET, box.gateway.token])).toEqual([]);
  }
}
