/** `mutate`: a change of the source between two invalidations, with marks that keep everybody from the old state meanwhile. */
import { isLeewardError } from "leeward";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { type Isolate, isolates } from "./isolates.ts";
import { cost, ofType, rejection, type Stage, startStage, until } from "./stage.ts";

let stage: Stage;
let here: Isolate;
let there: Isolate;
beforeEach(async () => {
  stage = await startStage();
  [here, there] = (await isolates(2, stage.settings)) as [Isolate, Isolate];
});

const APPLIED = { invalidation: { state: "applied" }, marked: true };

describe("while the callback runs", () => {
  test.for([
    ["a key", { keys: ["key"] }],
    ["a tag", { tags: ["tag"] }],
    ["the namespace", { all: true }],
  ] as const)("nothing of %s is served or stored in any isolate, and afterwards everything is fresh", async ([
    ,
    what,
  ]) => {
    let source = "old";
    const options = { tags: ["tag"] };
    const load = vi.fn(async () => source);
    for (const { cache } of [here, there]) await cache.getOrSet("key", load, options);
    await stage.filled(here.cache, 1);
    const ended = await here.cache.mutate(what, async () => {
      for (const { cache } of [there, here]) {
        const read = await cache.for().lookup("key", load, options);
        expect(read).toMatchObject({ value: "old", stored: false });
        expect(await cache.for().get("key", options)).toBeUndefined();
      }
      source = "new";
      for (const { cache } of [there, here]) {
        expect(await cache.for().getOrSet("key", load, options)).toBe("new");
      }
      return 7;
    });
    expect(ended).toEqual({ value: 7, ...APPLIED });
    const before = load.mock.calls.length;
    expect(await there.cache.lookup("key", load, options)).toMatchObject({ value: "new", outcome: "miss" });
    await stage.filled(there.cache, 1);
    expect(await here.cache.lookup("key", load, options)).toMatchObject({ value: "new", outcome: "hit" });
    expect(load).toHaveBeenCalledTimes(before + 1);
  });

  test("what a callback elsewhere has read before the change is not stored after it", async () => {
    const gate = Promise.withResolvers<string>();
    const load = vi.fn(() => gate.promise);
    const slow = there.cache.getOrSet("key", load);
    await vi.waitFor(() => expect(load).toHaveBeenCalledOnce());
    await here.cache.mutate({ keys: ["key"] }, () => {});
    gate.resolve("old");
    expect(await slow).toBe("old");
    await stage.filled(there.cache, 1);
    expect(await here.cache.get("key")).toBeUndefined();
  });

  test("another mutate of the same key may run, and ends without the first one's mark", async () => {
    const gate = Promise.withResolvers<void>();
    const first = here.cache.mutate({ keys: ["key"] }, () => gate.promise);
    expect(await there.cache.mutate({ keys: ["key"] }, () => 2)).toEqual({ value: 2, ...APPLIED });
    // The first one's mark still lives.
    expect(await there.cache.lookup("key", () => "unstored")).toMatchObject({ stored: false });
    gate.resolve();
    expect(await first).toEqual({ value: undefined, ...APPLIED });
    expect(await there.cache.lookup("key", () => "stored")).toMatchObject({ stored: undefined });
    await stage.filled(there.cache, 1);
    expect(await here.cache.get("key")).toBe("stored");
  });
});

test("costs two requests, and two commands for each key and tag", async () => {
  await here.cache.get("connect");
  await stage.gateway.reset();
  const fn = vi.fn((...given: unknown[]) => given.length);
  expect(await here.cache.mutate({ keys: ["a", "b", "a"], tags: ["t"], all: true }, fn)).toEqual({
    ...{ value: 0, ...APPLIED },
  });
  expect(cost(stage.gateway)).toEqual([2, 8]);
  expect(fn).toHaveBeenCalledOnce();
});

describe("a callback that fails", () => {
  const own = { not: "an Error" };
  const failing: [string, () => unknown][] = [
    [
      "at once",
      () => {
        throw own;
      },
    ],
    ["later", () => Promise.reject(own)],
    [
      "by a thenable that throws",
      () => ({
        // biome-ignore lint/suspicious/noThenProperty: it is what is tested
        then() {
          throw own;
        },
      }),
    ],
  ];

  test.for(failing)("%s gives its own error, the same object, and everything is invalidated", async ([
    ,
    fn,
  ]) => {
    const { cache, events } = here;
    await cache.set("key", "old");
    expect(await rejection(cache.mutate({ keys: ["key"] }, fn))).toBe(own);
    expect(await cache.get("key")).toBeUndefined();
    expect(await there.cache.lookup("key", () => "new")).toMatchObject({ value: "new", stored: undefined });
    expect(ofType(events, "invalidation").at(-1)).toMatchObject({ state: "applied" });
  });

  test("gives its own error while Redis is down, too", async () => {
    await stage.gateway.fault("refuse");
    expect(await rejection(here.cache.mutate({ keys: ["key"] }, () => Promise.reject(own)))).toBe(own);
    expect(here.cache.stats()).toMatchObject({ journal: 1 });
  });
});

describe("without Redis", () => {
  test.for([
    ["refuse", {}],
    ["status", { code: 503 }],
    ["hang", {}],
    ["loseReply", {}],
    ["redisError", { error: "ERR not now" }],
  ] as const)("(%s %j) the callback runs once, unmarked, and the invalidation is told and kept", async ([
    fault,
    options,
  ]) => {
    const { cache, events } = stage.cache({ timeout: { read: "300ms", write: "300ms" } });
    await until(async () => (await cache.lookup("connect")).outcome !== "bypass");
    await here.cache.set("key", "old");
    await stage.gateway.fault(fault, options);
    const fn = vi.fn(async () => "value");
    const ended = await cache.mutate({ keys: ["key"], tags: ["t"] }, fn);
    expect(ended).toMatchObject({ value: "value", marked: false, invalidation: { state: "pending" } });
    expect(fn).toHaveBeenCalledOnce();
    const error = "error" in ended.invalidation ? ended.invalidation.error : undefined;
    expect(isLeewardError(error)).toBe(true);
    expect(error).toMatchObject({ code: "invalidation-pending", keys: ["key"], tags: ["t"], all: false });
    expect(await cache.lookup("key", () => "own")).toMatchObject({ value: "own", outcome: "bypass" });
    await stage.gateway.fault("healthy");
    await until(() => cache.stats().journal === 0);
    expect(ofType(events, "invalidation").at(-1)).toMatchObject({ state: "applied", replay: true });
    expect(await there.cache.get("key")).toBeUndefined();
  });

  test("and without configuration the callback runs once, and that is told", async () => {
    const { cache } = stage.cache({ url: "nonsense", onEvent() {} });
    const fn = vi.fn(() => 7);
    expect(await cache.mutate({ keys: ["key"] }, fn)).toMatchObject({
      value: 7,
      marked: false,
      invalidation: { state: "refused", error: { code: "unconfigured", keys: ["key"] } },
    });
    expect(fn).toHaveBeenCalledOnce();
  });
});

describe("a callback that never ends", () => {
  test("or whose isolate dies, leaves a mark that runs out, and nothing old comes back", async () => {
    await here.cache.set("key", "old");
    let begun = false;
    const lost = here.cache.mutate(
      { keys: ["key"] },
      () => {
        begun = true;
        return new Promise(() => {});
      },
      { timeout: "400ms" },
    );
    lost.catch(() => {});
    await until(() => begun);
    const { cache } = there;
    expect(await cache.lookup("key", () => "while")).toMatchObject({ value: "while", stored: false });
    await until(async () => (await cache.lookup("key", () => "after")).outcome === "hit");
    expect(await cache.get("key")).toMatch(/^(after|while)$/);
    expect(await here.cache.lookup("key", () => "never")).not.toMatchObject({ value: "old" });
    await until(() => here.cache.stats().journal === 0);
  });
});
