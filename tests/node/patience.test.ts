/** How long a caller waits for a callback: to a soft bound where there is a stale value, and to a hard one at all. */
import { isLeewardError } from "leeward";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { gated } from "./gated.ts";
import { type Isolate, isolates } from "./isolates.ts";
import { cost, ofType, rejection, type Stage, startStage, until } from "./stage.ts";
import { trapAt } from "./traps.ts";

let stage: Stage;
let here: Isolate;
let there: Isolate;
beforeEach(async () => {
  stage = await startStage();
  [here, there] = (await isolates(2, { ...stage.settings, staleIfError: "1d" })) as [Isolate, Isolate];
});

const unhandled = vi.fn();
beforeEach(() => {
  unhandled.mockClear();
  process.on("unhandledRejection", unhandled);
  return async () => {
    // A rejection counts as unhandled when a turn has gone by.
    await new Promise((resolve) => setImmediate(resolve));
    process.off("unhandledRejection", unhandled);
    expect(unhandled).not.toHaveBeenCalled();
  };
});

/** Stored, and made stale. */
async function staleKey(): Promise<void> {
  await here.cache.set("key", "old");
  expect(await there.cache.expire({ keys: ["key"] })).toEqual({ state: "applied" });
  await stage.gateway.reset();
}

const LATE = {
  name: "TimeoutError",
  message: "the callback did not end within timeout.hard, 50 ms",
  ...{ code: "callback-timeout", kind: "timeout", retryable: true },
};

describe("a soft bound", () => {
  test("answers with the stale value; the callback goes on, and its value is stored", async () => {
    const { cache, events } = here;
    await staleKey();
    const { load, signal, open } = gated();
    const options = { timeout: { soft: 20 } };
    expect(await cache.lookup("key", load, options)).toMatchObject({
      ...{ value: "old", outcome: "stale", stored: true, shared: false, reason: undefined },
    });
    expect(signal().aborted).toBe(false);
    open("new");
    await stage.filled(cache, 2);
    expect(await there.cache.get("key")).toBe("new");
    expect(load).toHaveBeenCalledOnce();
    expect(cost(stage.gateway)).toEqual([3, 3]);
    expect(ofType(events, "timeout")).toMatchObject([{ bound: "soft", stale: true }]);
    expect(cache.stats()).toMatchObject({ stale: 1, misses: 0, fills: 2 });
    expect(signal().aborted).toBe(false);
  });

  test("of the cache is every read's, where that has none of its own", async () => {
    const [{ cache }] = (await isolates(1, {
      ...stage.settings,
      staleIfError: "1d",
      timeout: { ...stage.settings.timeout, soft: 20 },
    })) as [Isolate];
    await staleKey();
    const { load, open } = gated();
    expect(await cache.getOrSet("key", load)).toBe("old");
    open("new");
    await stage.filled(cache, 2);
    await there.cache.expire({ keys: ["key"] });
    expect(await cache.getOrSet("key", async () => "newer", { timeout: { soft: "5m" } })).toBe("newer");
  });

  test("changes nothing where there is nothing stale, or nothing stale is taken", async () => {
    const { cache, events } = here;
    const first = gated();
    const soft = { timeout: { soft: 1 } };
    const waiting = cache.lookup("key", first.load, soft);
    await until(() => first.load.mock.calls.length === 1);
    first.open("first");
    expect(await waiting).toMatchObject({ value: "first", outcome: "miss" });
    await stage.filled(cache, 1);
    await there.cache.expire({ keys: ["key"] });
    for (const options of [{ freshness: "strict" }, { forceFresh: true }, { staleIfError: 0 }] as const) {
      const { load, open } = gated();
      const call = cache.lookup("key", load, { ...options, ...soft });
      await until(() => load.mock.calls.length === 1);
      open("own");
      expect(await call).toMatchObject({ value: "own", outcome: "miss" });
      await stage.gateway.idle();
      await there.cache.expire({ keys: ["key"] });
    }
    expect(ofType(events, "timeout")).toEqual([]);
  });

  test("a follower looks for a stale value by itself, and leaves its leader in peace", async () => {
    const { cache } = here;
    await staleKey();
    const { load, signal, open } = gated();
    const leader = cache.for().getOrSet("key", load);
    await until(() => load.mock.calls.length === 1);
    const never = vi.fn(() => "never");
    expect(await cache.for().lookup("key", never, { timeout: { soft: 20 } })).toMatchObject({
      ...{ value: "old", outcome: "stale", shared: false },
    });
    expect(signal().aborted).toBe(false);
    open("new");
    expect(await leader).toBe("new");
    await stage.filled(cache, 2);
    expect(never).not.toHaveBeenCalled();
    expect(cost(stage.gateway)).toEqual([3, 3]);
  });
});

describe("a hard bound", () => {
  const hard = { timeout: { hard: 50 } };

  test("ends the wait with an error and tells the callback; a value that comes all the same is stored", async () => {
    const { cache, events } = here;
    const { load, signal, open } = gated();
    const error = await rejection(cache.getOrSet("key", load, hard));
    expect(error).toMatchObject(LATE);
    expect(isLeewardError(error)).toBe(true);
    expect(signal()).toMatchObject({ aborted: true, reason: error });
    expect(ofType(events, "timeout")).toMatchObject([{ bound: "hard", stale: false }]);
    open("late");
    await stage.filled(cache, 1);
    expect(await there.cache.get("key")).toBe("late");
    expect(cache.stats()).toMatchObject({ misses: 0, callbacks: 1, fills: 1 });
  });

  test("the callback may end at once when it is told, and that is nobody's rejection", async () => {
    const { load, signal, fail } = gated();
    const call = rejection(here.cache.getOrSet("key", load, hard));
    await until(() => load.mock.calls.length === 1);
    signal().addEventListener("abort", () => fail(signal().reason));
    expect(await call).toMatchObject(LATE);
    expect(await here.cache.getOrSet("key", () => "next")).toBe("next");
  });

  test("gives a stale value if there is one, and tells the callback", async () => {
    const { cache, events } = here;
    await staleKey();
    const { load, signal, open } = gated();
    expect(await cache.lookup("key", load, hard)).toMatchObject({ value: "old", outcome: "stale" });
    expect(signal().reason).toMatchObject(LATE);
    expect(ofType(events, "timeout")).toMatchObject([{ bound: "hard", stale: true }]);
    open("late");
    await stage.filled(cache, 2);
  });

  test.for([
    { freshness: "strict" },
    { forceFresh: true },
    { staleIfError: 0 },
  ] as const)("with %j nothing stale is given", async (options) => {
    await staleKey();
    const { load, open } = gated();
    expect(await rejection(here.cache.getOrSet("key", load, { ...options, ...hard }))).toMatchObject(LATE);
    open("late");
    await stage.filled(here.cache, 2);
  });

  test("of the leader does not end a callback that another request waits for", async () => {
    const { cache } = here;
    const { load, signal, open } = gated();
    const leader = rejection(cache.for().getOrSet("key", load, hard));
    const follower = cache.for().lookup("key", () => "another");
    expect(await leader).toMatchObject(LATE);
    expect(signal().aborted).toBe(false);
    open("value");
    expect(await follower).toMatchObject({ value: "value", shared: true });
  });

  test("of a follower ends its own wait alone", async () => {
    const { cache } = here;
    const { load, signal, open } = gated();
    const never = vi.fn(() => "never");
    const leader = cache.for().getOrSet("key", load);
    await until(() => load.mock.calls.length === 1);
    expect(await rejection(cache.for().getOrSet("key", never, hard))).toMatchObject(LATE);
    expect(signal().aborted).toBe(false);
    open("value");
    expect(await leader).toBe("value");
    expect(never).not.toHaveBeenCalled();
  });

  test("the callback is told when the last of those who waited has gone", async () => {
    const [{ cache }] = (await isolates(1, { ...stage.settings, timeout: { flight: 200 } })) as [Isolate];
    const { load, signal, open } = gated();
    const calls = [0, 1].map(() => rejection(cache.for().getOrSet("key", load, hard)));
    expect(await Promise.all(calls)).toMatchObject([LATE, LATE]);
    await until(() => signal().aborted);
    expect(signal().reason).toMatchObject(LATE);
    open("late");
    await stage.filled(cache, 1);
  });

  test("holds without Redis, as far as it is configured", async () => {
    const { cache } = stage.cache({ url: undefined, token: "alone", ...hard });
    const { load, signal, open } = gated();
    const error = await rejection(cache.getOrSet("key", load));
    expect(error).toMatchObject(LATE);
    expect(signal().reason).toBe(error);
    open("late");
    expect(await cache.getOrSet("key", () => "in time")).toBe("in time");
  });

  test.for([1, 5])("holds without a core, which traps at its call %i", async (n) => {
    vi.spyOn(console, "warn").mockReturnValue();
    await here.cache.get("connect");
    const trapped = trapAt(here, n);
    const { load, signal, open } = gated();
    const error = await rejection(here.cache.getOrSet("key", load, hard));
    expect(error).toMatchObject(LATE);
    expect(signal().reason).toBe(error);
    expect(trapped()).toBe(true);
    open("late");
    expect(await here.cache.getOrSet("another", () => "in time", hard)).toBe("in time");
  });

  test("a bad one of the cache's does not fail calls that the cache cannot help", async () => {
    for (const bad of [0, "6m", "soon", {}]) {
      const { cache } = stage.cache({ timeout: { hard: bad as number } });
      expect(await cache.getOrSet("key", async () => "own")).toBe("own");
    }
  });
});

test("a read waits for Redis as long as it says, with a callback and without", async () => {
  const { cache } = stage.cache();
  await stage.gateway.fault("hang");
  const options = { timeout: { read: 20 } };
  expect(await cache.lookup("key", () => "own", options)).toMatchObject({ value: "own", reason: "timeout" });
  expect(await cache.lookup("key", undefined, options)).toMatchObject({ outcome: "bypass" });
});
