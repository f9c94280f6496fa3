/** Namespaces: keys and tags of their own, ended as a whole by one command. */
import { beforeEach, describe, expect, test } from "vitest";
import { type Isolate, isolates } from "./isolates.ts";
import { cost, ofType, rejection, type Stage, startStage } from "./stage.ts";

let stage: Stage;
let here: Isolate;
let there: Isolate;
beforeEach(async () => {
  stage = await startStage();
  [here, there] = (await isolates(2, stage.settings)) as [Isolate, Isolate];
});

test("the same key and the same tag in two namespaces are two", async () => {
  const clients = [here.cache, ...["a", "b", "a/b", "a:b", "%2F"].map((name) => here.cache.namespace(name))];
  const nested = here.cache.namespace("a").namespace("b");
  for (const [i, client] of [...clients, nested].entries()) await client.set("key", i, { tags: ["tag"] });
  const all = [...clients, nested];
  expect(await Promise.all(all.map((client) => client.get("key")))).toEqual(all.map((_, i) => i));

  await there.cache.namespace("a").invalidate({ keys: ["key"] });
  expect(await Promise.all(all.map((client) => client.get("key")))).toEqual([0, undefined, 2, 3, 4, 5, 6]);
  await there.cache.namespace("b").invalidate({ tags: ["tag"] });
  expect(await Promise.all(all.map((client) => client.get("key")))).toEqual([
    ...[0, undefined, undefined, 3, 4, 5, 6],
  ]);
  await there.cache.invalidate({ tags: ["tag"] });
  expect(await here.cache.get("key")).toBeUndefined();
  expect(await nested.get("key")).toBe(6);
});

test("the end of a namespace ends all in it and in those within it, by one command, and nothing around it", async () => {
  const outer = here.cache.namespace("outer");
  const inner = outer.namespace("inner");
  const clients = [here.cache, here.cache.namespace("other"), outer, inner];
  const keys = Array.from({ length: 50 }, (_, i) => `key-${i}`);
  const fill = () => Promise.all(clients.flatMap((client) => keys.map((key) => client.set(key, "value"))));
  const left = async () => {
    const found = clients.map((client) => Promise.all(keys.map((key) => client.get(key))));
    return (await Promise.all(found)).map((values) => values.filter((value) => value === "value").length);
  };
  await fill();
  expect(await left()).toEqual([50, 50, 50, 50]);

  const far = there.cache.namespace("outer");
  await far.get("connect");
  await stage.gateway.reset();
  expect(await far.namespace("inner").invalidate({ all: true })).toEqual({ state: "applied" });
  expect(cost(stage.gateway)).toEqual([1, 1]);
  expect(await left()).toEqual([50, 50, 50, 0]);

  await stage.gateway.reset();
  await far.invalidate({ all: true });
  expect(cost(stage.gateway)).toEqual([1, 1]);
  expect(await left()).toEqual([50, 50, 0, 0]);

  await stage.gateway.reset();
  await there.cache.invalidate({ all: true });
  expect(cost(stage.gateway)).toEqual([1, 1]);
  expect(await left()).toEqual([0, 0, 0, 0]);
});

test("costs nothing more: a hit one request and one command, a miss two and two, four deep", async () => {
  const client = here.cache.namespace("a").namespace("b").namespace("c").namespace("d");
  expect(await client.lookup("key", () => 1)).toMatchObject({ outcome: "miss" });
  await stage.filled(here.cache, 1);
  expect(cost(stage.gateway)).toEqual([2, 2]);
  await stage.gateway.reset();
  expect(await client.lookup("key", () => 2)).toMatchObject({ value: 1, outcome: "hit" });
  expect(cost(stage.gateway)).toEqual([1, 1]);
});

describe("a namespace's client", () => {
  test("shares connection, options and request with the one that it comes from", async () => {
    const ctx = { waitUntil() {} };
    const bound = here.cache.for(undefined, ctx);
    const inner = bound.namespace("a");
    await Promise.all([bound.get("key"), inner.get("key"), inner.namespace("b").get("key")]);
    // One request of one turn, although they are three clients.
    expect(cost(stage.gateway)).toEqual([1, 3]);
    expect(inner.connection).toEqual(here.cache.connection);
    expect(inner.stats()).toEqual(here.cache.stats());
  });

  test("can be bound to a request, and does nothing before it is used", async () => {
    const unbound = here.cache.namespace("a");
    expect(here.cache.connection).toMatchObject({ state: "idle", attempts: 0 });
    const bound = unbound.for(undefined, { waitUntil() {} });
    await bound.set("key", "value");
    expect(await here.cache.for().namespace("a").get("key")).toBe("value");
    expect(await unbound.get("key")).toBe("value");
  });

  test("tells of the namespace as a whole, in events and errors", async () => {
    const { cache, events } = here;
    const client = cache.namespace("a").namespace("b c/d");
    await client.invalidate({ all: true });
    await stage.gateway.fault("status", { code: 503 });
    const error = await rejection(client.invalidate({ keys: ["key"], all: true }));
    expect(error).toMatchObject({ state: "pending", keys: ["key"], tags: [], all: true });
    expect(JSON.stringify(error)).not.toMatch(/"all"|"tags"|"keys"/);
    expect((error as Error).message).toMatch(/for 1 key, the whole namespace$/);
    expect(ofType(events, "invalidation")).toMatchObject([
      // Its name may be a customer's: a hash, as for keys.
      { keys: [], tags: [], namespace: expect.stringMatching(/^[0-9a-f]{12}$/), state: "applied" },
      { keys: [expect.any(String)], namespace: expect.stringMatching(/^[0-9a-f]{12}$/), state: "pending" },
    ]);
  });
});

test("while its end is pending, nothing in it is served here, and what lies beside it is", async () => {
  const { cache } = here;
  const [outer, inner] = [cache.namespace("outer"), cache.namespace("outer").namespace("inner")];
  for (const client of [cache, outer, inner]) await client.set("key", "old", { tags: ["tag"] });
  // Only drops of the namespace fail: they are the commands that name it alone.
  await stage.gateway.fault("redisError", { error: "ERR not now", match: " 1 leeward:n:outer " });
  expect(await rejection(outer.invalidate({ all: true }))).toMatchObject({ state: "pending", all: true });
  expect(await outer.getOrSet("key", () => "new")).toBe("new");
  expect(await inner.getOrSet("key", () => "new")).toBe("new");
  expect(await cache.get("key")).toBe("old");
  await stage.gateway.fault("healthy");
});
