/** Bad options of a cache: one warning and callbacks that run. */
import { type CacheOptions, createCache } from "leeward";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { ofType, rejection, type Stage, startStage } from "./stage.ts";

let stage: Stage;
beforeEach(async () => {
  stage = await startStage();
});

const TTL = /option "ttl" must be a duration from 1 ms to 30 days, .*got /;

describe("a bad option of a cache", () => {
  const BAD: [unknown, RegExp][] = [
    [{ ttl: "soon" }, TTL],
    [{ ttl: 0 }, TTL],
    [{ prefix: "" }, /option "prefix" must be a text of 1 to 64 characters/],
    [{ prefix: "a b" }, /option "prefix"/],
    [{ prefix: "x".repeat(65) }, /option "prefix"/],
    [{ version: 7 }, /option "version"/],
    [{ swr: "31d" }, /option "swr" must be a duration from 0 ms to 30 days/],
    [{ staleIfError: "1y" }, /option "staleIfError" must be a duration from 0 ms to 30 days/],
    [{ leaseWait: "1m" }, /option "leaseWait" must be a duration from 0 ms to 30 s/],
    [{ negativeTtl: "1y" }, /option "negativeTtl" must be a duration from 0 ms to 30 days/],
    [{ jitter: 0.6 }, /option "jitter" must be a number from 0 to 0\.5, got 0\.6/],
    [
      { earlyRefresh: Number.POSITIVE_INFINITY },
      /option "earlyRefresh" must be a number from 0 to 10, got Inf/,
    ],
    [{ tags: ["a"] }, /unknown option "tags"/],
    [{ timeout: 100 }, /option "timeout" must be an object with read, write, flight/],
    [{ timeout: { read: "31s" } }, /option "timeout\.read" must be a duration from 1 ms to 30 s/],
    [{ timeout: { flight: "6m" } }, /option "timeout\.flight" must be a duration from 1 ms to 5 min/],
    [{ timeout: { hard: 1 } }, /unknown option "timeout\.hard"/],
    [{ debug: "yes" }, /option "debug" must be true or false/],
    [{ timeToLive: 5 }, /unknown option "timeToLive": known are prefix, version, ttl/],
    [{ url: "ftp://host" }, /must begin with https:\/\/ or http:\/\//],
    [{ url: "https://user:secret@host" }, /must not hold a user or password/],
    [{ token: "sec ret" }, /token must be 1 to 4096 visible ASCII characters/],
    [{ token: "" }, /has no token beside it/],
    [{ url: 7 }, /option "url" must be a text/],
    [{ token: { secret: 1 } }, /option "token" must be a text/],
  ];

  test.for(BAD)("%j is one warning, and callbacks run", async ([bad, message]) => {
    const { cache, events } = stage.cache(bad as CacheOptions);
    expect(events).toEqual([]);
    expect(await cache.getOrSet("key", () => 1)).toBe(1);
    expect(await cache.lookup("key", () => 2)).toMatchObject({
      value: 2,
      outcome: "bypass",
      reason: "disabled",
    });
    expect(await rejection(cache.invalidate({ keys: ["key"] }))).toMatchObject({ code: "unconfigured" });
    expect(await rejection(cache.for().set("key", 1))).toMatchObject({ code: "unconfigured" });
    expect(ofType(events, "warning")).toMatchObject([
      { code: "disabled", message: expect.stringMatching(message) },
    ]);
    expect(cache.connection).toMatchObject({ state: "disabled", attempts: 0, lastError: "config" });
    expect(stage.gateway.counters().httpRequests).toBe(0);
    expect(JSON.stringify(events)).not.toMatch(new RegExp(`secret|sec ret|${stage.gateway.token}`));
  });

  test("what is no options at all is one warning, too, whatever it is", async () => {
    const warn = vi.spyOn(console, "warn").mockReturnValue();
    try {
      for (const options of [null, 7, "shop", true, Symbol("x"), () => {}]) {
        const cache = createCache(options as unknown as CacheOptions);
        expect(await cache.getOrSet("key", () => 1)).toBe(1);
        expect(await cache.getOrSet("key", () => 2)).toBe(2);
      }
      expect(warn).toHaveBeenCalledOnce();
      expect(warn.mock.calls[0]?.join(" ")).toContain("options must be an object");
    } finally {
      warn.mockRestore();
    }
  });

  test("options that throw when they are looked at cost a warning and no answer", async () => {
    const warn = vi.spyOn(console, "warn").mockReturnValue();
    try {
      const hostile = new Proxy({} as CacheOptions, {
        get() {
          throw new Error("hostile");
        },
        ownKeys() {
          throw new Error("hostile");
        },
      });
      const { cache: bystander } = stage.cache();
      await bystander.set("key", "kept");
      const cache = createCache(hostile);
      expect(await cache.getOrSet("key", () => 1)).toBe(1);
      expect(await cache.getOrSet("key", () => 2)).toBe(2);
      expect(await rejection(cache.invalidate({ keys: ["key"] }))).toMatchObject({ code: "unconfigured" });
      expect(warn).toHaveBeenCalledOnce();
      expect(await bystander.get("key")).toBe("kept");
      expect(bystander.connection.attempts).toBe(1);
    } finally {
      warn.mockRestore();
    }
  });
});
