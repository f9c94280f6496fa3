/** Raw commands: in whose company they travel, what they give, and what is known when they fail. */
import { createCache, isLeewardError, type RedisError } from "leeward";
import { describe, expect, test } from "vitest";
import { cost, rejection, startStage } from "./stage.ts";

test("commands of a turn travel together, with the cache's own, in the order in which they were begun", async () => {
  const { cache, gateway } = await withCache();
  const all = await Promise.all([
    cache.redis<number>("INCR", "visits"),
    cache.get("key"),
    cache.redis<number>("INCRBY", "visits", 5),
    cache.redis<string>("GET", "visits"),
    cache.invalidate({ keys: ["key"] }),
  ]);
  expect(all).toEqual([1, undefined, 6, "6", { state: "applied" }]);
  expect(cost(gateway)).toEqual([1, 5]);
  expect(cache.stats()).toMatchObject({ requests: 1, commands: 5 });
});

test.each([
  [["HSET", "h", "a", 1, "b", 2], 2],
  [["ECHO", 'quotes " and \n lines, ünï©ode 😀'], 'quotes " and \n lines, ünï©ode 😀'],
  [["GET", "nothing"], null],
  [["LRANGE", "nothing", 0, -1], []],
  [
    ["EVAL", "return {1, {2, {3, {4, {5, {6, 'six'}}}}}}", 0],
    [1, [2, [3, [4, [5, [6, "six"]]]]]],
  ],
  [["ECHO", 0.5], "0.5"],
  [["PING"], "PONG"],
] as [
  [string, ...(string | number)[]],
  unknown,
][])("the reply comes as JSON says it: %j", async (command, reply) => {
  const { cache } = await withCache();
  expect(await cache.redis(...command)).toEqual(reply);
});

describe("one that fails", () => {
  test("fails alone, with the word of Redis' message and not the message", async () => {
    const { cache, gateway } = await withCache();
    await cache.redis("SET", "text", "secret-value");
    await gateway.reset();
    const [failed, value] = await Promise.all([
      rejection(cache.redis("LPUSH", "text", "x")),
      cache.getOrSet("key", () => 1),
    ]);
    expect(value).toBe(1);
    expect(failed).toMatchObject({
      name: "RedisError",
      code: "redis-error",
      kind: "server",
      word: "WRONGTYPE",
    });
    expect(failed).toMatchObject({ retryable: false, message: "redis answered: WRONGTYPE" });
    expect(isLeewardError(failed)).toBe(true);
    expect(cache.connection).toMatchObject({ state: "ready", failures: 0 });
  });

  test("by a script's own words, whatever they are, takes nobody along", async () => {
    const { cache } = await withCache();
    for (const word of ["LOADING", "NOAUTH", "OOM"]) {
      const script = `return redis.error_reply('${word} says the user')`;
      const [failed, found] = await Promise.all([
        rejection(cache.redis("EVAL", script, 0)),
        cache.lookup("key"),
      ]);
      expect(failed).toMatchObject({ code: "redis-error", word });
      expect(found.outcome).toBe("miss");
    }
    expect(cache.connection).toMatchObject({ state: "ready", failures: 0 });
  });

  test("says what Redis said with debug alone", async () => {
    const stage = await startStage();
    const { cache } = stage.cache({ debug: true });
    const failed = (await rejection(cache.redis("GET"))) as RedisError;
    expect(failed.message).toMatch(/^redis answered: ERR wrong number of arguments for 'get' command/);
  });

  test("by a lost reply may have been executed, is not sent again, and says so", async () => {
    const { cache, gateway, redis } = await withCache();
    await cache.get("connect");
    await gateway.fault("loseReply", { times: 1 });
    const failed = await rejection(cache.redis("INCR", "visits"));
    expect(failed).toMatchObject({ code: "unknown-outcome", kind: "transport", retryable: false });
    await cache.redis("PING");
    expect(await redis.command("GET", "visits")).toBe("1");
  });

  test("while the connection is down has not been executed, and says so at once", async () => {
    const { cache, gateway } = await withCache();
    await gateway.fault("status", { code: 503 });
    await cache.get("key");
    expect(cache.connection.state).toBe("down");
    await gateway.reset();
    const failed = await rejection(cache.redis("INCR", "visits"));
    expect(failed).toMatchObject({ code: "not-executed", kind: "server", retryable: true });
    expect(cost(gateway)).toEqual([0, 0]);
  });

  test("for want of a usable Redis is told apart", async () => {
    const cache = createCache({ url: "", token: "", onEvent: () => {} });
    expect(await rejection(cache.redis("PING"))).toMatchObject({
      code: "unconfigured",
      kind: "config",
      retryable: false,
    });
  });

  test("with refused credentials was not let in", async () => {
    const stage = await startStage();
    const { cache } = stage.cache({ token: "wrong" });
    const failed = await rejection(cache.redis("PING"));
    expect(failed).toMatchObject({ code: "not-executed", kind: "auth", retryable: false });
  });
});

test.each([
  [[], /must begin with its name, got undefined/],
  [[""], /must begin with its name, got an empty text/],
  [[5], /must begin with its name, got 5/],
  [["SET", "k", new Uint8Array(1)], /an argument of SET must be a text or a finite number, got/],
  [["SET", "k", Number.NaN], /must be a text or a finite number, got NaN/],
  [["SET", "k", undefined], /got undefined/],
  [["SET", "k", "\ud800"], /lone surrogate/],
  [["multi"], /^MULTI cannot be sent/],
  [["SUBSCRIBE", "news"], /^SUBSCRIBE cannot be sent/],
  [["BLPOP", "list", 0], /^BLPOP cannot be sent/],
  [["XREAD", "BLOCK", 0, "STREAMS", "s", "$"], /^XREAD with BLOCK cannot be sent/],
])("a command that cannot be sent is a TypeError before any work (%#)", async (command, message) => {
  const { cache, gateway } = await withCache();
  const error = await rejection(cache.redis(...(command as [string])));
  expect(error).toBeInstanceOf(TypeError);
  expect((error as Error).message).toMatch(message);
  expect(cost(gateway)).toEqual([0, 0]);
});

test("one that is too large is not executed, and the next one is", async () => {
  const { cache } = await withCache();
  const failed = await rejection(cache.redis("SET", "k", "x".repeat(5 << 20)));
  expect(failed).toMatchObject({ code: "not-executed", kind: "too-large", retryable: false });
  expect(await cache.redis("PING")).toBe("PONG");
});

async function withCache() {
  const stage = await startStage();
  const { gateway, redis } = stage;
  return { gateway, redis, ...stage.cache() };
}
