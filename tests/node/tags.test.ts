/** Tags: what a value depends on besides its key, and what it costs. */
import type { Cache } from "leeward";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { type Isolate, isolates } from "./isolates.ts";
import { cost, ofType, rejection, type Stage, startStage } from "./stage.ts";

let stage: Stage;
let here: Isolate;
let there: Isolate;
beforeEach(async () => {
  stage = await startStage();
  [here, there] = (await isolates(2, stage.settings)) as [Isolate, Isolate];
});

const TAGS = ["user:7", "team:ü 3%"];

/** Reads until what the callback gave is stored. */
async function stored(cache: Cache, key: string, value: string, tags: readonly string[] = TAGS) {
  const { fills } = cache.stats();
  expect(await cache.getOrSet(key, () => value, { tags })).toBe(value);
  await stage.filled(cache, fills + 1);
}

describe("the cost", () => {
  test("of a hit is one request and one command, of a miss two and two, whatever the number of tags", async () => {
    const { cache } = here;
    const tags = Array.from({ length: 64 }, (_, i) => `tag-${i}`);
    await stored(cache, "key", "value", tags);
    expect(cost(stage.gateway)).toEqual([2, 2]);
    await stage.gateway.reset();
    expect(await cache.lookup("key", () => "", { tags })).toMatchObject({ value: "value", outcome: "hit" });
    expect(cost(stage.gateway)).toEqual([1, 1]);
  });

  test("of a miss stays the same when a tag had changed", async () => {
    await stored(here.cache, "key", "old");
    expect(await there.cache.invalidate({ tags: ["user:7"] })).toEqual({ state: "applied" });
    await stage.gateway.reset();
    expect(await here.cache.lookup("key", () => "new", { tags: TAGS })).toMatchObject({
      ...{ value: "new", outcome: "miss" },
    });
    await stage.filled(here.cache, 2);
    expect(cost(stage.gateway)).toEqual([2, 2]);
  });

  test("of each tag that is invalidated is one command, as of each key", async () => {
    await here.cache.get("connect");
    await stage.gateway.reset();
    const tags = Array.from({ length: 20 }, (_, i) => `tag-${i}`);
    await here.cache.invalidate({ keys: ["a", "b"], tags: [...tags, ...tags] });
    expect(cost(stage.gateway)).toEqual([1, 22]);
  });

  test("of tags that the reader does not name is a second request, once for each isolate", async () => {
    await stored(here.cache, "key", "value");
    for (const { cache } of [here, there]) {
      await cache.get("connect");
      await stage.gateway.reset();
      expect(await cache.lookup("key", () => "own")).toMatchObject({ value: "value", outcome: "hit" });
      const [requests] = cost(stage.gateway);
      // Whoever has stored it may have remembered them already.
      expect(requests).toBe(2);
      await stage.gateway.reset();
      for (let i = 0; i < 3; i += 1) {
        expect(await cache.lookup("key", () => "own")).toMatchObject({ outcome: "hit" });
      }
      expect(cost(stage.gateway)).toEqual([3, 3]);
    }
  });
});

describe("an invalidation of a tag", () => {
  test("reaches every value that carries it, in every isolate and build, and no other", async () => {
    const { cache } = here;
    const build = stage.cache({ version: "v2" }).cache;
    await stored(cache, "a", "a");
    await stored(cache, "b", "b", ["user:7"]);
    await stored(cache, "c", "c", ["user:8"]);
    await stored(build, "a", "a of v2", ["team:ü 3%", "user:7"]);
    expect(await there.cache.lookup("a")).toMatchObject({ outcome: "hit" });
    expect(await there.cache.invalidate({ tags: ["user:7"] })).toEqual({ state: "applied" });
    for (const reader of [cache, there.cache, build]) {
      for (const key of ["a", "b"]) expect(await reader.get(key)).toBeUndefined();
    }
    expect(await there.cache.get("c")).toBe("c");
  });

  test("is in force here before Redis has it, also for values whose readers do not name it", async () => {
    const { cache, events } = here;
    await stored(cache, "key", "old");
    await stage.gateway.fault("status", { code: 503 });
    const error = await rejection(cache.invalidate({ tags: ["team:ü 3%"] }));
    expect(error).toMatchObject({ state: "pending", keys: [], tags: ["team:ü 3%"], all: false });
    expect(JSON.stringify(error)).not.toContain("team");
    await stage.gateway.fault("healthy");
    expect(await cache.getOrSet("key", () => "new")).toBe("new");
    expect(ofType(events, "invalidation")[0]).toMatchObject({
      ...{ keys: [], tags: [expect.stringMatching(/^[0-9a-f]{12}$/)], namespace: null, state: "pending" },
    });
  });
});

test("a value that lacks a tag of its reader is a miss, and is stored anew with it", async () => {
  const { cache } = here;
  await stored(cache, "key", "without", []);
  expect(await cache.lookup("key", undefined, { tags: ["user:7"] })).toMatchObject({ outcome: "miss" });
  await stored(cache, "key", "with", ["user:7"]);
  expect(await there.cache.get("key", { tags: ["user:7"] })).toBe("with");
  await there.cache.invalidate({ tags: ["user:7"] });
  expect(await cache.get("key")).toBeUndefined();
});

test("a set carries its tags", async () => {
  expect(await here.cache.set("key", "set", { tags: TAGS })).toEqual({ state: "applied", stored: true });
  expect(await there.cache.get("key", { tags: ["user:7"] })).toBe("set");
  await there.cache.invalidate({ tags: ["team:ü 3%"] });
  expect(await here.cache.get("key")).toBeUndefined();
});

test("a tag that is named twice is one", async () => {
  const twice = { tags: ["a", "b", "a"] };
  await here.cache.set("set", "value", twice);
  await stored(here.cache, "filled", "value", twice.tags);
  for (const key of ["set", "filled"]) {
    for (const tags of [["a"], ["b", "b"], ["b", "a"]]) {
      expect(await there.cache.lookup(key, undefined, { tags })).toMatchObject({ outcome: "hit" });
    }
  }
});

test("tags that are named twice, or that look alike when they are joined, do not meet", async () => {
  const alike = ["a b", "a%20b", "a", "b", "a:b", "a b:", "\n", "%0A", "é", "e\u0301"];
  for (const [i, tag] of alike.entries()) await here.cache.set(`${i}`, tag, { tags: [tag, tag] });
  for (const [i, tag] of alike.entries()) {
    await there.cache.invalidate({ tags: [tag] });
    const found = await Promise.all(alike.map((_, n) => here.cache.get(`${n}`)));
    expect(found).toEqual(alike.map((value, n) => (n > i ? value : undefined)));
  }
});

test("a fill that the invalidation of a tag has overtaken is refused", async () => {
  const { cache, events } = here;
  const gate = Promise.withResolvers<string>();
  const load = vi.fn(() => gate.promise);
  const slow = cache.lookup("key", load, { tags: TAGS });
  await vi.waitFor(() => expect(load).toHaveBeenCalledOnce());
  await there.cache.invalidate({ tags: ["user:7"] });
  gate.resolve("older");
  expect(await slow).toMatchObject({ value: "older", outcome: "miss" });
  await stage.filled(cache, 1);
  expect(ofType(events, "fill")).toMatchObject([{ stored: false, reason: "overtaken" }]);
  expect(await there.cache.get("key")).toBeUndefined();
});

test("a follower takes no stored value that lacks its tags", async () => {
  const { cache } = here;
  await stored(cache, "key", "without", []);
  const load = () => "with";
  const [plain, tagged] = await Promise.all([
    cache.for().lookup("key", () => "plain"),
    cache.for().lookup("key", load, { tags: ["user:7"] }),
  ]);
  expect(plain).toMatchObject({ value: "without", outcome: "hit" });
  expect(tagged).toMatchObject({ value: "with", outcome: "miss" });
});
