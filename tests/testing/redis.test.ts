/** The Redis in memory by itself: how requests reach it, its clock, its counters, and what it refuses. */
import { createTestRedis, type FaultName, type Faults, type TestRedis } from "leeward/testing";
import { describe, expect, expectTypeOf, onTestFinished, test, vi } from "vitest";
import { FAULTS } from "../../dev/fault.mjs";
import type { FaultName as GatewaysName } from "../../dev/gateway.mjs";

async function answer(redis: TestRedis, by: typeof fetch, ...body: string[]): Promise<string> {
  const headers = { authorization: `Bearer ${redis.token}` };
  const response = await by(redis.url, { method: "POST", headers, body: JSON.stringify(body) });
  return `${response.status} ${await response.text()}`;
}

const ping = (redis: TestRedis, by: typeof fetch = redis.fetch) => answer(redis, by, "PING");
const PONG = '200 {"result":"PONG"}';

/** The global `fetch` is this for the rest of the test; it gives what it was asked for. */
function standIn(): typeof fetch {
  const own: typeof fetch = async (input) =>
    new Response(`elsewhere: ${input instanceof Request ? input.url : input}`);
  vi.stubGlobal("fetch", own);
  onTestFinished(() => void vi.unstubAllGlobals());
  return own;
}

describe("installed", () => {
  test("it takes the requests for its own address, and no others", async () => {
    standIn();
    const redis = createTestRedis();
    const uninstall = redis.install();
    expect(await ping(redis, fetch)).toBe(PONG);
    for (const url of [
      "https://example.com/x",
      new URL("https://example.com/x"),
      new Request("https://example.com/x"),
    ]) {
      expect(await (await fetch(url)).text()).toBe("elsewhere: https://example.com/x");
    }
    uninstall();
    expect(await ping(redis, fetch)).toBe(`200 elsewhere: ${redis.url}`);
  });

  test("several do not disturb each other, in whatever order they go", async () => {
    const before = standIn();
    const all = Array.from({ length: 3 }, () => createTestRedis());
    const [first, second, third] = all.map((redis) => redis.install());
    for (const [index, redis] of all.entries()) {
      await answer(redis, fetch, "SET", "which", String(index));
      redis.fault(index === 1 ? "refuse" : "healthy");
    }
    expect(all.map((redis) => redis.command("GET", "which"))).toEqual(["0", "1", "2"]);
    await expect(ping(all[1] as TestRedis, fetch)).rejects.toThrow(TypeError);
    second?.();
    expect(await ping(all[0] as TestRedis, fetch)).toBe(PONG);
    first?.();
    expect(await ping(all[2] as TestRedis, fetch)).toBe(PONG);
    third?.();
    third?.();
    expect(fetch).toBe(before);
  });

  test("it goes from under what somebody else has put over it", async () => {
    const before = standIn();
    const redis = createTestRedis();
    const uninstall = redis.install();
    const under = fetch;
    const theirs: typeof fetch = (input, init) => under(input, init);
    globalThis.fetch = theirs;
    uninstall();
    expect(fetch).toBe(theirs);
    expect(await ping(redis, fetch)).toContain("elsewhere");
    globalThis.fetch = under;
    const other = createTestRedis();
    other.install()();
    expect(fetch).toBe(before);
  });
});

describe("its own fetch", () => {
  test("answers a Request, and asks the fetch of its making for what is not its own", async () => {
    standIn();
    const redis = createTestRedis();
    vi.unstubAllGlobals();
    const headers = { authorization: `Bearer ${redis.token}` };
    const request = new Request(`${redis.url}/pipeline`, { method: "POST", headers, body: '[["PING"]]' });
    expect(await (await redis.fetch(request)).text()).toBe('[{"result":"PONG"}]');
    expect(await (await redis.fetch("https://example.com/")).text()).toBe("elsewhere: https://example.com/");
  });

  test("rejects with the reason of a signal, at once or later", async () => {
    const redis = createTestRedis();
    const reason = new Error("gone");
    const init = (signal: AbortSignal) => ({ method: "POST", body: '["PING"]', signal });
    await expect(redis.fetch(redis.url, init(AbortSignal.abort(reason)))).rejects.toBe(reason);
    expect(redis.counters.requests).toBe(0);
    redis.fault("hang");
    const client = new AbortController();
    const hanging = redis.fetch(redis.url, init(client.signal));
    await vi.waitFor(() => expect(redis.counters.open).toBe(1));
    client.abort(reason);
    await expect(hanging).rejects.toBe(reason);
    expect(redis.counters.open).toBe(0);
  });

  test("a body that nobody reads to its end keeps nothing open", async () => {
    const redis = createTestRedis();
    redis.fault("oversize", { megabytes: 2 });
    const response = await redis.fetch(redis.url, { method: "POST", body: '["PING"]' });
    expect(response.headers.get("content-length")).toBe(String(2 * 1024 * 1024));
    await response.body?.cancel();
    await redis.idle();
    expect(redis.counters).toMatchObject({ requests: 1, open: 0 });
  });
});

describe("its clock", () => {
  test("stands still where it was set, and moves when it is told to", () => {
    const redis = createTestRedis({ now: 1000 });
    redis.command("SET", "k", "v");
    redis.command("PEXPIRE", "k", 5000);
    redis.advance("5s");
    expect(redis.now).toBe(6000);
    expect(redis.command("PTTL", "k")).toBe(0);
    redis.advance(1);
    expect(redis.command("GET", "k")).toBeNull();
    redis.now = 0;
    expect(redis.command("TIME")).toEqual(["0", "0"]);
  });

  test("runs by Date.now, which a runner's fake time moves", () => {
    vi.useFakeTimers({ now: 5000 });
    onTestFinished(() => void vi.useRealTimers());
    const redis = createTestRedis();
    vi.setSystemTime(7000);
    redis.advance("1m");
    expect(redis.now).toBe(67_000);
    redis.reset();
    expect(redis.now).toBe(7000);
  });

  test("ends what waits for it: a slow answer, a late execution", async () => {
    const redis = createTestRedis({ now: 0 });
    redis.fault("slow", { delayMs: 60_000, times: 1 });
    const slow = ping(redis);
    await vi.waitFor(() => expect(redis.requests).toHaveLength(1));
    redis.fault("late", { delayMs: 1000 });
    const late = answer(redis, redis.fetch, "SET", "k", "v");
    await vi.waitFor(() => expect(redis.requests).toHaveLength(2));
    redis.advance(999);
    expect(redis.command("GET", "k")).toBeNull();
    redis.advance(1);
    await redis.settled();
    expect(redis.command("GET", "k")).toBe("v");
    redis.advance("1m");
    expect(await slow).toBe(PONG);
    redis.reset();
    await expect(late).rejects.toThrow(TypeError);
  });

  test("takes durations as Leeward does, and names what it takes", () => {
    const redis = createTestRedis({ now: 0 });
    for (const duration of [1, "1ms", "1s", "1m", "1h", "1d"] as const) redis.advance(duration);
    expect(redis.now).toBe(2 + 1000 + 60_000 + 3_600_000 + 86_400_000);
    for (const wrong of [-1, Number.NaN, "5", "5 m", "-5m", "5y", undefined, null]) {
      expect(() => redis.advance(wrong as number)).toThrow(/expected a duration.*"5m".*got/);
    }
    expect(() => createTestRedis({ now: "1" as unknown as number })).toThrow(
      "bad now: expected Unix milliseconds",
    );
    expect(() => createTestRedis({ time: 1 } as object)).toThrow(
      'unknown option "time" of createTestRedis, expected now',
    );
  });
});

describe("its switches", () => {
  test("refuse what they say, and nothing to the test itself", async () => {
    const redis = createTestRedis();
    const set = () => answer(redis, redis.fetch, "SET", "k", "v");
    redis.outOfMemory = true;
    expect(await set()).toContain("OOM command not allowed");
    redis.command("SET", "k", "mine");
    redis.outOfMemory = false;
    redis.readOnly = true;
    expect(await set()).toContain("NOPERM this user has no permissions to run the 'set' command");
    expect(await answer(redis, redis.fetch, "GET", "k")).toBe('200 {"result":"mine"}');
    redis.readOnly = false;
    redis.noScripts = true;
    expect(await set()).toBe('200 {"result":"OK"}');
    expect(await answer(redis, redis.fetch, "SCRIPT", "FLUSH")).toContain("NOPERM");
    redis.reset();
    expect([redis.outOfMemory, redis.readOnly, redis.noScripts]).toEqual([false, false, false]);
  });
});

test("a reset makes it as new, and cuts what is open", async () => {
  const redis = createTestRedis();
  redis.command("SET", "k", "v");
  redis.fault("hang");
  const hanging = ping(redis);
  await vi.waitFor(() => expect(redis.counters.open).toBe(1));
  redis.reset();
  await expect(hanging).rejects.toMatchObject({ name: "TypeError", cause: { code: "ECONNRESET" } });
  expect(redis.command("DBSIZE")).toBe(0);
  expect(redis.counters).toMatchObject({ requests: 0, commands: 0, open: 0 });
  expect(redis.requests).toEqual([]);
  expect(await ping(redis)).toBe(PONG);
});

test("what is not an entry of Leeward's is no entry", () => {
  const redis = createTestRedis();
  redis.command("SET", "leeward:k::text", "v");
  redis.command("HSET", "leeward:k::hash", "h:", "2 g", "b:", "x");
  redis.command("HSET", "other", "h:", "2 g x", "b:", "x");
  redis.command("HSET", "leeward:k::foreign", "g", "g", "x", "x", "h:", "2 g x 1 2 3 4 j 5 7", "b:", "x");
  expect(redis.entries()).toEqual([]);
});

/** A compiler that finds one missing, or one too many, finds that the types and the gateway differ. */
const OPTIONS: { [Name in FaultName]: Record<keyof Faults[Name], true> } = {
  ...{ healthy: {}, refuse: {}, resetBeforeHeaders: {}, resetAfterHeaders: {}, resetMidBody: {}, hang: {} },
  ...{ hangAfterHeaders: {}, truncated: {}, empty: {}, loseReply: {}, flushScripts: {} },
  slow: { delayMs: true, chunkBytes: true, chunkMs: true },
  status: { code: true, body: true, headers: true },
  html: { body: true },
  wrongTypes: { shape: true },
  oversize: { megabytes: true, announced: true },
  redirect: { location: true, code: true },
  late: { delayMs: true },
  twice: { answer: true, hold: true, delayMs: true },
  redisError: { error: true },
};

test("its faults and their options are the gateway's, as the types have them", () => {
  expectTypeOf<FaultName>().toEqualTypeOf<GatewaysName>();
  const options = Object.entries(FAULTS).map(([name, fault]) => [name, [...fault.options].sort()]);
  const typed = Object.entries(OPTIONS).map(([name, known]) => [name, Object.keys(known).sort()]);
  expect(Object.fromEntries(typed)).toEqual(Object.fromEntries(options));
  const redis = createTestRedis();
  // @ts-expect-error: it needs a place to go to
  expect(() => redis.fault("redirect")).toThrow("fault redirect needs the option location");
  // @ts-expect-error: nothing can be counted
  expect(() => redis.fault("refuse", { times: 1 })).toThrow('unknown option "times" of fault refuse');
  // @ts-expect-error: it never ends by itself
  expect(() => redis.fault("hang", { delayMs: 1 })).toThrow('unknown option "delayMs" of fault hang');
});
