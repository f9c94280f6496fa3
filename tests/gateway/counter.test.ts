import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Gateway } from "../../dev/gateway.mjs";
import { command, failure, open, type Servers, send, startServers } from "./client.js";

let servers: Servers;
let gateway: Gateway;
beforeAll(async () => {
  servers = await startServers();
  gateway = servers.gateway;
});
afterAll(() => servers.stop());
beforeEach(async () => {
  await servers.redis.command("FLUSHALL");
  await gateway.reset();
});

describe("counters", () => {
  test("count a pipeline as one request and as many commands as it holds", async () => {
    await send(gateway, "/pipeline", {
      body: [
        ["set", "k", "v"],
        ["GET", "k"],
        ["INCR", "k"],
      ],
    });
    await send(gateway, "/multi-exec", {
      body: [
        ["GET", "k"],
        ["SCRIPT", "LOAD", "return 1"],
      ],
    });
    await command(gateway, "EVALSHA", "e0e1f9fabfc9d4800c877a703b823ac0578ff8db", 0);
    expect(gateway.counters()).toMatchObject({
      httpRequests: 3,
      redisCommands: 6,
      errors: 1,
      faults: 0,
      openRequests: 0,
      byCommand: { SET: 1, GET: 2, INCR: 1, SCRIPT: 1, EVALSHA: 1 },
    });
  });

  test("count requests that are refused, without commands", async () => {
    await send(gateway, "/", { body: ["GET", "k"], token: "wrong" });
    await send(gateway, "/", { body: "nonsense" });
    await send(gateway, "/multi-exec", { body: [["SET", "k", "v"], ["GET"]] });
    expect(gateway.counters()).toMatchObject({ httpRequests: 3, redisCommands: 0, errors: 3, byCommand: {} });
  });

  test("count faults, and commands only where they were executed or answered", async () => {
    await gateway.fault("status", { times: 1 });
    await command(gateway, "GET", "k");
    await gateway.fault("loseReply", { times: 1 });
    await failure(command(gateway, "GET", "k"));
    await gateway.fault("redisError", { error: "OOM no", times: 1 });
    await command(gateway, "GET", "k");
    expect(gateway.counters()).toMatchObject({ httpRequests: 3, faults: 3, redisCommands: 2, errors: 1 });
  });

  test("count the connections opened and those still open", async () => {
    // Cuts what other tests have left open: a client may reuse a connection, or may not.
    await gateway.fault("refuse");
    await gateway.reset();
    await gateway.fault("resetBeforeHeaders");
    for (let i = 0; i < 3; i += 1) await failure(command(gateway, "PING"));
    expect(gateway.counters()).toMatchObject({ httpRequests: 3, connectionsOpened: 3, openConnections: 0 });
    expect(new Set(gateway.requests.map(({ connection }) => connection)).size).toBe(3);
    await gateway.fault("healthy");
    await command(gateway, "PING");
    expect(gateway.counters()).toMatchObject({ connectionsOpened: 4, openConnections: 1 });
  });

  test("show what is open, also after a reset", async () => {
    await gateway.fault("hang");
    const client = new AbortController();
    const waiting = [1, 2].map((n) =>
      failure(open(gateway, "/", { body: ["ECHO", n], signal: client.signal })),
    );
    await gateway.seen("ECHO", 2);
    await gateway.reset();
    expect(gateway.counters()).toMatchObject({ httpRequests: 0, openRequests: 2 });
    client.abort();
    await Promise.all(waiting);
    await gateway.idle();
    expect(gateway.counters().openRequests).toBe(0);
  });

  test("are a copy", async () => {
    gateway.counters().byCommand.GET = 99;
    expect(gateway.counters().byCommand).toEqual({});
  });

  test("keep a bounded number of names", async () => {
    const body = Array.from({ length: 600 }, (_, index) => [`NOSUCH${index}`]);
    await send(gateway, "/pipeline", { body });
    const { byCommand, redisCommands } = gateway.counters();
    expect(redisCommands).toBe(600);
    expect(Object.keys(byCommand)).toHaveLength(513);
    expect(byCommand.other).toBe(88);
  });
});

describe("the log of requests", () => {
  test("tells what was sent, when, and on which connection", async () => {
    const before = Date.now();
    await command(gateway, "SET", "k", 1);
    await gateway.fault("empty", { times: 1 });
    await send(gateway, "/pipeline", { body: [["GET", "k"], ["PING"]] });
    await send(gateway, "/get/k?_token=x", { method: "GET" });
    const common = { at: expect.any(Number), connection: expect.any(Number), syncToken: "" };
    expect(gateway.requests).toEqual([
      {
        ...common,
        id: expect.any(Number),
        method: "POST",
        path: "/",
        commands: [["SET", "k", "1"]],
        fault: "healthy",
        executions: 1,
        status: 200,
      },
      {
        ...common,
        id: expect.any(Number),
        method: "POST",
        path: "/pipeline",
        commands: [["GET", "k"], ["PING"]],
        fault: "empty",
        executions: 0,
        status: 200,
      },
      {
        ...common,
        id: expect.any(Number),
        method: "GET",
        path: "/get/k",
        commands: [["get", "k"]],
        fault: "healthy",
        executions: 1,
        status: 200,
      },
    ]);
    for (const { at } of gateway.requests) expect(at).toBeGreaterThanOrEqual(before);
  });

  test("is bounded in requests, in their size and in that of an argument", async () => {
    const body = Array.from({ length: 20_000 }, () => ["ECHO", "0123456789"]);
    await send(gateway, "/pipeline", { body });
    expect(gateway.requests[0]?.commands.length).toBeLessThan(4000);
    expect(gateway.requests[0]?.commands.at(-1)).toEqual(["..."]);
    await gateway.reset();
    await command(gateway, "SET", "big", "x".repeat(100_000));
    expect(gateway.requests[0]?.commands[0]?.[2]).toMatch(/^x{16384}\.\.\. \(100000 bytes\)$/);
    for (let i = 0; i < 1000; i += 50) {
      await Promise.all(Array.from({ length: 50 }, (_, n) => command(gateway, "ECHO", i + n)));
    }
    expect(gateway.requests).toHaveLength(1000);
    expect(gateway.requests.some(({ commands }) => commands[0]?.[1] === "big")).toBe(false);
  });
});

describe("the control port", () => {
  const control = async (method: string, path: string, body?: string) => {
    const response = await fetch(
      `${gateway.controlUrl}${path}`,
      body === undefined ? { method } : { method, body },
    );
    return { status: response.status, value: (await response.json()) as Record<string, unknown> };
  };

  test("shows state and counters, and no token", async () => {
    await command(gateway, "PING");
    const { status, value } = await control("GET", "/");
    expect(status).toBe(200);
    expect(value).toMatchObject({
      url: gateway.url,
      fault: { name: "healthy", options: {}, remaining: null },
      counters: { httpRequests: 1, redisCommands: 1, byCommand: { PING: 1 }, openRequests: 0 },
    });
    expect(JSON.stringify(value)).not.toContain(gateway.token);
    expect((await control("GET", "/requests")).value).toMatchObject([{ commands: [["PING"]] }]);
  });

  test("switches faults and resets", async () => {
    const { value } = await control("POST", "/fault/status", '{"code":503,"times":2}');
    expect(value).toMatchObject({
      fault: { name: "status", options: { code: 503, times: 2 }, remaining: 2 },
    });
    expect(await command(gateway, "PING")).toMatch(/^503 /);
    expect((await control("GET", "/")).value).toMatchObject({
      fault: { remaining: 1 },
      counters: { faults: 1 },
    });
    expect((await control("POST", "/reset")).value).toMatchObject({
      fault: { name: "healthy" },
      counters: { httpRequests: 0 },
    });
    expect(gateway.requests).toEqual([]);
    expect(await command(gateway, "PING")).toBe('200 {"result":"PONG"}');
  });

  test("stays open while the gateway refuses connections", async () => {
    await control("POST", "/fault/refuse");
    expect(await failure(command(gateway, "PING"))).toBe("ECONNREFUSED");
    await control("POST", "/fault/healthy");
    expect(await command(gateway, "PING")).toBe('200 {"result":"PONG"}');
  });

  test("refuses what it does not know", async () => {
    expect(await control("POST", "/fault/nothing")).toMatchObject({
      status: 400,
      value: { error: expect.stringMatching(/^unknown fault/) },
    });
    expect(await control("POST", "/fault/hang", "[]")).toMatchObject({ status: 400 });
    expect(await control("POST", "/fault/hang", "{")).toMatchObject({ status: 400 });
    expect(await control("GET", "/fault/hang")).toMatchObject({ status: 404 });
    expect(gateway.state().fault.name).toBe("healthy");
  });
});
