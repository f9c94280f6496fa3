/** Signals: the caller's ends his own wait, the callback's says that nobody waits any more. */
import { isLeewardError } from "leeward";
import { beforeEach, expect, test, vi } from "vitest";
import { gated } from "./gated.ts";
import { rejection, type Stage, startStage, until } from "./stage.ts";

let stage: Stage;
const unhandled: unknown[] = [];
beforeEach(async () => {
  stage = await startStage();
  const onUnhandled = (reason: unknown) => void unhandled.push(reason);
  process.on("unhandledRejection", onUnhandled);
  return async () => {
    // Rejections count as unhandled when a turn has gone by.
    await new Promise((resolve) => setImmediate(resolve));
    process.off("unhandledRejection", onUnhandled);
    expect(unhandled.splice(0)).toEqual([]);
  };
});

const REASON = new Error("the visitor has gone");

test("a signal that is aborted already ends the call before any work, with its own reason", async () => {
  const { cache, events } = stage.cache();
  const { load } = gated();
  for (const reason of [REASON, "a text", 0, null]) {
    const signal = AbortSignal.abort(reason);
    expect(await rejection(cache.getOrSet("key", load, { signal }))).toBe(reason);
    expect(await rejection(cache.lookup("key", load, { signal }))).toBe(reason);
  }
  const error = await rejection(cache.getOrSet("key", load, { signal: AbortSignal.abort() }));
  expect(error).toMatchObject({ name: "AbortError" });
  expect(isLeewardError(error)).toBe(false);
  expect(load).not.toHaveBeenCalled();
  expect({ events, requests: stage.gateway.counters().httpRequests }).toEqual({ events: [], requests: 0 });
});

test("an abort while Redis is asked ends the wait at once, and no callback runs", async () => {
  const { cache } = stage.cache({ timeout: { read: "30s" } });
  await stage.gateway.fault("hang");
  const { load } = gated();
  const controller = new AbortController();
  const call = rejection(cache.getOrSet("key", load, { signal: controller.signal }));
  await stage.gateway.seen("leeward:k::key");
  controller.abort(REASON);
  expect(await call).toBe(REASON);
  expect(load).not.toHaveBeenCalled();
});

test("an abort while the callback runs ends the wait, and tells the callback", async () => {
  const { cache } = stage.cache();
  const { load, signal, open } = gated();
  const controller = new AbortController();
  const call = rejection(cache.getOrSet("key", load, { signal: controller.signal }));
  await until(() => load.mock.calls.length === 1);
  expect(signal().aborted).toBe(false);
  controller.abort(REASON);
  expect(await call).toBe(REASON);
  expect(signal().aborted).toBe(true);
  open("late");
  await stage.gateway.idle();
  // Whatever became of it, the next call is answered.
  expect(await cache.getOrSet("key", () => "next")).toMatch(/^(late|next)$/);
});

test("a callback that rejects when it is told harms nobody", async () => {
  const { cache } = stage.cache();
  const { load, signal, fail } = gated();
  const controller = new AbortController();
  const call = rejection(cache.getOrSet("key", load, { signal: controller.signal }));
  await until(() => load.mock.calls.length === 1);
  signal().addEventListener("abort", () => fail(signal().reason));
  controller.abort(REASON);
  expect(await call).toBe(REASON);
  expect(await cache.getOrSet("key", () => "next")).toBe("next");
});

test("the leader's abort does not end a callback that another request waits for", async () => {
  const { cache, events } = stage.cache();
  const { load, signal, open } = gated();
  const another = vi.fn(() => "another");
  const controller = new AbortController();
  const leader = rejection(cache.for().getOrSet("key", load, { signal: controller.signal }));
  const follower = cache.for().lookup("key", another);
  await until(() => load.mock.calls.length === 1);
  controller.abort(REASON);
  expect(await leader).toBe(REASON);
  expect(signal().aborted).toBe(false);
  open("value");
  expect(await follower).toMatchObject({ value: "value", shared: true });
  expect(another).not.toHaveBeenCalled();
  await stage.filled(cache, 1);
  expect(events.filter(({ type }) => type === "fill")).toMatchObject([{ stored: true }]);
});

test("a follower's abort ends his own wait alone", async () => {
  const { cache } = stage.cache();
  const { load, signal, open } = gated();
  const controller = new AbortController();
  const leader = cache.for().getOrSet("key", load);
  const never = vi.fn(() => "never");
  const follower = rejection(cache.for().getOrSet("key", never, { signal: controller.signal }));
  await until(() => load.mock.calls.length === 1);
  controller.abort(REASON);
  expect(await follower).toBe(REASON);
  expect(signal().aborted).toBe(false);
  open("value");
  expect(await leader).toBe("value");
  expect(never).not.toHaveBeenCalled();
});

test("an abort after the answer changes nothing", async () => {
  const { cache } = stage.cache();
  const controller = new AbortController();
  const { load, signal, open } = gated();
  const call = cache.getOrSet("key", load, { signal: controller.signal });
  await until(() => load.mock.calls.length === 1);
  open("value");
  expect(await call).toBe("value");
  controller.abort(REASON);
  await stage.filled(cache, 1);
  expect(signal().aborted).toBe(false);
  expect(cache.stats().fills).toBe(1);
  expect(await cache.get("key")).toBe("value");
});

test("without a signal of the caller's the callback's never fires, however long it takes", async () => {
  const { cache } = stage.cache({ timeout: { read: "20ms", write: "20ms", flight: "20ms" } });
  const { load, signal, open } = gated();
  const call = cache.for().getOrSet("key", load);
  await until(() => load.mock.calls.length === 1);
  // Long enough for a follower to give up on the flight.
  expect(await cache.for().getOrSet("key", () => "own")).toBe("own");
  expect(signal().aborted).toBe(false);
  open("value");
  expect(await call).toBe("value");
  await stage.gateway.idle();
  expect(signal().aborted).toBe(false);
});

test("a disabled cache heeds signals all the same", async () => {
  const { cache } = stage.cache({ url: undefined, token: "alone" });
  const controller = new AbortController();
  const { load, signal, open } = gated();
  const call = rejection(cache.getOrSet("key", load, { signal: controller.signal }));
  await until(() => load.mock.calls.length === 1);
  controller.abort(REASON);
  expect(await call).toBe(REASON);
  expect(signal().aborted).toBe(true);
  open("late");
});
