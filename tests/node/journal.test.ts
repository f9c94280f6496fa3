/** Invalidations that Redis has not acknowledged: told, kept, sent again, and in force here until then (P6). */
import { isLeewardError } from "leeward";
import { beforeEach, describe, expect, test } from "vitest";
import { ofType, rejection, type Stage, startStage, until } from "./stage.ts";

let stage: Stage;
beforeEach(async () => {
  stage = await startStage();
});

const FAULTS = [
  ["refuse", {}],
  ["resetBeforeHeaders", {}],
  ["loseReply", {}],
  ["hang", {}],
  ["status", { code: 503 }],
  ["html", {}],
  ["truncated", {}],
  ["redisError", { error: "LOADING Redis is loading the dataset in memory" }],
  ["redisError", { error: "OOM command not allowed when used memory > 'maxmemory'." }],
] as const;

describe.for(FAULTS)("while Redis fails with %s %j", ([fault, options]) => {
  test("an invalidation is told as pending, in force here at once, and replayed when Redis is back", async () => {
    const { cache, events } = stage.cache({ timeout: { read: "1s", write: "1s" } });
    await cache.set("key", "old");
    await stage.gateway.fault(fault, options);
    const error = await rejection(cache.invalidate({ keys: ["key"] }));
    expect(isLeewardError(error)).toBe(true);
    expect(error).toMatchObject({
      name: "InvalidationError",
      code: "invalidation-pending",
      kind: "invalidation",
      state: "pending",
      retryable: true,
      keys: ["key"],
    });
    expect(cache.stats()).toMatchObject({ journal: 1, invalidationsPending: 1 });
    expect(await cache.getOrSet("key", () => "fresh")).toBe("fresh");
    expect(await cache.get("key")).toBeUndefined();

    await stage.gateway.fault("healthy");
    // Nobody asks: it is the replay behind the call that does it.
    await until(() => cache.stats().journal === 0);
    expect(ofType(events, "invalidation")).toMatchObject([
      { state: "applied", replay: false },
      { state: "pending", replay: false },
      { state: "applied", replay: true },
    ]);
    expect(await cache.get("key")).toBeUndefined();
    expect(await stage.redis.command("HEXISTS", "leeward:k::key", "e:")).toBe(0);
    await cache.set("key", "new");
    expect(await cache.get("key")).toBe("new");
  });
});

test("a read of a pending key sends the drop first, and then stores again", async () => {
  const { cache } = stage.cache();
  await cache.set("key", "old");
  await stage.gateway.fault("status", { code: 503, times: 1 });
  await rejection(cache.invalidate({ keys: ["key"] }));
  // One failure does not make it down: the read goes out, with the drop before it.
  await stage.gateway.reset();
  expect(await cache.for().lookup("key", () => "fresh")).toMatchObject({ value: "fresh", outcome: "miss" });
  const [read] = await stage.gateway.seen("leeward:k::key");
  expect(read?.commands.map((words) => words[3])).toEqual(["leeward:k::key", "leeward:k::key"]);
  expect(cache.stats().journal).toBe(0);
  await stage.filled(cache, 2);
  expect(await cache.lookup("key")).toMatchObject({ value: "fresh", outcome: "hit" });
});

test("of several keys, those that are not acknowledged are named, as they were given", async () => {
  const { cache } = stage.cache();
  for (const key of ["a", "b", "c"]) await cache.set(key, "old");
  await stage.gateway.fault("redisError", { error: "ERR not now", match: "leeward:k::b" });
  const error = await rejection(cache.invalidate({ keys: ["a", "b", "c"] }));
  expect(error).toMatchObject({ state: "pending", keys: ["b"] });
  expect(cache.stats()).toMatchObject({ journal: 1, invalidationsPending: 1 });
  const looked = await Promise.all(["a", "b", "c"].map((key) => cache.lookup(key)));
  expect(looked.map(({ value }) => value)).toEqual([undefined, undefined, undefined]);
});

test("other keys are served while one is pending", async () => {
  const { cache } = stage.cache();
  for (const key of ["a", "b"]) await cache.set(key, "old");
  await stage.gateway.fault("redisError", { error: "ERR not now", match: "leeward:k::b" });
  await rejection(cache.invalidate({ keys: ["b"] }));
  expect(await cache.lookup("a")).toMatchObject({ value: "old", outcome: "hit" });
});

test("what was computed before an invalidation is not stored after it", async () => {
  const { cache } = stage.cache();
  const gate = Promise.withResolvers<string>();
  let begun = false;
  const slow = cache.for().getOrSet("key", () => {
    begun = true;
    return gate.promise;
  });
  await until(() => begun);
  expect(await cache.for().invalidate({ keys: ["key"] })).toEqual({ state: "applied" });
  // Nor is it given to those who come later.
  expect(await cache.for().lookup("key", () => "newer")).toMatchObject({ value: "newer", shared: false });
  gate.resolve("older");
  expect(await slow).toBe("older");
  await stage.filled(cache, 2);
  expect(cache.stats()).toMatchObject({ fills: 1, fillsRefused: 1 });
  expect(await cache.get("key")).toBe("newer");
});

test("an invalidation reaches the entries of every build", async () => {
  const builds = ["", "v1", "v2"].map((version) => stage.cache({ version }).cache);
  const [writer] = builds;
  await Promise.all(builds.map((cache, i) => cache.getOrSet("key", () => `build ${i}`)));
  await until(async () => (await Promise.all(builds.map((cache) => cache.get("key")))).every(Boolean));
  expect(await Promise.all(builds.map((cache) => cache.get("key")))).toEqual([
    "build 0",
    "build 1",
    "build 2",
  ]);
  await writer?.invalidate({ keys: ["key"] });
  expect(await Promise.all(builds.map((cache) => cache.get("key")))).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
});

test("with a token that may not write, an invalidation is refused, and the key is bypassed from then on", async () => {
  const writer = stage.cache().cache;
  await writer.set("key", "old");
  const { cache, events } = stage.cache({ token: stage.gateway.readOnlyToken });
  const error = await rejection(cache.invalidate({ keys: ["key"] }));
  expect(error).toMatchObject({
    code: "invalidation-refused",
    state: "refused",
    retryable: false,
    keys: ["key"],
  });
  expect(ofType(events, "invalidation")).toMatchObject([{ state: "refused", replay: false }]);
  expect(cache.stats()).toMatchObject({ invalidationsRefused: 1 });
  const read = await cache.lookup("key", () => "own");
  expect(read).toMatchObject({ value: "own", outcome: "bypass", reason: "pending-invalidation" });
  // It has not reached Redis, and has said so.
  expect(await writer.get("key")).toBe("old");
});
