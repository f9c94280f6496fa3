/** Observers decide over nothing, and see nothing secret. */
import { createCache } from "leeward";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { ofType, rejection, type Stage, startStage, until } from "./stage.ts";

let stage: Stage;
beforeEach(async () => {
  stage = await startStage();
});

describe("an observer that fails", () => {
  const failing = {
    "throws an error": () => {
      throw new Error("observer");
    },
    "throws nothing": () => {
      throw undefined as unknown;
    },
    "is async and rejects": () => Promise.reject(new Error("observer")),
    "gives a promise that never settles": () => new Promise(() => {}),
  };

  test.for(Object.entries(failing))("and %s is swallowed", async ([, fail]) => {
    const unhandled = vi.fn();
    process.on("unhandledRejection", unhandled);
    try {
      const onEvent = vi.fn(fail);
      const { cache } = stage.cache({ onEvent });
      expect(await cache.getOrSet("key", () => 1)).toBe(1);
      await stage.filled(cache, 1);
      expect(await cache.getOrSet("key", () => 2)).toBe(1);
      expect(await cache.invalidate({ keys: ["key"] })).toEqual({ state: "applied" });
      expect(await cache.set("key", 3)).toEqual({ state: "applied", stored: true });
      expect(onEvent.mock.calls.length).toBeGreaterThanOrEqual(6);
      expect(cache.connection.attempts).toBe(1);

      const { cache: disabled } = stage.cache({ url: "nonsense", onEvent });
      expect(await disabled.getOrSet("key", () => 4)).toBe(4);
      expect(await rejection(disabled.delete("key"))).toMatchObject({ code: "unconfigured" });
      // A rejection counts as unhandled when a turn has gone by.
      await new Promise((resolve) => setImmediate(resolve));
      expect(unhandled).not.toHaveBeenCalled();
    } finally {
      process.off("unhandledRejection", unhandled);
    }
  });

  test("and calls the cache itself gets its answer", async () => {
    const inner: Promise<unknown>[] = [];
    const cache = createCache({
      ...stage.settings,
      onEvent: ({ type }) => {
        if (type === "read" && inner.length < 3) inner.push(cache.getOrSet("inner", () => "inner"));
      },
    });
    expect(await cache.getOrSet("outer", () => "outer")).toBe("outer");
    await until(() => inner.length === 3);
    expect(await Promise.all(inner)).toEqual(["inner", "inner", "inner"]);
  });
});

test("a host whose waitUntil throws gets its answers, and the connection is kept", async () => {
  const { cache } = stage.cache();
  const ctx = {
    waitUntil() {
      throw new TypeError("illegal invocation");
    },
  };
  for (let i = 1; i <= 3; i += 1)
    expect(await cache.for(undefined, ctx).getOrSet(`key-${i}`, () => i)).toBe(i);
  expect(cache.connection).toMatchObject({ state: "ready", attempts: 1 });
});

describe("what events say", () => {
  test("tells the story of a key, in order, under a hash that stays the same", async () => {
    const { cache, events } = stage.cache();
    const before = Date.now();
    await cache.getOrSet("user:7", () => 1);
    await stage.filled(cache, 1);
    await cache.getOrSet("user:7", () => 2);
    await cache.invalidate({ keys: ["user:7"] });
    expect(events.map(({ type }) => type)).toEqual([
      ...["attempt", "connection", "read", "fill", "read", "invalidation"],
    ]);
    const reads = ofType(events, "read");
    expect(reads).toMatchObject([{ outcome: "miss" }, { outcome: "hit" }]);
    const [{ key } = { key: "" }] = reads;
    expect(key).toMatch(/^[0-9a-f]{12}$/);
    expect(ofType(events, "fill")).toMatchObject([{ key, stored: true, reason: null }]);
    expect(ofType(events, "invalidation")).toMatchObject([{ keys: [key], state: "applied", replay: false }]);
    for (const event of events) {
      expect(event.at).toBeGreaterThanOrEqual(before);
      expect(event.at).toBeLessThanOrEqual(Date.now());
      expect(event.request).toBeGreaterThan(0);
    }
  });

  test("names keys in full with debug", async () => {
    const { cache, events } = stage.cache({ debug: true });
    await cache.getOrSet("user:7", () => ({ born: new Date() }) as unknown as string);
    await cache.invalidate({ keys: ["user:7", "user:8"] });
    expect(ofType(events, "read")).toMatchObject([{ key: "user:7" }]);
    expect(ofType(events, "unstorable")).toMatchObject([{ key: "user:7", path: "$.born" }]);
    expect(ofType(events, "invalidation")).toMatchObject([{ keys: ["user:7", "user:8"] }]);
  });

  test("never holds a token, an address, a key or a value, whatever goes wrong", async () => {
    const { cache, events } = stage.cache({ timeout: { read: "300ms", write: "300ms" } });
    const SECRET = "s3cr3t-value";
    const KEY = "k3y-of-the-visitor";
    const errors: unknown[] = [];
    const visit = async () => {
      await cache.getOrSet(KEY, () => SECRET);
      await cache.set(KEY, SECRET).catch((error: unknown) => errors.push(error));
      await cache.invalidate({ keys: [KEY] }).catch((error: unknown) => errors.push(error));
    };
    await visit();
    const faults = [
      ["status", { code: 401 }],
      ["status", { code: 500, body: `${SECRET} ${stage.gateway.token}` }],
      ["html", { body: `<p>${SECRET}</p>` }],
      ["redisError", { error: `ERR ${SECRET} ${KEY}` }],
      ["truncated", {}],
      ["wrongTypes", {}],
      ["loseReply", {}],
      ["hang", {}],
      ["refuse", {}],
    ] as const;
    for (const [fault, options] of faults) {
      await stage.gateway.fault("healthy");
      await until(async () => (await cache.lookup("probe")).outcome !== "bypass");
      await stage.gateway.fault(fault, options);
      await visit();
    }
    expect(ofType(events, "failure").length).toBeGreaterThanOrEqual(faults.length);
    expect(errors.length).toBeGreaterThan(0);
    const told =
      JSON.stringify(events) + errors.map((error) => `${error} ${(error as Error).stack}`).join(" ");
    for (const secret of [SECRET, KEY, stage.gateway.token, stage.gateway.url, String(stage.gateway.port)]) {
      expect(told).not.toContain(secret);
    }
  });
});
