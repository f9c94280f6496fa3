import { Redis, type RedisConfigNodejs } from "@upstash/redis";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Gateway } from "../../dev/gateway.mjs";
import { type Servers, startServers } from "./client.js";

let servers: Servers;
let gateway: Gateway;
let redis: Redis;
beforeAll(async () => {
  servers = await startServers();
  gateway = servers.gateway;
  redis = client();
});
afterAll(() => servers.stop());
beforeEach(async () => {
  await servers.redis.command("FLUSHALL");
  await gateway.reset();
});

function client(options: Partial<RedisConfigNodejs> = {}): Redis {
  return new Redis({
    url: gateway.url,
    token: gateway.token,
    enableTelemetry: false,
    enableAutoPipelining: false,
    retry: false,
    ...options,
  });
}

describe("the official SDK", () => {
  test("sets and gets, with ex, px, nx and get", async () => {
    expect(await redis.set("k", "v", { ex: 100 })).toBe("OK");
    expect(await redis.get("k")).toBe("v");
    expect(await redis.ttl("k")).toBe(100);
    expect(await redis.set("k", "w", { nx: true })).toBeNull();
    expect(await redis.set("k", "w", { px: 5000, get: true })).toBe("v");
    expect(await redis.pttl("k")).toBeGreaterThan(4000);
    expect(await redis.get("none")).toBeNull();
  });

  test("stores objects, numbers and strings that look like JSON", async () => {
    await redis.set("object", { a: [1, null, "x"] });
    expect(await redis.get("object")).toEqual({ a: [1, null, "x"] });
    await redis.set("number", 42);
    expect(await redis.get("number")).toBe(42);
    await redis.set("ok", "OK");
    expect(await redis.get("ok")).toBe("OK");
  });

  test("deletes, counts, expires", async () => {
    expect(await redis.mset({ a: 1, b: 2 })).toBe("OK");
    expect(await redis.mget("a", "b", "c")).toEqual([1, 2, null]);
    expect(await redis.exists("a", "b", "c")).toBe(2);
    expect(await redis.incr("a")).toBe(2);
    expect(await redis.incrby("a", 10)).toBe(12);
    expect(await redis.decr("a")).toBe(11);
    expect(await redis.expire("a", 60)).toBe(1);
    expect(await redis.ttl("a")).toBe(60);
    expect(await redis.del("a", "b", "c")).toBe(2);
    expect(await redis.type("a")).toBe("none");
    expect(await redis.ping()).toBe("PONG");
  });

  test("works with hashes, lists, sets and sorted sets", async () => {
    expect(await redis.hset("h", { f: "1", g: { x: true } })).toBe(2);
    expect(await redis.hget("h", "f")).toBe(1);
    expect(await redis.hgetall("h")).toEqual({ f: 1, g: { x: true } });
    expect(await redis.hmget("h", "f", "none")).toEqual({ f: 1, none: null });
    expect(await redis.hdel("h", "f")).toBe(1);
    expect(await redis.lpush("l", "a", "b")).toBe(2);
    expect(await redis.lrange("l", 0, -1)).toEqual(["b", "a"]);
    expect(await redis.sadd("s", "x")).toBe(1);
    expect(await redis.smembers("s")).toEqual(["x"]);
    expect(await redis.zadd("z", { score: 1.5, member: "m" }, { score: 1, member: "n" })).toBe(2);
    expect(await redis.zrange("z", 0, -1, { withScores: true })).toEqual(["n", 1, "m", 1.5]);
  });

  test("runs scripts by text and by hash", async () => {
    expect(await redis.eval("return {KEYS[1], ARGV[1], 3}", ["k"], ["v"])).toEqual(["k", "v", 3]);
    const sha = await redis.scriptLoad("return ARGV[1]");
    expect(await redis.scriptExists(sha)).toEqual([1]);
    expect(await redis.evalsha(sha, [], ["x"])).toBe("x");
    await gateway.fault("flushScripts");
    await expect(redis.evalsha(sha, [], ["x"])).rejects.toThrow("NOSCRIPT");
    const script = redis.createScript<string>("return 'from a script'");
    expect(await script.exec([], [])).toBe("from a script");
    expect(await script.exec([], [])).toBe("from a script");
    expect(gateway.counters().byCommand).toMatchObject({ EVAL: 2, EVALSHA: 4 });
  });

  test("pipelines in one request", async () => {
    const results = await redis.pipeline().set("k", "v").get("k").incr("n").hgetall("none").exec();
    expect(results).toEqual(["OK", "v", 1, null]);
    expect(gateway.counters()).toMatchObject({ httpRequests: 1, redisCommands: 4 });
  });

  test("shows which command of a pipeline failed", async () => {
    await redis.set("k", "v");
    await expect(redis.pipeline().get("k").incr("k").exec()).rejects.toThrow("ERR value is not an integer");
    const kept = await redis.pipeline().get("k").incr("k").exec({ keepErrors: true });
    expect(kept.map(({ error }) => error)).toEqual([
      undefined,
      "ERR value is not an integer or out of range",
    ]);
  });

  test("runs transactions", async () => {
    expect(await redis.multi().set("k", "v").get("k").incr("n").exec()).toEqual(["OK", "v", 1]);
    expect(gateway.requests.map(({ path }) => path)).toEqual(["/multi-exec"]);
  });

  test("gathers the commands of one tick into a pipeline for reads and one for writes", async () => {
    const auto = client({ enableAutoPipelining: true });
    await redis.mset({ a: 1, b: 2 });
    await gateway.reset();
    const results = await Promise.all([auto.set("c", 3), auto.get("a"), auto.incr("n"), auto.get("b")]);
    expect(results).toEqual(["OK", 1, 1, 2]);
    expect(
      gateway.requests.map(({ path, commands }) => [path, commands.map(([name]) => name)]).toSorted(),
    ).toEqual([
      ["/pipeline", ["get", "get"]],
      ["/pipeline", ["set", "incr"]],
    ]);
  });

  test("scans to the end", async () => {
    for (let start = 0; start < 300; start += 100) {
      const pipeline = redis.pipeline();
      for (let i = start; i < start + 100; i += 1) pipeline.set(`key:${i}`, i);
      await pipeline.exec();
    }
    const found = new Set<string>();
    let cursor = "0";
    do {
      const [next, keys] = await redis.scan(cursor, { match: "key:*", count: 50 });
      for (const key of keys) found.add(key);
      cursor = next;
    } while (cursor !== "0");
    expect(found.size).toBe(300);
  });

  test("keeps unicode, quotes, control characters and a megabyte", async () => {
    for (const value of [
      "€ 🦀 ‏שלום",
      'a "quoted" \\ back\\slash',
      "line\r\nline\0nul\u2028",
      "x".repeat(1024 * 1024),
    ]) {
      await redis.set("k", value);
      expect(await redis.get("k")).toBe(value);
      expect(await client({ responseEncoding: false }).get("k")).toBe(value);
    }
  });

  test("reads binary values as the bytes that were written", async () => {
    await servers.redis.command("SET", "k", new Uint8Array([0xe2, 0x82, 0xac, 0x00]));
    expect(await redis.get("k")).toBe("€\0");
    expect(await redis.strlen("k")).toBe(4);
  });

  test("keeps big integers that are written as text", async () => {
    await redis.set("n", "9223372036854775807");
    expect(await redis.get("n")).toBe("9223372036854775807");
    expect(await client({ automaticDeserialization: false }).get("n")).toBe("9223372036854775807");
    expect(await servers.redis.command("GET", "n")).toBe("9223372036854775807");
    await redis.set("n", "9007199254740990");
    expect(await redis.incr("n")).toBe(9007199254740991);
  });

  test("throws what Redis says, with the command", async () => {
    await redis.lpush("list", 1);
    await expect(redis.get("list")).rejects.toThrow(
      'WRONGTYPE Operation against a key holding the wrong kind of value, command was: ["get","list"]',
    );
    await expect(
      redis
        .multi()
        .set("k", "v")
        .exec()
        .then(() => client({ token: gateway.readOnlyToken }).set("k", "w")),
    ).rejects.toThrow("NOPERM this user has no permissions to run the 'set' command");
    await expect(client({ token: "wrong" }).get("k")).rejects.toThrow("WRONGPASS");
  });

  test("sends back the newest sync token", async () => {
    const fresh = client();
    await fresh.set("k", 1);
    await fresh.get("k");
    await fresh.get("k");
    const tokens = gateway.requests.map(({ syncToken }) => syncToken);
    expect(tokens[0]).toBe("");
    expect(tokens[1]).toMatch(/^[0-9a-f]{16}$/);
    expect(tokens[2]).toBe(tokens[1]);
  });

  test("tries again after a reset, and gets through", async () => {
    await gateway.fault("resetBeforeHeaders", { times: 2 });
    const patient = client({ retry: { retries: 2, backoff: () => 0 } });
    expect(await patient.set("k", "v")).toBe("OK");
    expect(gateway.counters()).toMatchObject({ httpRequests: 3, faults: 2, redisCommands: 1 });
  });

  test("reports HTML, an empty body and a status that is not JSON as errors", async () => {
    for (const [name, options] of [
      ["html", {}],
      ["empty", {}],
      ["truncated", {}],
      ["status", { code: 502, body: "Bad Gateway" }],
    ] as const) {
      await gateway.fault(name, options);
      await expect(redis.get("k")).rejects.toThrow("Unable to parse response body");
    }
  });
});
