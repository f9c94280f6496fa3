import { afterEach, describe, expect, test } from "vitest";
import { type Child, startNode } from "../../dev/child.mjs";
import { RedisConnection } from "../../dev/connection.mjs";
import { startRedis } from "../../dev/redis.mjs";
import { failure } from "./client.js";

const PROGRAM = new URL("../../dev/gateway.mjs", import.meta.url).pathname;

interface Ready {
  url: string;
  controlUrl: string;
  redisPort: number;
  token: string;
}

const running: Child[] = [];
async function startProgram(...args: string[]): Promise<{ child: Child; ready: Ready }> {
  const child = await startNode(PROGRAM, args);
  running.push(child);
  return { child, ready: JSON.parse(await child.line(/"ready":true/)) as Ready };
}
afterEach(async () => {
  await Promise.all(running.splice(0).map((child) => child.kill()));
});

const ping = async ({ url, token }: Ready) => {
  const response = await fetch(`${url}/ping`, { headers: { authorization: `Bearer ${token}` } });
  return response.json();
};

describe("the gateway as a program", () => {
  test("prints one line when it is ready, with a Redis of its own", async () => {
    const { child, ready } = await startProgram();
    expect(child.output().split("\n")).toHaveLength(1);
    expect(await ping(ready)).toEqual({ result: "PONG" });
    expect(await (await fetch(ready.controlUrl)).json()).toMatchObject({ fault: { name: "healthy" } });
  });

  test("takes its ports, its token and its Redis from the command line", async () => {
    const redis = await startRedis();
    try {
      const { child, ready } = await startProgram("--redis-port", String(redis.port), "--token", "abc");
      expect(ready).toMatchObject({ redisPort: redis.port, token: "abc" });
      expect(await ping(ready)).toEqual({ result: "PONG" });
      await child.stop();
      const again = await startProgram("--redis-port", String(redis.port), "--port", new URL(ready.url).port);
      expect(again.ready.url).toBe(ready.url);
    } finally {
      await redis.stop();
    }
  });

  test("ends with a message when its arguments are wrong", async () => {
    for (const args of [["--port", "http"], ["--no-such-option"]]) {
      const child = await startNode(PROGRAM, args);
      expect((await child.exited).code).toBe(1);
      expect(child.output()).toMatch(/--port expects a number|no-such-option/);
    }
  });

  test("takes its Redis with it, also when it is killed with SIGKILL", async () => {
    for (const end of ["stop", "kill"] as const) {
      const { child, ready } = await startProgram();
      const connection = new RedisConnection({ port: ready.redisPort });
      await connection.command("PING");
      // Redis answers nothing to this: the connection breaks when Redis is gone.
      const gone = expect(connection.command("BLPOP", "nothing", 0)).rejects.toThrow("is closed");
      await child[end]();
      await gone;
      await expect(connection.command("PING")).rejects.toThrow("is closed");
      expect(await failure(ping(ready))).toBe("ECONNREFUSED");
    }
  });
});
