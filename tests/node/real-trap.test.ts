/** A core that fails in earnest, in each way that wasm can: it is built for it, and is never published. */
import { readFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type Isolate, isolates, PUBLISHED, TRAPPING } from "./isolates.ts";
import { ofType, rejection, type Stage, startStage, until } from "./stage.ts";
import { type Clock, clock, coreOf, inEarnest, trapAlways, trapAt, trapNow, WAYS } from "./traps.ts";

let stage: Stage;
let isolate: Isolate;
let time: Clock;
const printed = vi.fn();
beforeEach(async () => {
  time = clock();
  printed.mockClear();
  vi.spyOn(console, "error").mockImplementation(printed);
  stage = await startStage();
  [isolate] = (await isolates(1, stage.settings, TRAPPING)) as [Isolate];
  await isolate.cache.get("nothing");
});
afterEach(() => {
  vi.restoreAllMocks();
});

const CAUSES: Record<(typeof WAYS)[number], RegExp> = {
  panic: /\(failed on purpose, at src\/js\/trap\.rs:\d+\)/,
  trap: /\(unreachable\)/,
  overflow: /\((memory access out of bounds|Maximum call stack size exceeded)\)/,
  exhaust: /\(unreachable\)/,
};

describe.for(WAYS)("a core that ends by %s", (how) => {
  test("fails no call under way, loses nothing that is pending, and is told once with its cause", async () => {
    const { cache, events } = isolate;
    await cache.set("key", "old");
    await stage.gateway.fault("status", { code: 503, times: 1 });
    await rejection(cache.invalidate({ keys: ["key"] }));
    let open = () => {};
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    const load = vi.fn(async (n: number) => {
      await gate;
      return n;
    });
    const neighbours = [1, 2, 3].map((n) => cache.for().getOrSet(`neighbour-${n}`, () => load(n)));
    await until(() => load.mock.calls.length === 3);
    const before = events.length;
    const first = coreOf(isolate);

    await trapNow(isolate, inEarnest(how));
    expect(await cache.getOrSet("key", () => "new")).toBe("new");
    open();
    expect(await Promise.all(neighbours)).toEqual([1, 2, 3]);
    expect(load).toHaveBeenCalledTimes(3);
    expect(coreOf(isolate)).not.toBe(first);
    const warnings = ofType(events.slice(before), "warning");
    expect(warnings).toMatchObject([{ code: "trapped", message: expect.stringMatching(CAUSES[how]) }]);
    await until(() => cache.stats().journal === 0);
  });

  test("wherever it does, gives a read its callback's value, and a write its true end", async () => {
    const { cache } = isolate;
    for (let n = 1; ; n += 3) {
      time.advance(60_000);
      await cache.set("key", "old");
      const trapped = trapAt(isolate, n, inEarnest(how));
      const load = vi.fn(async () => n);
      expect(await cache.getOrSet(`read-${n}`, load)).toBe(n);
      expect(load).toHaveBeenCalledOnce();
      const ended = await cache.invalidate({ keys: ["key"] }).catch((error: unknown) => error);
      expect(ended).toMatchObject({ state: expect.stringMatching(/^(applied|pending)$/) });
      expect(await cache.get("key")).toBeUndefined();
      if (!trapped()) return;
    }
  });

  test("at every call is left alone after the third, and works again 10 s later", async () => {
    time.stop();
    const { cache } = isolate;
    const traps = trapAlways(isolate, inEarnest(how));
    for (let n = 0; n < 10; n += 1) expect(await cache.getOrSet("key", () => n)).toBe(n);
    expect(traps.made()).toBe(2);
    traps.end();
    time.advance(10_000);
    expect(await cache.lookup("key", () => 1)).toMatchObject({ outcome: "miss" });
  });
});

test("a panic is printed with its stack, for people", async () => {
  await trapNow(isolate, inEarnest("panic"));
  expect(printed).toHaveBeenCalledOnce();
  expect(printed.mock.calls[0]?.[0]).toMatch(/failed on purpose[\s\S]*Stack:/);
});

test("a core that has trapped does nothing when it is collected", async () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  let collected = false;
  const registry = new FinalizationRegistry(() => {
    collected = true;
  });
  registry.register(coreOf(isolate), undefined);
  // A failure there is nobody's to catch: it would end this process.
  await trapNow(isolate, inEarnest("panic"));
  await isolate.cache.get("nothing");
  await until(() => {
    collect();
    return collected;
  });
});

test("the core that is published cannot be told to fail", () => {
  const exportsOf = (folder: string) =>
    WebAssembly.Module.exports(new WebAssembly.Module(readFileSync(`${folder}/leeward.wasm`))).map(
      ({ name }) => name,
    );
  expect(exportsOf(TRAPPING)).toContain("core_fail");
  expect(exportsOf(PUBLISHED)).not.toContain("core_fail");
});
