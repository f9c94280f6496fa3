/** A core that traps, wherever it does: calls under way end without it, callbacks run once, and the next call has a new core. */
import { isLeewardError } from "leeward";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { type Isolate, isolates } from "./isolates.ts";
import { type Stage, startStage } from "./stage.ts";
import { type Clock, clock, trapAt } from "./traps.ts";

let stage: Stage;
let time: Clock;
beforeEach(async () => {
  time = clock();
  stage = await startStage();
});

const unhandled = vi.fn();
beforeEach(() => {
  unhandled.mockClear();
  process.on("unhandledRejection", unhandled);
  return () => {
    process.off("unhandledRejection", unhandled);
    vi.restoreAllMocks();
  };
});

/** Plays a call again and again, with a trap at each place in turn, until there is none left. */
async function everywhere(play: (isolate: Isolate) => Promise<void>): Promise<number> {
  const [isolate] = (await isolates(1, { ...stage.settings, swr: "1h", staleIfError: "1h" })) as [Isolate];
  for (let n = 1; ; n += 1) {
    // Traps that follow one another would end in a pause.
    time.advance(10_000);
    await isolate.cache.set("stale", "old");
    await isolate.cache.expire({ keys: ["stale"] });
    await stage.gateway.idle();
    const trapped = trapAt(isolate, n);
    await play(isolate);
    await stage.gateway.idle();
    // What goes on behind the answer, and a rejection that nobody handles, are seen a turn later.
    await new Promise((resolve) => setImmediate(resolve));
    expect(unhandled).not.toHaveBeenCalled();
    if (!trapped()) return n;
  }
}

describe("wherever the core traps", () => {
  test("a read gives its callback's value, which has run once, and whoever awaits tags goes on", async () => {
    let n = 0;
    const places = await everywhere(async ({ cache }) => {
      n += 1;
      const load = vi.fn(async (fill: { tags(names: string[]): PromiseLike<void> }) => {
        await fill.tags(["late"]);
        return n;
      });
      expect(await cache.getOrSet(`key-${n}`, load)).toBe(n);
      expect(load).toHaveBeenCalledOnce();
    });
    expect(places).toBeGreaterThan(20);
  });

  test("a read gives its callback's own error, or the stale value", async () => {
    const own = new Error("own");
    const places = await everywhere(async ({ cache }) => {
      const load = vi.fn(() => Promise.reject(own));
      const ended = await cache.getOrSet("stale", load, { swr: 0 }).catch((error: unknown) => error);
      expect([own, "old"]).toContain(ended);
      expect(load.mock.calls.length).toBeLessThanOrEqual(1);
    });
    expect(places).toBeGreaterThan(10);
  });

  test("a stale value is served, or its callback's", async () => {
    const places = await everywhere(async ({ cache }) => {
      const load = vi.fn(async () => "new");
      expect(["old", "new"]).toContain(await cache.getOrSet("stale", load));
      expect(load.mock.calls.length).toBeLessThanOrEqual(1);
    });
    expect(places).toBeGreaterThan(10);
  });

  test("a mutate's callback has run once, and what became of the invalidation is told", async () => {
    let n = 0;
    const places = await everywhere(async ({ cache }) => {
      n += 1;
      const fn = vi.fn(async () => n);
      const { value, invalidation } = await cache.mutate({ keys: ["a"], tags: ["b"] }, fn);
      expect(value).toBe(n);
      expect(fn).toHaveBeenCalledOnce();
      if (invalidation.state === "applied") return;
      expect(isLeewardError(invalidation.error)).toBe(true);
      expect(invalidation.error).toMatchObject({ state: invalidation.state, keys: ["a"], tags: ["b"] });
      const own = new Error("own");
      expect(await cache.mutate({ all: true }, () => Promise.reject(own)).catch((error) => error)).toBe(own);
    });
    expect(places).toBeGreaterThan(20);
  });

  test("a write is applied, or rejects with what is not", async () => {
    const places = await everywhere(async ({ cache }) => {
      for (const write of [() => cache.set("key", 1), () => cache.invalidate({ keys: ["key"] })]) {
        const ended = await write().catch((error: unknown) => error);
        expect(ended).toMatchObject({ state: expect.stringMatching(/^(applied|pending)$/) });
      }
    });
    expect(places).toBeGreaterThan(10);
  });
});

test("a bystander's request is kept alive no longer than for its answer", async () => {
  const [isolate] = (await isolates(1, stage.settings)) as [Isolate];
  await isolate.cache.set("other", 1);
  await stage.gateway.reset();
  const kept: Promise<unknown>[] = [];
  const bystander = isolate.cache.for(undefined, { waitUntil: (promise) => void kept.push(promise) });
  await stage.gateway.fault("hang", { times: 1 });
  const reading = bystander.getOrSet("key", () => "own");
  await stage.gateway.seen();
  const trapped = trapAt(isolate, 1);
  await isolate.cache.getOrSet("other", () => 2);
  expect(trapped()).toBe(true);
  expect(await reading).toBe("own");
  expect(kept.length).toBeGreaterThan(0);
  await Promise.all(kept);
});
