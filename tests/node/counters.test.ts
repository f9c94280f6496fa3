/** What the package says that it costs is what Redis and the network see. */
import { expect, test } from "vitest";
import { cost, ofType, startStage, until } from "./stage.ts";

test("a miss costs two requests and two commands, a hit one and one, a look at nothing one and one", async () => {
  const { cache, ...stage } = await withCache();
  expect(await cache.lookup("key", () => 1)).toMatchObject({ outcome: "miss", value: 1 });
  await stage.filled(cache, 1);
  expect(cost(stage.gateway)).toEqual([2, 2]);

  await stage.gateway.reset();
  expect(await cache.lookup("key", () => 2)).toMatchObject({ outcome: "hit", value: 1, stored: true });
  expect(cost(stage.gateway)).toEqual([1, 1]);

  await stage.gateway.reset();
  expect(await cache.lookup("nothing")).toMatchObject({ outcome: "miss", value: undefined, stored: false });
  expect(cost(stage.gateway)).toEqual([1, 1]);
});

test("an invalidation costs one request, and one command for each key that is named", async () => {
  const { cache, ...stage } = await withCache();
  await cache.get("connect");
  await stage.gateway.reset();
  const keys = Array.from({ length: 20 }, (_, i) => `key-${i}`);
  expect(await cache.invalidate({ keys: [...keys, ...keys] })).toEqual({ state: "applied" });
  expect(cost(stage.gateway)).toEqual([1, 20]);
  expect(cache.stats().invalidationsApplied).toBe(20);

  await stage.gateway.reset();
  await cache.delete("key-1");
  expect(cost(stage.gateway)).toEqual([1, 1]);
});

test("a set costs two requests and two commands", async () => {
  const { cache, ...stage } = await withCache();
  await cache.set("key", 1);
  expect(cost(stage.gateway)).toEqual([2, 2]);
});

test("50 keys of one turn cost one request when the connection is ready, and at most two before", async () => {
  const { cache, ...stage } = await withCache();
  const keys = Array.from({ length: 50 }, (_, i) => `key-${i}`);
  await Promise.all(keys.map((key) => cache.get(key)));
  const [cold = 0, commands] = cost(stage.gateway);
  expect(cold).toBeLessThanOrEqual(2);
  expect(commands).toBe(50);

  await stage.gateway.reset();
  await Promise.all(keys.map((key) => cache.get(key)));
  expect(cost(stage.gateway)).toEqual([1, 50]);
});

test("stats() says what the gateway counts", async () => {
  const { cache, ...stage } = await withCache();
  await cache.getOrSet("a", () => 1);
  await stage.filled(cache, 1);
  await cache.getOrSet("a", () => 2);
  await cache.get("b");
  await cache.set("b", 2);
  await cache.invalidate({ keys: ["a", "b"] });
  await cache.getOrSet("c", ({ skip }) => {
    skip();
    return 3;
  });
  const { httpRequests, redisCommands } = stage.gateway.counters();
  expect(cache.stats()).toEqual({
    hits: 1,
    stale: 0,
    misses: 3,
    bypasses: 0,
    shared: 0,
    callbacks: 2,
    fills: 2,
    fillsRefused: 0,
    fillsFailed: 0,
    unstorable: 1,
    rejected: 0,
    compressedFrom: 0,
    compressedTo: 0,
    invalidationsApplied: 3,
    invalidationsPending: 0,
    invalidationsRefused: 0,
    journal: 0,
    requests: httpRequests,
    commands: redisCommands,
  });
});

test("the first of many makes the one attempt, the others wait for it, and the connection says so", async () => {
  const { cache, events, ...stage } = await withCache();
  const idle = { state: "idle", isOpen: false, isReady: false, attempts: 0, reuses: 0, failures: 0 };
  expect(cache.connection).toMatchObject({ ...idle, lastError: null, changedAt: null, until: null });

  // Each a client, and so a request, of its own.
  const clients = Array.from({ length: 10 }, () => cache.for());
  const before = Date.now();
  await Promise.all(clients.map((client, i) => client.getOrSet(`key-${i}`, () => i)));
  const ready = { state: "ready", isOpen: true, isReady: true, attempts: 1, reuses: 9, failures: 0 };
  expect(cache.connection).toMatchObject({ ...ready, lastError: null, until: null });
  expect(cache.connection.changedAt).toBeGreaterThanOrEqual(before);
  expect(ofType(events, "attempt")).toHaveLength(1);
  expect(ofType(events, "reuse")).toHaveLength(9);
  expect(ofType(events, "connection")).toMatchObject([{ from: "connecting", to: "ready", error: null }]);
  await stage.filled(cache, 10);
});

test("a failed attempt leads to down with its reason, and to another attempt when its time has come", async () => {
  const { cache, events, ...stage } = await withCache();
  await stage.gateway.fault("status", { code: 503 });
  expect(await cache.lookup("key", () => 1)).toMatchObject({ value: 1, outcome: "bypass", reason: "failed" });
  const { connection } = cache;
  expect(connection).toMatchObject({
    state: "down",
    isOpen: false,
    isReady: false,
    attempts: 1,
    failures: 1,
  });
  expect(connection.lastError).toBe("server");
  expect(connection.until).toBeGreaterThan(Date.now() - 1);

  // While it is down, nothing is sent.
  await stage.gateway.reset();
  if (Date.now() < (connection.until ?? 0) - 20) {
    expect(await cache.lookup("key", () => 2)).toMatchObject({ value: 2, outcome: "bypass", reason: "down" });
    expect(stage.gateway.counters().httpRequests).toBe(0);
  }
  await until(async () => (await cache.lookup("key", () => 3)).outcome === "miss");
  expect(cache.connection).toMatchObject({ state: "ready", isOpen: true, attempts: 2, until: null });
  expect(ofType(events, "attempt")).toMatchObject([{ probe: false }, { probe: true }]);
});

test("changed credentials are another connection, with counters of its own", async () => {
  const stage = await startStage();
  const { cache } = stage.cache({ url: undefined, token: undefined });
  const env = (token: string) => ({ KV_REST_API_URL: stage.gateway.url, KV_REST_API_TOKEN: token });
  const [full, readOnly] = [cache.for(env(stage.gateway.token)), cache.for(env(stage.gateway.readOnlyToken))];
  await full.get("key");
  expect(full.connection.attempts).toBe(1);
  expect(readOnly.connection).toMatchObject({ attempts: 0, state: "idle" });
  await readOnly.get("key");
  expect([full, readOnly].map(({ connection }) => connection.attempts)).toEqual([1, 1]);
  // The second one learns that it may not run scripts, and reads plainly.
  expect([full, readOnly].map((client) => client.stats().requests)).toEqual([1, 2]);
});

async function withCache() {
  const stage = await startStage();
  return { ...stage, ...stage.cache() };
}
