/** One cell: the leader comes, followers come, the leader meets its fate; then what must hold in every cell is asserted. */
import { expect } from "vitest";
import type { Ended, Load } from "../workerd/visit.ts";
import type { Visiting } from "../workerd/visitor.ts";
import type { Cell, Fate } from "./cells.ts";
import { type Place, RIGHT, type Side, World } from "./world.ts";

const FOLLOWERS = 3;
/** Within this an answer must be there where no deadline of the cell's passes: they are twice as long. */
const PROMPT_MS = 10_000;

const LOADS: Partial<Record<Fate, Load>> = { never: { never: "alone" }, throws: { fail: "its own" } };

export async function runCell(place: Place, cell: Cell, name: string): Promise<void> {
  const world = await World.make(place, cell, name);
  try {
    await run(place, cell, world);
  } finally {
    await world.stop();
  }
}

/** What is left in the tables by leaders that are dead: operations, requests, batches, flights. */
export function leftOf(cells: readonly Cell[]): number[] {
  const left = cells.filter(({ path, fate }) => path.left?.(fate) ?? fate === "never");
  const operations = left.reduce((sum, { path }) => sum + (path.operations ?? 1), 0);
  return [operations, left.length, 0, 0];
}

async function run(place: Place, cell: Cell, world: World): Promise<void> {
  const { path, fate, time } = cell;
  const { here, gateway, valve } = world;
  await path.prepare?.(world);
  const leading = lead(place, cell, world);
  await inTime(path.met(world), "the leader has not come to where others meet it");

  const side = path.apart ? world.there : here;
  const follow = async () => {
    const asked = await askedOf(world, path.apart);
    const sent = Array.from({ length: FOLLOWERS }, (_, i) => side.send([path.follow(world, i)]));
    const answers = sent.map((one) => within(one, world));
    await side.until((state) => countAsked(state.books) >= asked + FOLLOWERS);
    return answers;
  };
  const release = async () => {
    valve.open();
    if (path.release) await path.release(world);
    await world.open("go", "stay");
  };

  let answers = time === "later" ? [] : await follow();
  if (answers.length > 0 && path.requests !== undefined && fate !== "timeout" && fate !== "never") {
    expect(gateway.counters().httpRequests).toBe(path.requests);
  }
  if (fate === "early") expect(await leading.answer).toEqual({ status: 200, text: "early" });
  if (fate === "reset") leading.reset();
  if (fate === "abort") await leading.abort();
  if (fate === "reset" || fate === "abort") await here.until(({ gone }) => gone === 1);
  if (fate === "timeout") await (path.passed?.(world) ?? leading.answer);
  const waits = fate === "early" || fate === "reset" || fate === "abort" || fate === "timeout";
  if (!waits) {
    await release();
    if (time === "later" && fate !== "never") await leading.answer;
  }
  if (time === "later") answers = await follow();
  // Those who wait for a leader that has timed out are not to need it.
  if (fate === "timeout") await Promise.all(answers);
  if (waits) await release();

  for (const ended of await Promise.all(answers)) {
    expect(ended.error).toBeUndefined();
    expect(path.right ?? [RIGHT]).toContain(givenTo(ended));
  }
  await expectLeader(cell, leading);
  const callbacks = path.callbacks?.(fate, time === "later");
  if (callbacks !== undefined) {
    const started = await here.state().then(({ books }) => books.k?.started ?? 0);
    expect(started).toBeGreaterThanOrEqual(callbacks[0]);
    expect(started).toBeLessThanOrEqual(callbacks[1]);
  }
  await expectHealthy(world);
}

/** The leader, by the way that its fate takes. */
function lead(place: Place, { path, fate }: Cell, world: World): Visiting & { abort(): Promise<void> } {
  const calls = path.lead(world, LOADS[fate] ?? {});
  if (fate === "abort") return place.through(path, world.name, world.here.visit(calls));
  return { ...world.here.send(calls, { early: fate === "early" }), abort: async () => {} };
}

const countAsked = (books: Record<string, { asked: number }>) =>
  Object.values(books).reduce((sum, { asked }) => sum + asked, 0);

async function askedOf({ here, there }: World, apart = false): Promise<number> {
  return countAsked((await (apart ? there : here).state()).books);
}

/** A follower's one answer, in time, and no 500 of the runtime's. */
async function within(visiting: Visiting, { timeouts: { read = 0, flight = 0 } }: World): Promise<Ended> {
  const deadline = Math.min(PROMPT_MS, 4 * (read + 2 * flight));
  const answered = inTime(visiting.answer, "a follower has no answer", deadline);
  // Looked at when all have been sent.
  answered.catch(() => {});
  const { status, text } = await answered;
  if (status !== 200) throw new Error(`a follower got HTTP status ${status}: ${text.slice(0, 300)}`);
  const [ended] = JSON.parse(text) as Ended[];
  if (ended === undefined) throw new Error("no answer for the call");
  return ended;
}

async function inTime<T>(promise: Promise<T>, complaint: string, ms = PROMPT_MS): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${complaint} within ${ms} ms`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

const givenTo = ({ value }: Ended) => (value as { value?: unknown } | undefined)?.value;

async function expectLeader({ path, fate }: Cell, leading: Visiting): Promise<void> {
  if (fate === "early") return;
  if (fate === "reset") return expect(leading.answer).rejects.toThrow();
  const { status, text } = await leading.answer;
  if (fate === "abort") return expect({ status, text }).toEqual({ status: 200, text: "aborted" });
  if (fate === "never")
    return expect([status, text.length > 0]).toEqual([path.ended === undefined ? 500 : status, true]);
  expect(status).toBe(200);
  const [first, ...others] = JSON.parse(text) as Ended[];
  if (path.ended !== undefined) path.ended(first, fate);
  else if (fate === "throws") expect(first?.error).toMatchObject({ message: "its own", own: true });
  else expect(givenTo(first as Ended)).toBe(RIGHT);
  for (const other of others) expect(givenTo(other)).toBe(RIGHT);
}

/** The key is not poisoned: whoever asks gets what is right, and soon from Redis; and nothing is left to do. */
async function expectHealthy(world: World): Promise<void> {
  const { here, before, gateway } = world;
  // With patience, the connection first: it may be down.
  await untilHit(before, world);
  await untilHit(here, world);
  await here.until(({ stats }) => stats.journal === 0);
  await gateway.idle();
}

async function untilHit(side: Side, { read }: World): Promise<void> {
  for (const end = Date.now() + PROMPT_MS; ; ) {
    const { value, error } = await side.call(read());
    expect(error).toBeUndefined();
    const { value: found, outcome } = value as { value: unknown; outcome: string };
    if (outcome === "hit") {
      expect(found).toBe(RIGHT);
      return;
    }
    expect(["old", RIGHT]).toContain(found);
    if (Date.now() > end) throw new Error(`the key is no hit: ${JSON.stringify(await side.state())}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
