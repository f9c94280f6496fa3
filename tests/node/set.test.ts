/** `set`: it ends what was stored, and never writes blindly. */
import { isLeewardError } from "leeward";
import { beforeEach, describe, expect, test } from "vitest";
import { ofType, rejection, type Stage, startStage, until } from "./stage.ts";

let stage: Stage;
beforeEach(async () => {
  stage = await startStage();
});

test("what is set is found, until it is set anew or ends", async () => {
  const { cache, events } = stage.cache();
  expect(await cache.set("key", { n: 1 })).toEqual({ state: "applied", stored: true });
  expect(await cache.lookup("key")).toMatchObject({ value: { n: 1 }, outcome: "hit", stored: true });
  expect(await cache.set("key", { n: 2 })).toEqual({ state: "applied", stored: true });
  expect(await cache.getOrSet("key", () => ({ n: 3 }))).toEqual({ n: 2 });
  expect(await cache.set("key", { n: 4 }, { ttl: "50ms" })).toEqual({ state: "applied", stored: true });
  await until(async () => (await cache.lookup("key")).outcome === "miss");
  expect(ofType(events, "fill")).toMatchObject([{ stored: true }, { stored: true }, { stored: true }]);
});

test("undefined and null are values", async () => {
  const { cache } = stage.cache();
  for (const value of [undefined, null]) {
    expect(await cache.set("key", value)).toEqual({ state: "applied", stored: true });
    expect(await cache.lookup("key")).toMatchObject({ value, outcome: "hit", stored: true });
  }
});

test("bytes come back as they went, and as what they were", async () => {
  const { cache } = stage.cache();
  const bytes = Uint8Array.from({ length: 100_000 }, (_, i) => (i * 7919) % 256);
  await cache.set("bytes", bytes);
  expect(await cache.get("bytes")).toEqual(bytes);
  await cache.set("buffer", bytes.buffer);
  const buffer = await cache.get<ArrayBuffer>("buffer");
  expect(buffer).toBeInstanceOf(ArrayBuffer);
  expect(new Uint8Array(buffer ?? new ArrayBuffer())).toEqual(bytes);
});

describe("a value that would come back as something else is a TypeError that names the place", () => {
  class Money {
    readonly cents = 5;
  }
  const BAD: [unknown, RegExp][] = [
    [new Date(), /a Date would come back as something else, at \$$/],
    [{ user: { born: new Date() } }, /at \$\.user\.born$/],
    [{ list: [1, { "odd name": Number.NaN }] }, /NaN has no JSON, at \$\.list\[1\]\["odd name"\]$/],
    [Number.POSITIVE_INFINITY, /at \$$/],
    [new Map([["a", 1]]), /a Map/],
    [{ set: new Set() }, /a Set .*, at \$\.set$/],
    [{ big: 5n }, /a bigint has no JSON: store it as a text, at \$\.big$/],
    [[undefined], /undefined in a list has no JSON, at \$\[0\]$/],
    [{ nested: new Uint8Array(2) }, /a Uint8Array .*, at \$\.nested$/],
    [() => 1, /a function has no JSON/],
    [{ symbol: Symbol("x") }, /a symbol has no JSON, at \$\.symbol$/],
    [{ price: new Money() }, /a Money .*, at \$\.price$/],
    [new Array(3), /a list with gaps/],
    [new (class Names extends Array {})(), /a list of a class would come back as a plain one/],
    [Promise.resolve(1), /a Promise/],
  ];

  test.for(BAD)("%o", async ([value, message]) => {
    const { cache, events } = stage.cache();
    const error = await rejection(cache.set("key", value as string));
    expect(error).toBeInstanceOf(TypeError);
    expect((error as TypeError).message).toMatch(/^the value cannot be stored: /);
    expect((error as TypeError).message).toMatch(message);
    expect({ events, requests: stage.gateway.counters().httpRequests }).toEqual({ events: [], requests: 0 });

    // From a callback it is returned as it is, not stored, and told.
    const got = await cache.lookup("key", () => Object.freeze({ value }) as unknown as string);
    expect((got.value as unknown as { value: unknown }).value).toBe(value);
    expect(got.stored).toBe(false);
    expect(ofType(events, "unstorable")).toMatchObject([{ path: expect.stringMatching(/^\$\.value/) }]);
    expect(cache.stats()).toMatchObject({ unstorable: 1, fills: 0 });
  });
});

test("a cycle is a TypeError, too", async () => {
  const { cache } = stage.cache();
  const cycle: Record<string, unknown> = {};
  cycle.self = cycle;
  const error = await rejection(cache.set("key", cycle as Record<string, string>));
  expect(error).toBeInstanceOf(TypeError);
  expect((error as TypeError).message).toMatch(/nested too deep, or a cycle, at \$$/);
  expect(await cache.getOrSet("key", () => cycle as Record<string, string>)).toBe(cycle);
});

test("a value over the limit ends the old entry and is not stored", async () => {
  const { cache } = stage.cache();
  await cache.set("key", "old");
  expect(await cache.set("key", "x".repeat(5 * 1024 * 1024))).toEqual({ state: "applied", stored: false });
  expect(await cache.lookup("key")).toMatchObject({ outcome: "miss", value: undefined });
  expect(await cache.set("key", "new")).toEqual({ state: "applied", stored: true });
});

test("a set that an invalidation overtakes stores nothing", async () => {
  const { cache, events } = stage.cache({ timeout: { write: "20s" } });
  // The answer to its first command takes its time, and meanwhile somebody else ends the generation they gave.
  await stage.gateway.fault("slow", { match: "-- read", times: 1, delayMs: 300 });
  const set = cache.set("key", "overtaken");
  const hash = "leeward:k::key";
  await until(async () => (await stage.redis.command("EXISTS", hash)) === 1);
  await stage.redis.command("DEL", hash);
  expect(await set).toEqual({ state: "applied", stored: false });
  expect(await cache.lookup("key")).toMatchObject({ outcome: "miss", value: undefined });
  expect(ofType(events, "fill")).toMatchObject([{ stored: false, reason: "overtaken" }]);
  expect(cache.stats()).toMatchObject({ fills: 0, fillsRefused: 1 });
});

test("a set that overtakes a fill wins", async () => {
  const { cache } = stage.cache();
  const gate = Promise.withResolvers<string>();
  let begun = false;
  const slow = cache.for().getOrSet("key", () => {
    begun = true;
    return gate.promise;
  });
  await until(() => begun);
  expect(await cache.for().set("key", "set")).toEqual({ state: "applied", stored: true });
  gate.resolve("older");
  expect(await slow).toBe("older");
  await stage.filled(cache, 2);
  expect(await cache.get("key")).toBe("set");
  expect(cache.stats()).toMatchObject({ fills: 1, fillsRefused: 1 });
});

test("of sets at the same time at most one is found, and all are acknowledged", async () => {
  const { cache } = stage.cache();
  const values = Array.from({ length: 20 }, (_, i) => i);
  const sets = await Promise.all(values.map((n) => cache.for().set("key", n)));
  expect(new Set(sets.map(({ state }) => state))).toEqual(new Set(["applied"]));
  const found = await cache.lookup<number>("key");
  const stored: unknown[] = values.filter((n) => sets[n]?.stored);
  // One that is overtaken ends what was stored before it all the same, and then there may be none.
  if (found.outcome === "hit") expect(stored).toContain(found.value);
});

test("a set that Redis does not acknowledge says so, and the old value is not served", async () => {
  const { cache } = stage.cache();
  await cache.set("key", "old");
  await stage.gateway.fault("status", { code: 503, times: 1 });
  const error = await rejection(cache.set("key", "new"));
  expect(isLeewardError(error)).toBe(true);
  expect(error).toMatchObject({
    code: "invalidation-pending",
    state: "pending",
    keys: ["key"],
    retryable: true,
  });
  expect(await cache.get("key")).toBeUndefined();
});
