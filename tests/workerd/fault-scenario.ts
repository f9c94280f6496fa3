/** Many boxes meeting one fault at the same time: what must hold during it, after it, and while it comes and goes. */
import { expect } from "vitest";
import { secretsIn } from "../secrets.ts";
import { type Box, PATIENT, type Patience } from "./fault-box.ts";
import type { FaultCase } from "./fault-cases.ts";
import { ends, FRESH, OLD, SECRET, TAG, targetsOf } from "./fault-operations.ts";
import type { Failures } from "./fault-tally.ts";
import type { Isolate } from "./isolate.ts";
import { givenBy, type Stage, together } from "./stage.ts";
import type { Ended, State, Thrown } from "./visit.ts";

/** What each box asks for once more during the fault: nothing old then, and Redis is left alone. */
const MORE = 2;
/** Attempts that the shortest backoffs allow at once, and then each second. */
const ATTEMPTS = 4;
const ATTEMPTS_A_SECOND = 1;

/** Deadlines that end a call where Redis never answers. */
const SHORT: Patience = { read: 300, write: 400 };

export function patienceFor({ silent }: FaultCase): Patience {
  return silent ? SHORT : PATIENT;
}

/** An invalidation that says what it came to, to programs and not to loggers. */
function expectTold(box: Box, error: Thrown | undefined, state: "pending" | "refused"): void {
  const { keys = [] } = targetsOf(box.cell.operation);
  expect(error, box.name).toMatchObject({
    name: "InvalidationError",
    code: `invalidation-${state}`,
    kind: "invalidation",
    retryable: state === "pending",
    leeward: true,
    state,
    keys,
  });
  expect(`${error?.message} ${error?.printed}`, box.name).not.toContain(SECRET);
}

/** What a raw command may say in the fault; `met`: it is the only one, and meets it for certain. */
function failuresIn(fault: FaultCase, met: boolean): Failures {
  const { error: kind, raw } = fault;
  const lasting = kind === "auth";
  const down = { "not-executed": { kind, retryable: !lasting } };
  if (raw === "not-executed") return down;
  if (raw === "redis-error") {
    const [word = ""] = fault.options?.error?.split(" ") ?? [];
    const retryable = ["LOADING", "READONLY"].includes(word);
    return { ...(!met && down), "redis-error": { kind: "server", word, retryable } };
  }
  return { ...(!met && down), "unknown-outcome": { kind, retryable: false } };
}

/** In the fault a raw command says that it is executed, is not, or that nobody knows, and is right. */
function expectRaw(box: Box, fault: FaultCase, ended: Ended, met: boolean): void {
  if (typeof fault.raw === "object" && typeof ended.value === "object") {
    expect(ended.value, box.name).toEqual(fault.raw.reply);
    return;
  }
  if (met) expect(ended.error, box.name).toBeDefined();
  box.tally.take(ended, failuresIn(fault, met), box.name);
}

/** During the fault: reads give the callback's value, writes say what they came to. */
function expectHonest(box: Box, fault: FaultCase, ended: Ended): void {
  const { kind, call, compat } = box.cell.operation;
  // Its own deadline, and much for a busy machine.
  const limit = compat ? 1000 : patienceFor(fault)[kind === "read" ? "read" : "write"];
  // A change has one before its callback, and one after.
  expect(ended.ms, box.name).toBeLessThan(limit * (kind === "change" ? 2 : 1) + 5000);
  if (kind === "write") {
    // A cache that nobody can configure has a short deadline, which a busy machine misses.
    expectTold(box, ended.error, compat && ended.error?.state === "pending" ? "pending" : fault.write);
    return;
  }
  if (kind === "raw") {
    expectRaw(box, fault, ended, box.cell.count === 1);
    return;
  }
  expect(ended.error, box.name).toBeUndefined();
  if (kind === "change") {
    const { value, marked, invalidation } = ended.value as Record<string, unknown>;
    expect([value, marked], box.name).toEqual([FRESH, false]);
    expect(invalidation, box.name).toMatchObject({ state: fault.write });
  } else {
    expect(givenBy(call, ended), box.name).toBe(box.holds ? OLD : kind === "look" ? undefined : FRESH);
  }
}

/** That something tells the cause: an event, or for the old contract's cache, which nobody observes, the log. */
function expectNamed(box: Box, fault: FaultCase, events: State["events"], log: string): void {
  const { kind, compat } = box.cell.operation;
  // Unless a cache that is observed has been the first to find out.
  const isLogged = log.includes("leeward: Redis is not there, callbacks run");
  if (compat && (isLogged || fault.write === "refused")) return;
  // A refusal is no failure of the exchange: the invalidation's own event names it.
  const refused = fault.write === "refused" && (kind === "write" || kind === "change");
  const named = events.some((event) =>
    refused
      ? event.type === "invalidation" &&
        event.state === "refused" &&
        /^not permitted/.test(event.reason ?? "")
      : event.type === "failure" && event.error === fault.error && fault.message.test(event.message),
  );
  expect(named, `${box.name}: no event names the cause among ${JSON.stringify(events)}`).toBe(true);
}

/** All boxes in the fault at once. */
export async function meetFault(boxes: readonly Box[], fault: FaultCase): Promise<void> {
  const began = Date.now();
  const before = await Promise.all(boxes.map((box) => box.state()));
  await boxes[0]?.stage.gateway.fault(fault.fault, fault.options);
  const all = await Promise.all(
    boxes.map(async (box, index) => {
      for (const one of await box.run()) expectHonest(box, fault, one);
      if (box.holds) {
        expect((await box.state()).stats.requests, box.name).toBe(before[index]?.stats.requests);
      }
      // Past what is held, which no fault of Redis touches.
      const more = await together(MORE, () => box.read(box.holds ? { l1: false } : undefined));
      expect(more, box.name).toEqual(more.map(() => FRESH));
      return box.state();
    }),
  );
  const logs = new Map<Isolate, string>();
  for (const { isolate } of boxes) if (!logs.has(isolate)) logs.set(isolate, await isolate.log());
  for (const [index, box] of boxes.entries()) {
    const [then, now] = [before[index], all[index]];
    if (then === undefined || now === undefined) throw new Error("a box without a state");
    const { count, operation } = box.cell;
    // Those of the old contract share a connection: whose request fails is told of it.
    const told = operation.compat ? all.filter((_, i) => boxes[i]?.cell.operation.compat) : [now];
    const events = told.flatMap((state) => state.events);
    expectNamed(box, fault, events, logs.get(box.isolate) ?? "");
    if (operation.compat) continue;
    const attempts = ATTEMPTS + (ATTEMPTS_A_SECOND * (Date.now() - began)) / 1000;
    expect(now.connection.attempts - then.connection.attempts, box.name).toBeLessThanOrEqual(attempts);
    // Where scripts are refused, each goes on without them.
    const requests = (fault.write === "refused" ? 6 : 3) * ((box.holds ? 0 : count) + MORE) + attempts;
    expect(now.stats.requests - then.stats.requests, box.name).toBeLessThanOrEqual(requests);
    const runs = Object.values(now.books).reduce((sum, { started }) => sum + started, 0);
    const ran = Object.values(then.books).reduce((sum, { started }) => sum + started, 0);
    const own = (operation.kind === "read" && !box.holds) || operation.kind === "change" ? count : 0;
    expect(runs - ran, `${box.name}: each call runs its callback at most once`).toBeLessThanOrEqual(
      own + MORE,
    );
    if (operation.kind === "change") expect(runs - ran, box.name).toBeGreaterThanOrEqual(count);
  }
}

/** In the fault the isolates' clocks jump: what is held is served no longer than it may be. */
export async function jump(boxes: readonly Box[], ms: number): Promise<void> {
  for (const isolate of new Set(boxes.map((box) => box.isolate)))
    await isolate.send(`/jump?by=${ms}`, {}).answer;
  for (const box of boxes) if (box.holds) expect(await box.read(), box.name).toBe(ms > 0 ? FRESH : OLD);
}

/** After the fault: pending writes are carried out, nothing old is served, and hits come back. */
export async function recover(boxes: readonly Box[], fault: FaultCase): Promise<void> {
  await boxes[0]?.stage.gateway.fault("healthy");
  await Promise.all(
    boxes.map(async (box) => {
      const { operation } = box.cell;
      if (fault.write === "refused") {
        // Who may not run scripts is not asked to for a minute, and a refused invalidation is not sent again: nothing is stored.
        const other = { op: "getOrSet", key: `${SECRET}-other`, load: { value: FRESH } } as const;
        expect((await box.call(other)).value).toBe(FRESH);
        await expectCounting(box);
        return;
      }
      // What nobody has ended may still be a hit.
      const asWas = operation.kind === "read" || operation.kind === "look" || operation.kind === "raw";
      await box.untilHit(FRESH, asWas ? [FRESH, OLD] : [FRESH]);
      if (operation.l1) expect(asWas ? [FRESH, OLD] : [FRESH], box.name).toContain(await box.read());
      await expectCounting(box);
      const { stats } = await box.untilEmpty();
      if (ends(operation) && !operation.compat) expect(stats.invalidationsApplied).toBeGreaterThan(0);
    }),
  );
}

/** Raw commands are executed again, and what was said of those before was right. */
async function expectCounting(box: Box): Promise<void> {
  if (box.cell.operation.kind !== "raw") return;
  const before = await box.tally.executed();
  const [ended] = await box.run(1);
  expect(ended, box.name).toMatchObject({ value: before + 1 });
  box.tally.take(ended as Ended, {}, box.name);
  await box.tally.check(box.name);
}

/**
 * The fault comes and goes from one request to the next: whatever comes of it, every answer is one that is allowed, and
 * nothing is served that was stored before an invalidation that was told as applied.
 */
export async function flap(boxes: readonly Box[], fault: FaultCase): Promise<void> {
  await Promise.all(
    boxes.map(async (box) => {
      const { value } = await box.beside({ op: "set", value: OLD, options: { tags: [TAG] } });
      expect(value, box.name).toMatchObject({ state: "applied" });
      if (box.cell.warm) await box.hold();
    }),
  );
  await boxes[0]?.stage.gateway.fault(fault.fault, { ...fault.options, every: 2 });
  const applied = await Promise.all(
    boxes.map(async (box) => {
      const { operation } = box.cell;
      const { kind, call } = operation;
      let wasApplied = false;
      for (const ended of await box.run(4)) {
        if (kind === "write" && ended.error !== undefined) expectTold(box, ended.error, "pending");
        else if (kind === "raw") expectRaw(box, fault, ended, false);
        else expect(ended.error, box.name).toBeUndefined();
        const { state, invalidation } = (ended.value ?? {}) as Record<string, { state?: unknown } | string>;
        const told = kind === "change" ? (invalidation as { state?: unknown } | undefined)?.state : state;
        if (kind === "read") expect([OLD, FRESH], box.name).toContain(givenBy(call, ended));
        if (kind === "look") expect([OLD, undefined], box.name).toContain(givenBy(call, ended));
        if (kind === "change") expect(["applied", "pending"], box.name).toContain(told);
        wasApplied ||= told === "applied";
      }
      return wasApplied;
    }),
  );
  await boxes[0]?.stage.gateway.fault("healthy");
  await Promise.all(
    boxes.map(async (box, index) => {
      // What is pending covers it, too.
      const isOver = ends(box.cell.operation) || (applied[index] && box.cell.operation.kind === "write");
      const given = [(await box.beside({ op: "getOrSet", load: { value: FRESH } })).value];
      if (box.cell.operation.l1) given.unshift(await box.read());
      for (const value of given) expect(isOver ? [FRESH] : [OLD, FRESH], box.name).toContain(value);
      await box.untilEmpty();
      await expectCounting(box);
    }),
  );
}

/** Nothing secret in any event or line of the log. */
export async function expectNoSecrets(stage: Stage, boxes: readonly Box[]): Promise<void> {
  const told = await Promise.all(boxes.map(async (box) => JSON.stringify((await box.state()).events)));
  for (const isolate of new Set(boxes.map((box) => box.isolate))) told.push(await isolate.log());
  expect(secretsIn(told.join("\n"), [SECRET, stage.gateway.token])).toEqual([]);
}
