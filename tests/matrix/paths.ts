/**
 * Every path on which requests share something.
 *
 * A new one is one more `Path` here: what the leader asks, how a test sees that it is where others meet it, and what they ask. The
 * cells, what is asserted of each, both runners and the printed list follow by themselves. What cannot befall its leader
 * is named in `cannot`, with the reason. A promise that is shared and is not in this list is not held to P4.
 */
import { expect } from "vitest";
import type { Fate } from "./cells.ts";
import { type Path, RIGHT, type World } from "./world.ts";

const NO_CALLBACK_YET = {
  never: "no callback begins before the verdict is there, which is all that is shared",
  throws: "no callback begins before the verdict is there, which is all that is shared",
};
const AFTER_THE_CALLBACK = {
  never: "there is no fill before the callback has ended",
  throws: "there is no fill before the callback has ended",
};

/** So long that a busy machine comes to where it is to pass. */
const HASTY = 1000;
const SLOW_FLIGHT = { flight: 1000 };

const leaves = (fate: Fate) => fate === "early" || fate === "reset" || fate === "abort";

/** What joins before the callback has begun takes its value; who comes when all is over may read before it is stored. */
function oneCallback(fate: Fate, late: boolean): [number, number] | undefined {
  if (leaves(fate) || (fate === "normal" && !late)) return [1, 1];
  // An error is nobody else's; a value may be.
  if (fate === "throws") return [2, 4];
  return undefined;
}

const connect = ({ before }: World) => before.call({ op: "get", key: "connect" });
const waiting =
  (side: "here" | "there" = "here") =>
  (world: World) =>
    world[side].until(({ books }) => books.k?.waiting === 1);
/** The leader is not told when others have ceased to wait for it: its answer is no sign. */
const flightPassed = ({ timeouts }: World) =>
  new Promise((resolve) => setTimeout(resolve, (timeouts.flight ?? 0) + 50));
/** Keeps a leader from answering before a test has seen it. */
const stay = (world: World) => world.read("stay", { gate: world.gate("stay") });

const attempt: Path = {
  name: "connection attempt",
  cannot: NO_CALLBACK_YET,
  hasty: { read: HASTY },
  requests: 1,
  prepare: async ({ valve }) => valve.shut(),
  lead: (world, load) => [world.read("k", load)],
  met: ({ gateway }) => gateway.seen(),
  follow: (world, i) => world.read(`f${i}`),
  callbacks: (fate) => (fate === "timeout" ? undefined : [1, 1]),
};

const probe: Path = {
  ...attempt,
  name: "probe",
  requests: 2,
  async prepare({ before, here, gateway, valve }) {
    await gateway.fault("status", { code: 503 });
    await before.call({ op: "get", key: "fails" });
    await gateway.fault("healthy");
    valve.shut();
    await here.until(({ connection }) => connection.state === "down" && (connection.until ?? 0) < Date.now());
  },
  met: ({ gateway }) => gateway.seen("", 2),
};

const beforeCallback: Path = {
  name: "single-flight, joined before the callback began",
  cannot: {},
  hasty: { read: HASTY, ...SLOW_FLIGHT },
  requests: 2,
  async prepare(world) {
    await connect(world);
    world.valve.shut();
  },
  lead: (world, load) => [world.read("k", load)],
  met: ({ gateway }) => gateway.seen("", 2),
  follow: (world) => world.read(),
  callbacks: oneCallback,
};

const afterCallback: Path = {
  name: "single-flight, joined after the callback began",
  cannot: {},
  hasty: SLOW_FLIGHT,
  prepare: connect,
  lead: (world, load) => [world.read("k", { gate: world.gate("go"), ...load })],
  met: waiting(),
  follow: (world) => world.read(),
  passed: flightPassed,
  callbacks: oneCallback,
};

const hit: Path = {
  name: "single-flight of a hit",
  cannot: { never: "a hit runs no callback", throws: "a hit runs no callback" },
  hasty: { read: HASTY },
  requests: 1,
  async prepare(world) {
    const { gateway, valve, before, there } = world;
    await there.call({ op: "set", key: "k", value: RIGHT });
    await gateway.reset();
    valve.shut();
    // Another one's attempt, so that the leader waits with its read.
    before.send([world.read("other")]);
    await gateway.seen();
  },
  lead: (world, load) => [world.read("k", load)],
  met: ({ here }) => here.until(({ connection }) => connection.reuses === 1),
  follow: (world) => world.read(),
  callbacks: (fate) => (fate === "timeout" ? undefined : [0, 0]),
};

const leaseWait: Path = {
  name: "lease wait",
  cannot: {
    never: "no callback runs while another isolate's lease is waited for",
    throws: "no callback runs while another isolate's lease is waited for",
  },
  options: { leaseWait: 20_000 },
  hastyOptions: { leaseWait: HASTY },
  hasty: SLOW_FLIGHT,
  async prepare(world) {
    await connect(world);
    world.there.send([world.read("k", { gate: world.gate("held") })]);
    await waiting("there")(world);
  },
  // At a gate, since a lease may be taken over after a second.
  lead: (world, load) => [world.read("k", { gate: world.gate("go"), ...load })],
  // It waits when it looks for a second time; the first one to look was the holder.
  met: ({ here, gateway }) =>
    here.until(
      ({ books }) =>
        books.k?.waiting === 1 ||
        gateway.requests.filter(({ commands }) => String(commands).includes(":k::k")).length > 2,
    ),
  follow: (world) => world.read(),
  release: (world) => world.open("held"),
  passed: flightPassed,
};

const lease: Path = {
  name: "lease, held for other isolates",
  cannot: {},
  apart: true,
  options: { leaseWait: 3000 },
  hasty: {},
  prepare: connect,
  lead: (world, load) => [world.read("k", { gate: world.gate("go"), ...load })],
  met: waiting(),
  follow: (world) => world.read(),
  passed: async () => {},
};

const fill: Path = {
  name: "background fill",
  cannot: AFTER_THE_CALLBACK,
  // The read of the leader is to be in time.
  hasty: { write: HASTY, read: 2 * HASTY },
  prepare: connect,
  lead: (world, load) => [world.read("k", { gate: world.gate("go"), ...load }), stay(world)],
  async met(world) {
    const { here, valve, gateway } = world;
    await here.until(({ books }) => books.k?.waiting === 1 && books.stay?.waiting === 1);
    valve.shut();
    await world.open("go");
    await gateway.seen("", 3);
  },
  follow: (world) => world.read(),
  passed: ({ here }) => here.until(({ stats }) => stats.fillsFailed === 1),
};

const batch: Path = {
  ...beforeCallback,
  name: "batch",
  lead: (world, load) => [world.read("k", load), ...[0, 1, 2, 3].map((i) => world.read(`f${i}`))],
  follow: (world, i) => world.read(i === 0 ? "k" : `f${i}`),
  callbacks: (fate, late) => (fate === "throws" ? [1, 2] : oneCallback(fate, late)),
};

const many: Path = {
  ...batch,
  name: "batch of many keys by one call",
  operations: 5,
  lead: (_, load) => [
    {
      op: "getMany",
      key: "k",
      also: [0, 1, 2, 3].map((i) => `f${i}`),
      load: { value: RIGHT, ...load },
    },
  ],
  ended: ({ value, error } = { ms: 0 }, fate) =>
    fate === "throws"
      ? expect(error).toMatchObject({ message: "its own", own: true })
      : expect(value).toEqual({ k: RIGHT, f0: RIGHT, f1: RIGHT, f2: RIGHT, f3: RIGHT }),
};

const replay: Path = {
  name: "journal replay",
  cannot: { never: "an invalidation has no callback", throws: "an invalidation has no callback" },
  hasty: { write: HASTY, read: HASTY },
  async prepare({ before, gateway }) {
    await before.call({ op: "set", key: "k", value: "old" });
    await gateway.fault("status", { code: 503, match: "-- drop" });
  },
  lead: (world) => [{ op: "invalidate", key: "k" }, stay(world)],
  async met({ here, valve, gateway }) {
    await here.until(({ stats, books }) => stats.invalidationsPending === 1 && books.stay?.waiting === 1);
    valve.shut();
    await gateway.fault("healthy");
    const before = gateway.requests.filter(({ commands }) => String(commands).includes("-- drop")).length;
    await gateway.seen("-- drop", before + 1);
  },
  follow: (world) => world.read(),
  passed: async () => {},
  ended: (ended) => expect(ended?.error).toMatchObject({ state: "pending" }),
};

const refresh: Path = {
  name: "refresh of a stale entry",
  cannot: {},
  options: { swr: "1h" },
  hasty: SLOW_FLIGHT,
  async prepare({ before }) {
    await before.call({ op: "set", key: "k", value: "old" });
    await before.call({ op: "expire", key: "k" });
  },
  lead: (world, load) => [world.read("k", { gate: world.gate("go"), ...load }), stay(world)],
  met: ({ here }) => here.until(({ books }) => books.k?.waiting === 1 && books.stay?.waiting === 1),
  follow: (world) => world.read(),
  passed: flightPassed,
  right: ["old", RIGHT],
  ended: (ended) => expect(ended?.value).toMatchObject({ value: "old", outcome: "stale" }),
};

const mutate: Path = {
  name: "mutate",
  cannot: { early: "its callback belongs to the request, and begins only while that lives" },
  hasty: {},
  prepare: connect,
  lead: (world, load) => [
    {
      op: "mutate",
      key: "k",
      load: { gate: world.gate("go"), value: RIGHT, ...load },
      options: { timeout: 3000 },
    },
  ],
  met: waiting(),
  follow: (world) => world.read(),
  passed: async () => {},
  // Nothing of it is anchored before its callback has ended.
  left: (fate) => fate === "never" || fate === "reset" || fate === "abort",
  ended: ({ value, error } = { ms: 0 }, fate) =>
    fate === "throws"
      ? expect(error).toMatchObject({ message: "its own", own: true })
      : expect(value).toMatchObject({ value: RIGHT, invalidation: { state: "applied" }, marked: true }),
};

export const PATHS: readonly Path[] = [
  attempt,
  probe,
  beforeCallback,
  afterCallback,
  hit,
  leaseWait,
  lease,
  fill,
  batch,
  many,
  replay,
  refresh,
  mutate,
];
