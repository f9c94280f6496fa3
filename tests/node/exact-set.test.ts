/** A `set` after a read of the same request stores what was computed from that read, or nothing. */
import { beforeEach, expect, test } from "vitest";
import { type Isolate, isolates } from "./isolates.ts";
import { cost, ofType, rejection, type Stage, startStage } from "./stage.ts";

let stage: Stage;
let here: Isolate;
let there: Isolate;
beforeEach(async () => {
  stage = await startStage();
  [here, there] = (await isolates(2, stage.settings)) as [Isolate, Isolate];
});

/** A client of one request, as a handler has it. */
const request = () => here.cache.for(undefined, { waitUntil() {} });

test.for([
  ["a hit", "stored"],
  ["a miss", undefined],
] as const)("after %s it costs one request and one command", async ([, before]) => {
  if (before !== undefined) await there.cache.set("key", before);
  const client = request();
  expect(await client.get("key")).toBe(before);
  await stage.gateway.reset();
  expect(await client.set("key", "computed")).toEqual({ state: "applied", stored: true });
  expect(cost(stage.gateway)).toEqual([1, 1]);
  expect(await there.cache.get("key")).toBe("computed");
});

test.for([
  ["the key", { keys: ["key"] }],
  ["a tag", { tags: ["tag"] }],
  ["the namespace", { all: true }],
] as const)("it stores nothing when %s was invalidated elsewhere since, and ends what is there", async ([
  ,
  what,
]) => {
  await there.cache.set("key", "stored", { tags: ["tag"] });
  const client = request();
  expect(await client.get("key", { tags: ["tag"] })).toBe("stored");
  await there.cache.invalidate(what);
  await there.cache.set("key", "between", { tags: ["tag"] });
  const events = ofType(here.events, "fill").length;
  expect(await client.set("key", "computed", { tags: ["tag"] })).toEqual({ state: "applied", stored: false });
  expect(ofType(here.events, "fill").slice(events)).toMatchObject([{ stored: false, reason: "overtaken" }]);
  expect(await there.cache.get("key")).toBeUndefined();
});

test("it is not stored while a mutate runs", async () => {
  const client = request();
  await client.get("key");
  await there.cache.mutate({ keys: ["key"] }, async () => {
    expect(await client.set("key", "computed")).toEqual({ state: "applied", stored: false });
  });
  expect(await there.cache.get("key")).toBeUndefined();
});

test("with tags whose versions its read did not ask for, it ends what is stored and stores nothing", async () => {
  const client = request();
  await client.get("key");
  expect(await client.set("key", 1, { tags: ["tag"] })).toEqual({ state: "applied", stored: false });
  await client.get("key", { tags: ["tag"] });
  expect(await client.set("key", 1, { tags: ["tag"] })).toEqual({ state: "applied", stored: true });
});

test("in a later turn of a client without a request, or without a read: two requests", async () => {
  await there.cache.get("connect");
  const unbound = stage.cache().cache;
  await unbound.get("key");
  await stage.gateway.reset();
  expect(await unbound.set("key", 2)).toEqual({ state: "applied", stored: true });
  expect(cost(stage.gateway)).toEqual([2, 2]);

  await stage.gateway.reset();
  expect(await there.cache.set("key", 3)).toEqual({ state: "applied", stored: true });
  expect(cost(stage.gateway)).toEqual([2, 2]);
  expect(await here.cache.get("key", { tags: [] })).toBe(3);
});

test("of two requests in two isolates that read the same and set, at most one stores", async () => {
  const clients = [request(), there.cache.for(undefined, { waitUntil() {} })];
  for (const client of clients) expect(await client.get("key")).toBeUndefined();
  const [first, second] = await Promise.all(clients.map((client, i) => client.set("key", i)));
  // The first to arrive ends what the other one has read.
  expect([first?.stored, second?.stored].filter(Boolean).length).toBeLessThanOrEqual(1);
  const found = await there.cache.lookup<number>("key");
  if (found.outcome === "hit") expect([first, second][found.value ?? 2]).toMatchObject({ stored: true });
});

// Fails: a write of the same request, about whatever it is, makes the set one without a read (`Seen::forget`).
test("what was read before an acknowledged invalidation is not stored, also after a write of another key", async () => {
  await there.cache.set("key", "old");
  const client = request();
  expect(await client.get("key")).toBe("old");
  await there.cache.invalidate({ keys: ["key"] });
  await client.invalidate({ keys: ["other"] });
  expect(await client.set("key", "computed from old")).toEqual({ state: "applied", stored: false });
});

// Fails: a key that is fenced makes the set one without a read (src/core/engine/write.rs, `begin_write`).
test("what was read before an acknowledged invalidation is not stored, also while another one is under way", async () => {
  await there.cache.set("key", "old");
  const client = request();
  expect(await client.get("key")).toBe("old");
  await here.cache.for().invalidate({ keys: ["key"] });
  const [, set] = await Promise.all([
    here.cache.for().invalidate({ keys: ["key"] }),
    client.set("key", "computed from old"),
  ]);
  expect(set).toEqual({ state: "applied", stored: false });
  expect(await there.cache.get("key")).toBeUndefined();
});

test("what Redis does not acknowledge is pending, and nothing old is served", async () => {
  await there.cache.set("key", "old");
  const client = request();
  expect(await client.get("key")).toBe("old");
  await stage.gateway.fault("loseReply", { times: 1 });
  expect(await rejection(client.set("key", "new"))).toMatchObject({ state: "pending", keys: ["key"] });
  expect(await client.get("key")).toBeUndefined();
});
