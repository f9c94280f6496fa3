/** How long what is stored lives, where that is not as it was asked for; and whether it is there. */
import { beforeEach, describe, expect, test, vi } from "vitest";
import { cost, type Stage, startStage } from "./stage.ts";

let stage: Stage;
beforeEach(async () => {
  stage = await startStage();
});

/** Time to live, swr and staleIfError of what is stored. */
async function life(key: string): Promise<number[]> {
  const header = (await stage.redis.command("HGET", `leeward:k::${key}`, "h:")) as string | null;
  return header === null ? [] : header.split(" ").slice(4, 7).map(Number);
}

describe("jitter", () => {
  test("shortens what reads, callbacks and sets ask for, each by a part of its own", async () => {
    const { cache } = stage.cache({ ttl: 100_000, swr: 7, jitter: 0.5 });
    const lives: number[] = [];
    for (let i = 0; i < 8; i++) {
      await cache.getOrSet(`read ${i}`, ({ ttl }) => void (i % 2 === 0 && ttl(100_000)));
      await cache.set(`set ${i}`, "value");
      await stage.filled(cache, 2 * i + 2);
      for (const kind of ["read", "set"]) {
        const [ttl, swr] = (await life(`${kind} ${i}`)) as [number, number];
        lives.push(ttl);
        expect(swr).toBe(7);
      }
    }
    expect(Math.max(...lives)).toBeLessThanOrEqual(100_000);
    expect(Math.min(...lives)).toBeGreaterThanOrEqual(50_000);
    // Sixteen draws from fifty thousand: two alike are one schedule in four hundred, and four are none.
    expect(new Set(lives).size).toBeGreaterThan(12);
    await cache.set("own", "value", { jitter: 0 });
    expect(await life("own")).toEqual([100_000, 7, 0]);
  });
});

describe("negativeTtl", () => {
  test.for([
    ["undefined", undefined],
    ["null", null],
  ] as const)("gives %s a life of its own, and none after it", async ([, none]) => {
    const { cache } = stage.cache({ ttl: "1h", swr: "1h", staleIfError: "1h", negativeTtl: "10s" });
    expect(await cache.getOrSet("none", () => none)).toBe(none);
    await stage.filled(cache, 1);
    expect(await life("none")).toEqual([10_000, 0, 0]);
    expect(await cache.lookup("none", () => "never")).toMatchObject({ value: none, outcome: "hit" });
    for (const value of [0, "", false, []]) {
      await cache.getOrSet(`value ${JSON.stringify(value)}`, () => value);
    }
    await stage.filled(cache, 5);
    expect(await life('value ""')).toEqual([3_600_000, 3_600_000, 3_600_000]);
    expect(await life("value 0")).toEqual([3_600_000, 3_600_000, 3_600_000]);
  });

  test("is what this call says; the callback's own word beats it", async () => {
    const { cache } = stage.cache({ ttl: "1h", swr: "1h", negativeTtl: "10s" });
    await cache.getOrSet("call", () => null, { negativeTtl: "20s", swr: "3s" });
    await cache.getOrSet("callback", ({ ttl }) => {
      ttl("5s");
      return null;
    });
    await stage.filled(cache, 2);
    expect(await life("call")).toEqual([20_000, 3_000, 0]);
    expect(await life("callback")).toEqual([5_000, 0, 0]);
    await cache.set("set", null);
    expect(await life("set")).toEqual([3_600_000, 3_600_000, 0]);
  });

  test("of 0 is not stored: one command, and whoever finds one next stores it", async () => {
    const { cache } = stage.cache({ negativeTtl: 0 });
    await cache.get("connect");
    await stage.gateway.reset();
    const answers = await Promise.all([cache.lookup("key", () => null), cache.lookup("key", () => null)]);
    expect(answers).toMatchObject([
      { value: null, outcome: "miss", stored: false },
      { value: null, outcome: "miss", stored: false },
    ]);
    await stage.gateway.idle();
    expect(cost(stage.gateway)).toEqual([1, 1]);
    expect(await cache.lookup("key", () => "there is one")).toMatchObject({ outcome: "miss" });
    await stage.filled(cache, 1);
    expect(await cache.get("key")).toBe("there is one");
    expect(cache.stats()).toMatchObject({ unstorable: 0, bypasses: 0 });
  });

  test("without it, it is a value as any other", async () => {
    const { cache } = stage.cache({ ttl: "1h", swr: "1h" });
    await cache.getOrSet("none", () => undefined);
    await stage.filled(cache, 1);
    expect(await life("none")).toEqual([3_600_000, 3_600_000, 0]);
  });
});

describe("has", () => {
  test("tells whether get would find one, by one command", async () => {
    const { cache } = stage.cache({ swr: "1h" });
    await cache.set("key", undefined, { tags: ["tag"] });
    await stage.gateway.reset();
    expect(await cache.has("key", { tags: ["tag"] })).toBe(true);
    expect(cost(stage.gateway)).toEqual([1, 1]);
    expect(await cache.has("other")).toBe(false);
    expect(await cache.has("key", { tags: ["another"] })).toBe(false);
    await cache.expire({ keys: ["key"] });
    expect(await cache.has("key", { tags: ["tag"] })).toBe(false);
  });

  test("takes no lease, and makes nothing that would keep others from storing", async () => {
    const { cache } = stage.cache({ leaseWait: "10s" });
    expect(await cache.has("key")).toBe(false);
    const load = vi.fn(() => "value");
    expect(await cache.lookup("key", load)).toMatchObject({ value: "value", outcome: "miss" });
    expect(load).toHaveBeenCalledOnce();
    await stage.filled(cache, 1);
    expect(await cache.has("key")).toBe(true);
  });

  test("is false while Redis cannot be reached, and rejects for a bad key alone", async () => {
    const { cache } = stage.cache();
    await cache.set("key", 1);
    await stage.gateway.fault("refuse", {});
    expect(await cache.has("key")).toBe(false);
    await expect(cache.has(7 as unknown as string)).rejects.toThrow(TypeError);
  });
});
