/** Tags that only the data tell: declared by the callback while it runs. */
import type { Cache, Fill } from "leeward";
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

const awaiting = (value: string) => async (fill: Fill) => {
  await fill.tags(["team:3"]);
  return value;
};
const declaring = (value: string) => (fill: Fill) => {
  fill.tags(["team:3"]);
  return value;
};

/** Connected, so that versions can be asked for, and with nothing counted. */
async function connected(cache: Cache) {
  await cache.get("connect");
  await stage.gateway.reset();
}

describe("awaited", () => {
  test("the value is stored at once, at the cost of one more request", async () => {
    const { cache } = here;
    await connected(cache);
    expect(await cache.lookup("key", awaiting("value"))).toMatchObject({ value: "value", outcome: "miss" });
    await stage.filled(cache, 1);
    expect(cost(stage.gateway)).toEqual([3, 3]);
    expect(await there.cache.get("key", { tags: ["team:3"] })).toBe("value");
    await there.cache.invalidate({ tags: ["team:3"] });
    expect(await cache.get("key")).toBeUndefined();
  });

  test("the value is stored in the place of one that is valid still, and carries a tag of its own", async () => {
    const { cache } = here;
    await there.cache.set("key", "old", { tags: ["team:2"] });
    await connected(cache);
    const forced = { forceFresh: true } as const;
    expect(await cache.getOrSet("key", awaiting("new"), forced)).toBe("new");
    await stage.filled(cache, 1);
    expect(await there.cache.get("key")).toBe("new");
  });

  test("are asked for by the script's text where the server forgets it, also after the read was answered so", async () => {
    const { cache, events } = here;
    await connected(cache);
    const forget = () => stage.gateway.fault("flushScripts", { times: 1 });
    await forget();
    const load = async (fill: Fill) => {
      await forget();
      return awaiting("value")(fill);
    };
    expect(await cache.getOrSet("key", load)).toBe("value");
    await until(() => ofType(events, "fill").length === 1);
    expect(ofType(events, "fill")).toMatchObject([{ stored: true }]);
  });

  test("costs nothing once this isolate has seen them on the key, or when the caller names them", async () => {
    const { cache } = here;
    await connected(cache);
    await cache.getOrSet("key", awaiting("one"));
    await stage.filled(cache, 1);
    await there.cache.delete("key");
    await stage.gateway.reset();
    expect(await cache.getOrSet("key", awaiting("two"))).toBe("two");
    await stage.filled(cache, 2);
    expect(cost(stage.gateway)).toEqual([2, 2]);
    await stage.gateway.reset();
    expect(await cache.getOrSet("other", awaiting("three"), { tags: ["team:3"] })).toBe("three");
    await stage.filled(cache, 3);
    expect(cost(stage.gateway)).toEqual([2, 2]);
  });

  test("an invalidation after that, and before the value is there, keeps it from being stored", async () => {
    const { cache, events } = here;
    await connected(cache);
    const value = await cache.getOrSet("key", async (fill) => {
      await fill.tags(["team:3"]);
      await there.cache.invalidate({ tags: ["team:3"] });
      return "read before";
    });
    expect(value).toBe("read before");
    await stage.filled(cache, 1);
    expect(ofType(events, "fill")).toMatchObject([{ stored: false, reason: "overtaken" }]);
    expect(await cache.get("key")).toBeUndefined();
  });

  test("several at a time, again and after the end, all go on", async () => {
    const { cache } = here;
    await connected(cache);
    let kept: Fill | undefined;
    const value = await cache.getOrSet("key", async (fill) => {
      kept = fill;
      const first = fill.tags(["a", "b"]);
      await Promise.all([first, fill.tags(["c"]), fill.tags([]), first]);
      await first;
      return "value";
    });
    expect(value).toBe("value");
    await stage.filled(cache, 1);
    expect(await kept?.tags(["d"])).toBeUndefined();
    for (const tag of ["a", "b", "c"]) expect(await there.cache.get("key", { tags: [tag] })).toBe("value");
    await there.cache.invalidate({ tags: ["b"] });
    expect(await cache.get("key")).toBeUndefined();
  });

  test.for([
    ["status", { code: 503 }],
    ["resetBeforeHeaders", {}],
    ["hang", {}],
    ["html", {}],
    ["redisError", { error: "ERR not now" }],
  ] as const)("while Redis fails with %s %j, it goes on, and the value is not stored", async ([
    fault,
    options,
  ]) => {
    const { cache } = stage.cache({ timeout: { read: "300ms", write: "300ms" } });
    // A machine so busy that the reads miss their deadline asks again.
    await until(async () => (await cache.lookup("connect")).outcome !== "bypass");
    const load = vi.fn(async (fill: Fill) => {
      await stage.gateway.fault(fault, options);
      await fill.tags(["team:3"]);
      return "value";
    });
    expect(await cache.lookup("key", load)).toMatchObject({ value: "value", stored: false });
    expect(load).toHaveBeenCalledOnce();
    await stage.gateway.fault("healthy");
    await until(async () => (await cache.lookup("connect")).outcome !== "bypass");
    expect(await cache.get("key")).toBeUndefined();
  });
});

describe("declared, not awaited", () => {
  test("the value is returned, not stored, told, and stored at the next miss", async () => {
    const { cache, events } = here;
    await connected(cache);
    expect(await cache.lookup("key", declaring("one"))).toMatchObject({ value: "one", stored: false });
    expect(cost(stage.gateway)).toEqual([1, 1]);
    expect(ofType(events, "fill")).toMatchObject([{ stored: false, reason: "late tags" }]);
    await stage.gateway.reset();
    expect(await cache.lookup("key", declaring("two"))).toMatchObject({ value: "two", outcome: "miss" });
    await stage.filled(cache, 2);
    expect(cost(stage.gateway)).toEqual([2, 2]);
    expect(await there.cache.get("key", { tags: ["team:3"] })).toBe("two");
    expect(await cache.lookup("key", declaring("three"))).toMatchObject({ value: "two", outcome: "hit" });
    await there.cache.invalidate({ tags: ["team:3"] });
    expect(await cache.get("key")).toBeUndefined();
  });

  test("an invalidation since the callback began is not overlooked", async () => {
    const { cache } = here;
    await connected(cache);
    await cache.getOrSet("key", declaring("learned"));
    const value = await cache.getOrSet("key", async (fill) => {
      await there.cache.invalidate({ tags: ["team:3"] });
      fill.tags(["team:3"]);
      return "read before";
    });
    expect(value).toBe("read before");
    await stage.filled(cache, 2);
    expect(await cache.get("key")).toBeUndefined();
  });
});

test("what is no list of tags is a TypeError at once, and so are more than 64 in all", async () => {
  const { cache } = here;
  for (const bad of [undefined, "a", [7], [""], ["x".repeat(513)], ["\ud800"]]) {
    const error = await rejection(cache.getOrSet("key", ({ tags }) => `${tags(bad as string[])}`));
    expect(error).toBeInstanceOf(TypeError);
    expect((error as TypeError).message).toMatch(/option "tags" must be a list of at most 64 texts/);
  }
  const many = (from: number) => Array.from({ length: 40 }, (_, i) => `t${from + i}`);
  const error = await rejection(
    cache.getOrSet("key", ({ tags }) => {
      tags(many(0));
      tags(many(40));
      return 1;
    }),
  );
  expect((error as TypeError).message).toMatch(/must be a list of at most 24 texts .*, got 40/);
});

test("without a usable Redis it goes on, awaited or not", async () => {
  const { cache } = stage.cache({ url: "nonsense", onEvent() {} });
  expect(await cache.getOrSet("key", awaiting("value"))).toBe("value");
  expect(await cache.getOrSet("key", declaring("value"))).toBe("value");
});
