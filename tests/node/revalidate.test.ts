/** What a callback sees of a stale value, and what it can say: that it is still good, and how long its own lives. */
import type { Fill } from "leeward";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { type Isolate, isolates } from "./isolates.ts";
import { cost, ofType, rejection, type Stage, startStage } from "./stage.ts";

let stage: Stage;
let here: Isolate;
let there: Isolate;
beforeEach(async () => {
  stage = await startStage();
  [here, there] = (await isolates(2, { ...stage.settings, staleIfError: "1d" })) as [Isolate, Isolate];
});

async function stale(value: unknown): Promise<void> {
  await here.cache.set("key", value as string);
  expect(await there.cache.expire({ keys: ["key"] })).toEqual({ state: "applied" });
  await stage.gateway.reset();
}

const unchanged = (fill: Fill) => fill.notModified();

describe("a value that is not modified", () => {
  test("is the answer, and is stored anew: two requests, two commands", async () => {
    const { cache, events } = here;
    const page = { etag: "1", body: "text" };
    await stale(page);
    const load = vi.fn(async (fill: Fill) => {
      expect(fill.stale).toEqual({ value: page, age: expect.any(Number) });
      const { etag } = fill.stale?.value as typeof page;
      return etag === "1" ? fill.notModified() : page;
    });
    expect(await cache.lookup("key", load)).toMatchObject({
      ...{ value: page, outcome: "revalidated", age: 0, shared: false, reason: undefined },
    });
    await stage.filled(cache, 2);
    expect(cost(stage.gateway)).toEqual([2, 2]);
    expect(await there.cache.lookup("key")).toMatchObject({ value: page, outcome: "hit" });
    expect(ofType(events, "read")).toMatchObject([{ outcome: "revalidated" }]);
    expect(cache.stats()).toMatchObject({ revalidated: 1, misses: 0, stale: 0 });
  });

  test.for([
    ["undefined", undefined],
    ["null", null],
    ["a text", "é\u0000😀"],
    ["bytes", Uint8Array.of(0, 255)],
    ["a buffer", Uint8Array.of(1, 2).buffer],
  ] as const)("may be %s", async ([, value]) => {
    await stale(value);
    expect(await here.cache.lookup("key", unchanged)).toMatchObject({ value, outcome: "revalidated" });
    await stage.filled(here.cache, 2);
    expect(await there.cache.lookup("key")).toMatchObject({ value, outcome: "hit" });
  });

  test("may be compressed, and is so again", async () => {
    const value = "long ".repeat(4_000);
    const { cache } = stage.cache({ compress: 1024 });
    await cache.set("key", value);
    await there.cache.expire({ keys: ["key"] });
    expect(await cache.lookup("key", unchanged)).toMatchObject({ value, outcome: "revalidated" });
    await stage.filled(cache, 2);
    expect(await there.cache.lookup("key")).toMatchObject({ value, outcome: "hit" });
    expect((await stage.redis.command("HGET", "leeward:k::key", "b:")) as string).not.toContain("long long");
  });

  test("is everybody's who waits for it", async () => {
    const { cache } = here;
    await stale("old");
    const gate = Promise.withResolvers<void>();
    const load = async (fill: Fill): Promise<string> => {
      await gate.promise;
      return fill.notModified();
    };
    const calls = [1, 2, 3].map(() => cache.for().lookup("key", load));
    gate.resolve();
    const answers = await Promise.all(calls);
    expect(answers).toMatchObject(answers.map(() => ({ value: "old", outcome: "revalidated" })));
    expect(answers.filter(({ shared }) => shared)).toHaveLength(2);
    await stage.filled(cache, 2);
  });

  test("behind an answer of swr is stored anew, too", async () => {
    const { cache } = here;
    await here.cache.set("key", "old", { swr: "1h" });
    await there.cache.expire({ keys: ["key"] });
    expect(await cache.lookup("key", unchanged, { swr: "1h" })).toMatchObject({ outcome: "stale" });
    await stage.filled(cache, 2);
    expect(await there.cache.lookup("key")).toMatchObject({ value: "old", outcome: "hit" });
  });

  test("is not stored over an invalidation since the read", async () => {
    const { cache, events } = here;
    await stale("old");
    const load = async (fill: Fill): Promise<string> => {
      await there.cache.invalidate({ keys: ["key"] });
      return fill.notModified();
    };
    expect(await cache.getOrSet("key", load)).toBe("old");
    await stage.filled(cache, 2);
    expect(ofType(events, "fill").at(-1)).toMatchObject({ stored: false, reason: "overtaken" });
    expect(await there.cache.get("key")).toBeUndefined();
  });

  test("is not stored if it is skipped", async () => {
    await stale("old");
    const load = (fill: Fill) => {
      fill.skip();
      return fill.notModified();
    };
    expect(await here.cache.lookup<string>("key", load)).toMatchObject({ value: "old", stored: false });
  });

  test("there must be one: a TypeError in the callback, and its caller's", async () => {
    const { cache } = here;
    const message = /notModified\(\) needs a stale value, and there is none/;
    for (const options of [{}, { forceFresh: true }, { freshness: "strict" }] as const) {
      if (options !== undefined) await there.cache.invalidate({ keys: ["key"] });
      const error = await rejection(cache.getOrSet("key", unchanged, options));
      expect(error).toBeInstanceOf(TypeError);
      expect((error as TypeError).message).toMatch(message);
    }
    // Nor does one of another call count.
    await stale("old");
    const error = await rejection(
      cache.getOrSet("other", async () => {
        let word: unknown;
        await cache.getOrSet("key", (fill) => {
          word = (fill.notModified as () => unknown)();
          return "new";
        });
        return word as string;
      }),
    );
    expect((error as TypeError).message).toMatch(message);
  });
});

describe("what a callback sees of a stale value", () => {
  test("is a copy of its own", async () => {
    await stale({ list: [1] });
    const own = new Error("own");
    const load = (fill: Fill) => {
      expect(fill.stale).toBe(fill.stale);
      (fill.stale?.value as { list: number[] }).list.push(2);
      return Promise.reject(own);
    };
    expect(await here.cache.getOrSet("key", load)).toEqual({ list: [1] });
  });

  test("is there also for who would not be served it, and not with forceFresh and strict", async () => {
    const seen: unknown[] = [];
    const load = (fill: Fill) => {
      seen.push(fill.stale?.value);
      return "new";
    };
    const nothing = { staleIfError: 0, swr: 0 } as const;
    for (const options of [nothing, { forceFresh: true }, { freshness: "strict" }] as const) {
      await stale("old");
      expect(await here.cache.lookup("key", load, options)).toMatchObject({ outcome: "miss" });
      await stage.gateway.idle();
    }
    expect(seen).toEqual(["old", undefined, undefined]);
  });

  test("is nothing on a cold key and without Redis", async () => {
    const seen: unknown[] = [];
    const load = (fill: Fill) => seen.push(fill.stale);
    await here.cache.getOrSet("cold", load);
    await stage.cache({ url: undefined, token: "alone" }).cache.getOrSet("key", load);
    expect(seen).toEqual([undefined, undefined]);
  });
});

test("a callback says how long its value lives, in place of the options", async () => {
  const { cache } = here;
  const load = (fill: Fill) => {
    fill.ttl("10s");
    fill.swr("5s");
    fill.staleIfError(7_000);
    return "value";
  };
  await cache.getOrSet("key", load, { ttl: "1h", swr: "1h" });
  await stage.filled(cache, 1);
  expect(await stage.redis.command("HGET", "leeward:k::key", "h:")).toContain(" 10000 5000 7000 j ");
  for (const [name, bad] of [
    ["swr", "31d"],
    ["staleIfError", "soon"],
  ] as const) {
    const load = (fill: Fill) => {
      fill[name](bad as "1d");
      return 1;
    };
    const error = await rejection(cache.getOrSet("other", load));
    expect((error as TypeError).message).toMatch(`option "${name}" must be a duration from 0 ms to 30 days`);
  }
});
