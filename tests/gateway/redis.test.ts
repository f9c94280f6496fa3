import { afterEach, describe, expect, test } from "vitest";
import { RedisConnection } from "../../dev/connection.mjs";
import { findRedisServer, type Redis, startRedis } from "../../dev/redis.mjs";

const started: Redis[] = [];
async function start(options: Parameters<typeof startRedis>[0] = {}): Promise<Redis> {
  const redis = await startRedis(options);
  started.push(redis);
  return redis;
}
afterEach(async () => {
  await Promise.all(started.splice(0).map((redis) => redis.stop()));
});

describe("findRedisServer", () => {
  test("takes LEEWARD_REDIS_SERVER before everything else, as a path or as a name on the PATH", () => {
    expect(findRedisServer({ LEEWARD_REDIS_SERVER: "/bin/sh", PATH: "/usr/bin" })).toBe("/bin/sh");
    expect(findRedisServer({ LEEWARD_REDIS_SERVER: "sh", PATH: "/nowhere:/bin" })).toBe("/bin/sh");
  });

  test("takes no other server when the one of LEEWARD_REDIS_SERVER is missing, is a folder or cannot run", () => {
    for (const path of ["/nowhere/redis-server", "/bin", "/etc/passwd"]) {
      expect(findRedisServer({ LEEWARD_REDIS_SERVER: path, PATH: "/usr/bin" })).toBeUndefined();
    }
  });

  test("finds the server that startRedis runs", async () => {
    const redis = await start();
    expect(findRedisServer()).toBe(redis.server);
  });
});

describe("startRedis", () => {
  test("starts a Redis that answers, on a port of its own", async () => {
    const [one, two] = await Promise.all([start(), start()]);
    expect(one.port).not.toBe(two.port);
    await one.command("SET", "k", "one");
    expect(await one.command("GET", "k")).toBe("one");
    expect(await two.command("GET", "k")).toBeNull();
  });

  test("stores nothing on disk and listens on 127.0.0.1 only", async () => {
    const redis = await start();
    expect(await redis.command("CONFIG", "GET", "save")).toEqual(["save", ""]);
    expect(await redis.command("CONFIG", "GET", "appendonly")).toEqual(["appendonly", "no"]);
    expect(await redis.command("CONFIG", "GET", "bind")).toEqual(["bind", "127.0.0.1"]);
  });

  test("passes its arguments on", async () => {
    const redis = await start({ args: ["--maxmemory", "4mb"] });
    expect(await redis.command("CONFIG", "GET", "maxmemory")).toEqual(["maxmemory", "4194304"]);
  });

  test("starts again on the same port after stop and after kill, empty", async () => {
    const first = await start();
    await first.command("SET", "k", "v");
    await first.stop();
    const second = await start({ port: first.port });
    expect(await second.command("GET", "k")).toBeNull();
    await second.kill();
    const third = await start({ port: first.port });
    expect(await third.command("PING")).toBe("PONG");
    expect(third.port).toBe(first.port);
  });

  test("tells when the server has ended", async () => {
    const redis = await start();
    await redis.kill();
    expect(await redis.exited).toEqual({ code: null, signal: "SIGKILL" });
  });

  test("says so when the port is taken, and leaves the other server alone", async () => {
    const { port, command } = await start();
    await expect(startRedis({ port })).rejects.toThrow(`port ${port} on 127.0.0.1 is already in use`);
    expect(await command("PING")).toBe("PONG");
  });

  test("says so when the binary is missing", async () => {
    await expect(startRedis({ server: "/nowhere/redis-server" })).rejects.toThrow(
      "cannot start /nowhere/redis-server",
    );
  });

  test("quotes what a server said that does not start", async () => {
    await expect(startRedis({ args: ["--no-such-option", "1"] })).rejects.toThrow(
      /ended before it answered:[\s\S]*no-such-option/,
    );
  });
});

describe("a connection to Redis", () => {
  test("rejects what is in flight when Redis dies, and connects again when it is back", async () => {
    const first = await start();
    const connection = new RedisConnection({ port: first.port });
    expect(await connection.command("PING")).toBe("PONG");
    const blocked = connection.command("BLPOP", "nothing", 0);
    const rejected = expect(blocked).rejects.toThrow("is closed");
    await first.kill();
    await rejected;
    await expect(connection.command("PING")).rejects.toThrow("is closed");
    await start({ port: first.port });
    expect(await connection.command("PING")).toBe("PONG");
    expect(connection.pending).toBe(0);
    connection.close();
  });
});
