/** What a request may spend, and what becomes of what it may not. */
import { expect, test, vi } from "vitest";
import { cost, ofType, rejection, startStage, until } from "./stage.ts";

test("beyond its subrequests a request runs callbacks, stores nothing, and keeps room for invalidations", async () => {
  const { client, events, gateway, other } = await withBudget({ subrequests: 8 });
  for (let n = 0; n < 7; n += 1) await client.get(`key-${n}`);
  expect(await client.lookup("key", () => 1)).toMatchObject({
    outcome: "bypass",
    reason: "budget",
    value: 1,
  });
  expect(await client.getMany(["a", "b"], () => [1, 2])).toEqual(new Map(Object.entries({ a: 1, b: 2 })));
  expect(await rejection(client.redis("PING"))).toMatchObject({ code: "not-executed", kind: "budget" });
  expect(await client.invalidate({ keys: ["key"] })).toEqual({ state: "applied" });
  expect(await rejection(client.invalidate({ keys: ["key"] }))).toMatchObject({ state: "pending" });
  expect(cost(gateway)).toEqual([8, 8]);
  expect(ofType(events, "warning").map(({ code }) => code)).toEqual(["budget"]);
  expect(ofType(events, "invalidation").at(-1)).toMatchObject({ state: "pending", reason: "budget" });

  // The next request sends what was pending.
  await other().get("another");
  await until(() => client.stats().journal === 0);
  expect(ofType(events, "invalidation").at(-1)).toMatchObject({ state: "applied", replay: true });
});

test("a fill that the budget has no room for is told, and the value returned", async () => {
  const { client, events, gateway } = await withBudget({ subrequests: 2 });
  expect(await client.getOrSet("key", () => 1)).toBe(1);
  expect(ofType(events, "fill")).toMatchObject([{ stored: false, reason: "budget" }]);
  expect(cost(gateway)).toEqual([1, 1]);
});

test("what does not fit into its connections waits for one of them, and is one request then", async () => {
  const { client, gateway, redis } = await withBudget({ connections: 2 });
  await client.get("connect");
  await gateway.reset();
  // Redis answers no script until it is told to.
  await redis.command("CLIENT", "PAUSE", 60_000, "WRITE");
  const turn = () => new Promise<void>((resolve) => setTimeout(resolve));
  const calls: Promise<unknown>[] = [];
  for (let n = 0; n < 10; n += 1) {
    calls.push(client.lookup(`key-${n}`));
    await turn();
  }
  await vi.waitFor(() => expect(gateway.counters().httpRequests).toBe(2));
  await redis.command("CLIENT", "UNPAUSE");
  await Promise.all(calls);
  expect(cost(gateway)[0]).toBe(3);
  expect(gateway.requests.map(({ commands }) => commands.length)).toEqual([1, 1, 8]);
});

test.each([
  [{ subrequests: 1 }, /"budget.subrequests" must be a whole number from 2 to 10000, got 1/],
  [{ connections: 0 }, /"budget.connections" must be a whole number from 1 to 1000, got 0/],
  [{ connections: "4" }, /"budget.connections" must be a whole number/],
  [{ requests: 5 }, /unknown option "budget.requests"/],
  [5, /"budget" must be an object with subrequests, connections/],
])("a bad budget is a warning and a disabled cache: %j", async (budget, message) => {
  const stage = await startStage();
  const { cache, events } = stage.cache({ budget: budget as never });
  expect(await cache.getOrSet("key", () => 1)).toBe(1);
  expect(ofType(events, "warning")[0]?.message).toMatch(message);
});

async function withBudget(budget: { subrequests?: number; connections?: number }) {
  const stage = await startStage();
  const { cache, events } = stage.cache({ budget });
  const other = () => cache.for(undefined, { waitUntil: (promise) => void promise.catch(() => {}) });
  return { gateway: stage.gateway, redis: stage.redis, events, client: other(), other };
}
