/** A Redis that does not do everything: it forgets scripts, is out of memory, or refuses scripts or writes to this token. */
import { beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { cost, ofType, rejection, type Stage, startStage, until } from "./stage.ts";

let stage: Stage;
beforeEach(async () => {
  stage = await startStage();
});

test("that has forgotten its scripts is taught them again, and nobody notices", async () => {
  const { cache, events } = stage.cache();
  await cache.set("key", "value", { tags: ["tag"] });
  const client = cache.for(undefined, { waitUntil() {} });
  const forget = () => stage.redis.command("SCRIPT", "FLUSH");
  await forget();
  expect(await cache.lookup("key", () => "own")).toMatchObject({ value: "value", outcome: "hit" });
  await forget();
  expect(await cache.getOrSet("other", () => "other", { tags: ["tag"] })).toBe("other");
  await stage.filled(cache, 2);
  expect(await cache.get("other")).toBe("other");
  await forget();
  expect(await cache.expire({ keys: ["other"] })).toEqual({ state: "applied" });
  expect(await cache.invalidate({ keys: ["other"], tags: ["tag"], all: true })).toEqual({ state: "applied" });
  await forget();
  expect(await cache.set("key", "set")).toEqual({ state: "applied", stored: true });
  await client.get("key");
  await forget();
  expect(await client.set("key", "exact")).toEqual({ state: "applied", stored: true });
  await forget();
  const load = async ({ tags }: { tags(names: string[]): PromiseLike<void> }) => {
    await forget();
    await tags(["late"]);
    return "late";
  };
  expect(await cache.getOrSet("late", load)).toBe("late");
  await stage.filled(cache, 5);
  expect(await cache.get("late")).toBe("late");
  const mutated = await cache.mutate({ keys: ["key"] }, forget);
  expect(mutated).toMatchObject({ invalidation: { state: "applied" }, marked: true });
  expect(cache.stats()).toMatchObject({ fillsFailed: 0, fillsRefused: 0, invalidationsPending: 0 });
  expect(ofType(events, "failure")).toEqual([]);
});

describe("that is out of memory", () => {
  const full = async () => {
    await stage.redis.command("CONFIG", "SET", "maxmemory", "1");
    onTestFinished(async () => void (await stage.redis.command("CONFIG", "SET", "maxmemory", "0")));
  };

  test("still serves, stores nothing, and invalidates", async () => {
    const { cache } = stage.cache();
    await cache.set("key", "old", { tags: ["tag"] });
    await cache.set("other", "kept");
    await full();
    expect(await cache.lookup("key", () => "own")).toMatchObject({ value: "old", outcome: "hit" });
    expect(await cache.lookup("new", () => "own")).toMatchObject({ value: "own", stored: false });
    expect(await cache.lookup("new", () => "own")).toMatchObject({ value: "own", stored: false });
    expect(await cache.invalidate({ keys: ["none"], tags: ["tag"] })).toEqual({ state: "applied" });
    expect(await cache.getOrSet("key", () => "fresh")).toBe("fresh");
    await stage.gateway.idle();
    expect(await cache.get("key")).toBeUndefined();
    expect(await cache.get("other")).toBe("kept");
    // Redis lets a script go on that has freed something first.
    const { state, stored } = await cache.set("other", "set");
    expect(state).toBe("applied");
    expect(await cache.get("other")).toBe(stored ? "set" : undefined);
    expect(cache.stats()).toMatchObject({ invalidationsPending: 0, invalidationsRefused: 0 });
  });

  test("lets a mutate run, and whether it was marked is told", async () => {
    const { cache } = stage.cache();
    await cache.set("key", "old");
    await full();
    expect(await cache.mutate({ keys: ["key"] }, () => 7)).toEqual({
      ...{ value: 7, invalidation: { state: "applied" }, marked: expect.any(Boolean) },
    });
    expect(await cache.get("key")).toBeUndefined();
  });
});

describe("whose token may only read", () => {
  test("what is stored is served, told by one warning, and writes are refused", async () => {
    const writer = stage.cache().cache;
    await writer.set("key", "stored", { tags: ["a", "b"] });
    const { cache, events } = stage.cache({ token: stage.gateway.readOnlyToken });
    expect(await cache.lookup("key", () => "own", { tags: ["a"] })).toMatchObject({
      ...{ value: "stored", outcome: "hit" },
    });
    expect(await cache.get("key")).toBe("stored");
    expect(await cache.lookup("missing", () => "own")).toMatchObject({ value: "own", stored: false });
    expect(await cache.lookup("key", () => "own", { tags: ["c"] })).toMatchObject({ value: "own" });
    expect(ofType(events, "warning")).toMatchObject([{ code: "scripts-refused" }]);

    await writer.invalidate({ tags: ["b"] });
    expect(await cache.get("key")).toBeUndefined();
    await writer.set("key", "stored");
    await writer.expire({ keys: ["key"] });
    expect(await cache.lookup("key", () => "own")).toMatchObject({ value: "own" });

    const writes = [
      cache.set("refused", 1),
      cache.delete("refused"),
      cache.invalidate({ tags: ["refused"] }),
      cache.expire({ all: true }),
    ];
    for (const error of await Promise.all(writes.map(rejection))) {
      expect(error).toMatchObject({ code: "invalidation-refused", retryable: false });
    }
    const mutated = await cache.mutate({ keys: ["refused"] }, () => 7);
    expect(mutated).toMatchObject({ value: 7, marked: false, invalidation: { state: "refused" } });
    expect(ofType(events, "warning")).toHaveLength(1);
    // The whole namespace is fenced from here on.
    expect(await cache.lookup("key", () => "own")).toMatchObject({ value: "own", outcome: "miss" });
  });
});

describe("whose token may run no scripts", () => {
  const forbid = async () => {
    await stage.redis.command("ACL", "SETUSER", "default", "-@scripting");
    onTestFinished(async () => void (await stage.redis.command("ACL", "SETUSER", "default", "+@all")));
  };

  test("fields of many megabytes cost the cache of their key, and no instance", async () => {
    const { cache, events } = stage.cache();
    for (const key of ["header", "generation", "other"]) await cache.set(key, "stored");
    await stage.redis.command("HSET", "leeward:k::header", "h:", `2 ${"x".repeat(12e6)}`);
    await stage.redis.command("HSET", "leeward:k::generation", "g", "x".repeat(12e6));
    await forbid();
    for (const key of ["header", "generation"]) expect(await cache.getOrSet(key, () => "own")).toBe("own");
    expect(await cache.get("other")).toBe("stored");
    expect(ofType(events, "warning")).toMatchObject([{ code: "scripts-refused" }]);
  });

  test("what is stored is served plainly, invalidations are applied by other commands, nothing is stored", async () => {
    const { cache, events } = stage.cache();
    await cache.set("key", "stored", { tags: ["tag"] });
    await cache.set("other", "kept");
    await forbid();
    expect(await cache.lookup("key", () => "own")).toMatchObject({ value: "stored", outcome: "hit" });
    await stage.gateway.reset();
    expect(await cache.lookup("other", () => "own")).toMatchObject({ value: "kept", outcome: "hit" });
    expect(cost(stage.gateway)[0]).toBe(1);
    expect(await cache.invalidate({ tags: ["tag"] })).toEqual({ state: "applied" });
    expect(await cache.lookup("key", () => "fresh")).toMatchObject({ value: "fresh", stored: false });
    expect(await cache.set("other", "set")).toEqual({ state: "applied", stored: false });
    expect(await cache.get("other")).toBeUndefined();
    expect(await cache.mutate({ keys: ["key"] }, () => 7)).toEqual({
      ...{ value: 7, invalidation: { state: "applied" }, marked: false },
    });
    expect(ofType(events, "warning")).toMatchObject([{ code: "scripts-refused" }]);
  });

  test("a connection that finds out with its first command serves all the same", async () => {
    const writer = stage.cache().cache;
    await writer.set("key", "stored");
    await forbid();
    const { cache } = stage.cache({ token: stage.gateway.token, url: `${stage.gateway.url}/` });
    await until(async () => (await cache.lookup("key", () => "own")).outcome === "hit");
    expect(await cache.get("key")).toBe("stored");
  });
});
