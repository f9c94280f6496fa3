import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { FaultName, FaultOptions, Gateway } from "../../dev/gateway.mjs";
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

/** INCR n, which tells by its effect whether it was executed. */
const increment = () => send(gateway, "/", { body: ["INCR", "n"] });
const executions = async () => Number(await servers.redis.command("GET", "n"));
const seen = async () => {
  const { status, text } = await increment();
  return `${status} ${text}`;
};

describe("connections that fail", () => {
  test("refuse: nobody listens until the gateway is healthy again, on the same port", async () => {
    const { port } = gateway;
    await gateway.fault("refuse");
    expect(await failure(increment())).toBe("ECONNREFUSED");
    expect(await failure(increment())).toBe("ECONNREFUSED");
    await gateway.fault("healthy");
    expect(await seen()).toBe('200 {"result":1}');
    expect(gateway.port).toBe(port);
    expect(gateway.counters().httpRequests).toBe(1);
  });

  test("refuse: requests that are open are cut", async () => {
    await gateway.fault("hang");
    const cut = failure(increment());
    await gateway.seen("INCR");
    await gateway.fault("refuse");
    expect(await cut).toBe("ECONNRESET");
    expect(gateway.counters()).toMatchObject({ openRequests: 0, openConnections: 0 });
    await gateway.reset();
  });

  test("refuse: any other fault opens the port again", async () => {
    await gateway.fault("refuse");
    await gateway.fault("empty");
    expect(await seen()).toBe("200 ");
  });

  test("refuse: switching without waiting ends in the last state", async () => {
    void gateway.fault("refuse");
    void gateway.fault("healthy");
    void gateway.fault("refuse");
    await gateway.fault("healthy");
    expect(await seen()).toBe('200 {"result":1}');
  });

  test("resetBeforeHeaders: reset, not executed", async () => {
    await gateway.fault("resetBeforeHeaders");
    expect(await failure(increment())).toBe("ECONNRESET");
    expect(await executions()).toBe(0);
  });

  test("loseReply: reset, but executed", async () => {
    await gateway.fault("loseReply");
    expect(await failure(increment())).toBe("ECONNRESET");
    expect(await executions()).toBe(1);
  });

  test("resetAfterHeaders: the headers arrive, then nothing of the body", async () => {
    await gateway.fault("resetAfterHeaders");
    const response = await open(gateway, "/", { body: ["INCR", "n"] });
    expect(response.status).toBe(200);
    expect(response.headers.get("content-length")).toBe("12");
    const reader = response.body?.getReader();
    expect(await failure(reader?.read() ?? Promise.resolve())).toBe("ECONNRESET");
    expect(await executions()).toBe(1);
  });

  test("resetMidBody: half of the body arrives", async () => {
    await gateway.fault("resetMidBody");
    const response = await open(gateway, "/", { body: ["INCR", "n"] });
    const reader = response.body?.getReader();
    const first = await reader?.read();
    expect(new TextDecoder().decode(first?.value)).toBe('{"resu');
    expect(await failure(reader?.read() ?? Promise.resolve())).toBe("ECONNRESET");
    expect(await executions()).toBe(1);
  });
});

describe("answers that do not come, or late", () => {
  test("hang: read, not executed, never answered, and over when the client goes", async () => {
    await gateway.fault("hang", { match: "INCR" });
    const client = new AbortController();
    let settled = false;
    const hanging = open(gateway, "/", { body: ["INCR", "n"], signal: client.signal }).finally(() => {
      settled = true;
    });
    const aborted = expect(hanging).rejects.toThrow("gone");
    await gateway.seen("INCR n");
    for (let i = 0; i < 20; i += 1) expect(await command(gateway, "PING")).toBe('200 {"result":"PONG"}');
    expect(settled).toBe(false);
    expect(gateway.counters().openRequests).toBe(1);
    client.abort(new Error("gone"));
    await aborted;
    await gateway.idle();
    expect(gateway.requests.map(({ fault, status }) => `${fault} ${status}`)[0]).toBe("hang null");
    expect(await executions()).toBe(0);
  });

  test("hangAfterHeaders: executed, the headers arrive, the body never", async () => {
    await gateway.fault("hangAfterHeaders", { match: "INCR" });
    const client = new AbortController();
    const response = await open(gateway, "/", { body: ["INCR", "n"], signal: client.signal });
    expect(response.status).toBe(200);
    let settled = false;
    const reading = response.text().finally(() => {
      settled = true;
    });
    const aborted = expect(reading).rejects.toThrow("gone");
    for (let i = 0; i < 20; i += 1) await command(gateway, "PING");
    expect(settled).toBe(false);
    client.abort(new Error("gone"));
    await aborted;
    await gateway.idle();
    expect(await executions()).toBe(1);
  });

  test("slow: the answer comes after the delay, the execution before", async () => {
    await gateway.fault("slow", { delayMs: 120 });
    const start = performance.now();
    const answer = seen();
    await gateway.seen("INCR");
    expect(await answer).toBe('200 {"result":1}');
    expect(performance.now() - start).toBeGreaterThanOrEqual(115);
  });

  test("slow: does not hold up a gateway whose client has gone", async () => {
    await gateway.fault("slow", { delayMs: 3_600_000 });
    const client = new AbortController();
    const waiting = failure(open(gateway, "/", { body: ["INCR", "n"], signal: client.signal }));
    await gateway.seen("INCR");
    client.abort();
    await waiting;
    await gateway.idle();
  });

  test("slow: the body trickles", async () => {
    await gateway.fault("slow", { delayMs: 0, chunkBytes: 5, chunkMs: 15 });
    const response = await open(gateway, "/", { body: ["ECHO", "abcdefghij"] });
    const pieces: string[] = [];
    for (const reader = response.body?.getReader(); reader; ) {
      const { done, value } = await reader.read();
      if (done) break;
      pieces.push(new TextDecoder().decode(value));
    }
    expect(pieces.join("")).toBe('{"result":"abcdefghij"}');
    expect(pieces.length).toBeGreaterThan(1);
  });
});

describe("answers that are wrong", () => {
  test.each([
    401, 403, 429, 500, 502, 503,
  ])("status %i: answered instead of the result, not executed", async (code) => {
    await gateway.fault("status", { code });
    const { status, text, headers } = await increment();
    expect(status).toBe(code);
    expect(headers.get("content-type")).toBe("application/json");
    expect(JSON.parse(text)).toEqual({ error: expect.any(String) });
    expect(await executions()).toBe(0);
  });

  test("status: with a body and headers of one's own", async () => {
    await gateway.fault("status", { code: 429, body: "slow down", headers: { "retry-after": "7" } });
    const { status, text, headers } = await increment();
    expect([status, text, headers.get("retry-after")]).toEqual([429, "slow down", "7"]);
    await gateway.fault("status", { code: 500, body: { error: "ERR x" } });
    expect(await seen()).toBe('500 {"error":"ERR x"}');
  });

  test("status with execute: a proxy that gives up after Redis has executed", async () => {
    await gateway.fault("status", { code: 504, execute: true });
    expect((await increment()).status).toBe(504);
    expect(await executions()).toBe(1);
  });

  test("html: a page with status 200", async () => {
    await gateway.fault("html");
    const { status, text, headers } = await increment();
    expect(status).toBe(200);
    expect(headers.get("content-type")).toBe("text/html; charset=utf-8");
    expect(text).toMatch(/^<!doctype html>/);
  });

  test("truncated: the JSON is cut off, the HTTP is whole", async () => {
    await gateway.fault("truncated");
    const { status, text, headers } = await send(gateway, "/pipeline", {
      body: [
        ["INCR", "n"],
        ["INCR", "n"],
      ],
    });
    expect(status).toBe(200);
    expect(text).toBe('[{"result":1}');
    expect(headers.get("content-length")).toBe(String(text.length));
    expect(await executions()).toBe(2);
  });

  test.each<[FaultOptions["shape"], string, string]>([
    [undefined, '[{"result":null}]', '{"result":[{"result":null},{"result":null}]}'],
    ["container", '[{"result":null}]', '{"result":[{"result":null},{"result":null}]}'],
    ["results", '{"result":{"an":"object"}}', '[{"result":{"an":"object"}},{"result":true}]'],
    ["fewer", "{}", '[{"result":null}]'],
    ["more", '[{"result":null},{"result":null}]', '[{"result":null},{"result":null},{"result":null}]'],
  ])("wrongTypes, %s: a command is answered %s, a pipeline %s", async (shape, single, batch) => {
    await gateway.fault("wrongTypes", shape ? { shape } : {});
    expect(await seen()).toBe(`200 ${single}`);
    const body = [
      ["INCR", "n"],
      ["INCR", "n"],
    ];
    expect((await send(gateway, "/pipeline", { body })).text).toBe(batch);
    expect((await send(gateway, "/multi-exec", { body })).text).toBe(batch);
    expect(await executions()).toBe(0);
  });

  test("empty: status 200 and no body", async () => {
    await gateway.fault("empty");
    const { status, headers, text } = await increment();
    expect([status, headers.get("content-length"), text]).toEqual([200, "0", ""]);
  });

  test("oversize: valid JSON of the size asked for", async () => {
    await gateway.fault("oversize", { megabytes: 3 });
    const single = await increment();
    expect(single.bytes.length).toBe(3 * 1024 * 1024);
    expect(JSON.parse(single.text)).toEqual({ result: expect.stringMatching(/^A+$/) });
    const batch = await send(gateway, "/pipeline", {
      body: [
        ["INCR", "n"],
        ["INCR", "n"],
      ],
    });
    expect(batch.bytes.length).toBe(3 * 1024 * 1024);
    expect(JSON.parse(batch.text)).toEqual([{ result: expect.stringMatching(/^A+$/) }, { result: null }]);
  });

  test("oversize: not announced by a Content-Length, if so told", async () => {
    await gateway.fault("oversize", { megabytes: 1, announced: false });
    const { headers, bytes } = await increment();
    expect([headers.get("content-length"), bytes.length]).toEqual([null, 1024 * 1024]);
  });

  test("oversize: stops when the client has had enough", async () => {
    await gateway.fault("oversize", { megabytes: 1024 });
    const response = await open(gateway, "/", { body: ["INCR", "n"] });
    await response.body?.cancel();
    await gateway.idle();
    expect(gateway.counters().openRequests).toBe(0);
  });

  test("redirect: to the location given", async () => {
    await gateway.fault("redirect", { location: "http://127.0.0.1:1/elsewhere" });
    const { status, headers } = await increment();
    expect([status, headers.get("location")]).toEqual([302, "http://127.0.0.1:1/elsewhere"]);
    expect(await executions()).toBe(0);
  });
});

describe("Redis that answers errors", () => {
  test.each([
    "LOADING Redis is loading the dataset in memory",
    "OOM command not allowed when used memory > 'maxmemory'.",
    "READONLY You can't write against a read only replica.",
    "NOPERM this user has no permissions to run the 'evalsha' command",
    "ERR max daily request limit exceeded. Limit: 10000, Usage: 10000",
  ])("redisError: every command is answered %s", async (error) => {
    await gateway.fault("redisError", { error });
    expect(await seen()).toBe(`400 ${JSON.stringify({ error })}`);
    const body = [
      ["INCR", "n"],
      ["GET", "n"],
    ];
    const batch = await send(gateway, "/pipeline", { body });
    expect(batch.status).toBe(200);
    expect(JSON.parse(batch.text)).toEqual([{ error }, { error }]);
    const transaction = await send(gateway, "/multi-exec", { body });
    expect(`${transaction.status} ${transaction.text}`).toBe(`400 ${JSON.stringify({ error })}`);
    expect(await executions()).toBe(0);
  });

  test("redisError with match: the other commands of the pipeline are executed", async () => {
    await gateway.fault("redisError", { error: "OOM no", match: "SET big" });
    const { text } = await send(gateway, "/pipeline", {
      body: [
        ["INCR", "n"],
        ["SET", "big", "x"],
        ["GET", "n"],
      ],
    });
    expect(text).toBe('[{"result":1},{"error":"OOM no"},{"result":"1"}]');
  });

  test("redisError: needs a valid token first", async () => {
    await gateway.fault("redisError", { error: "OOM no" });
    expect((await send(gateway, "/", { body: ["PING"], token: "wrong" })).status).toBe(401);
  });

  test("flushScripts: once, the script that was loaded is gone", async () => {
    const loaded = JSON.parse((await send(gateway, "/", { body: ["SCRIPT", "LOAD", "return 7"] })).text) as {
      result: string;
    };
    expect(await command(gateway, "EVALSHA", loaded.result, 0)).toBe('200 {"result":7}');
    await gateway.fault("flushScripts");
    expect(await command(gateway, "EVALSHA", loaded.result, 0)).toBe(
      '400 {"error":"NOSCRIPT No matching script. Please use EVAL."}',
    );
    expect(await command(gateway, "EVAL", "return 7", 0)).toBe('200 {"result":7}');
    expect(await command(gateway, "EVALSHA", loaded.result, 0)).toBe('200 {"result":7}');
    expect(gateway.counters().byCommand).toEqual({ SCRIPT: 1, EVALSHA: 3, EVAL: 1 });
  });
});

describe("options of all faults", () => {
  test("times: only the next requests, then healthy", async () => {
    await gateway.fault("status", { code: 503, times: 2 });
    const statuses: number[] = [];
    for (let i = 0; i < 3; i += 1) statuses.push((await increment()).status);
    expect(statuses).toEqual([503, 503, 200]);
    expect(gateway.state().fault).toEqual({ name: "healthy", options: {}, remaining: null });
  });

  test("every: only each second request that matches, so many times", async () => {
    await gateway.fault("status", { code: 503, every: 2, match: "INCR", times: 2 });
    await command(gateway, "GET", "n");
    const statuses: number[] = [];
    for (let i = 0; i < 5; i += 1) statuses.push((await increment()).status);
    expect(statuses).toEqual([503, 200, 503, 200, 200]);
  });

  test("match: only requests with a command that contains it, in every form of request", async () => {
    await gateway.fault("empty", { match: "GET user:7", times: 3 });
    expect(await command(gateway, "GET", "user:8")).toBe('200 {"result":null}');
    expect(await command(gateway, "GET", "user:7")).toBe("200 ");
    expect((await send(gateway, "/pipeline", { body: [["PING"], ["GET", "user:7"]] })).text).toBe("");
    expect((await send(gateway, "/GET/user:7", { method: "GET" })).text).toBe("");
    expect(await command(gateway, "GET", "user:7")).toBe('200 {"result":null}');
  });

  test("execute: false delivers the same failure without an effect on Redis", async () => {
    await gateway.fault("loseReply", { execute: false });
    expect(await failure(increment())).toBe("ECONNRESET");
    await gateway.fault("truncated", { execute: false });
    expect(await seen()).toBe('200 {"resul');
    expect(await executions()).toBe(0);
  });

  test.each<[FaultName, FaultOptions]>([
    ["resetBeforeHeaders", {}],
    ["wrongTypes", {}],
    ["html", {}],
    ["empty", {}],
    ["oversize", { megabytes: 1 }],
  ])("execute: true makes %s execute what it does not answer", async (name, options) => {
    await gateway.fault(name, { ...options, execute: true, times: 1 });
    await increment().catch(() => {});
    expect(await executions()).toBe(1);
  });

  test.each<[string, Record<string, unknown>, RegExp]>([
    ["hnag", {}, /^unknown fault "hnag", expected one of healthy, refuse, /],
    ["constructor", {}, /^unknown fault/],
    ["hang", { time: 1 }, /^unknown option "time" of fault hang, expected times, match, every, execute$/],
    ["refuse", { times: 1 }, /^unknown option "times" of fault refuse, expected none$/],
    ["hang", { times: 0 }, /^bad option times of fault hang: expected an integer from 1, got 0$/],
    [
      "status",
      { code: 99 },
      /^bad option code of fault status: expected an integer from 200 to 599, got 99$/,
    ],
    [
      "late",
      { hold: true },
      /^unknown option "hold" of fault late, expected times, match, every, execute, delayMs$/,
    ],
    [
      "late",
      { delayMs: 2 ** 31 },
      /^bad option delayMs of fault late: expected an integer from 0 to 2147483647,/,
    ],
    [
      "twice",
      { answer: "both" },
      /^bad option answer of fault twice: expected "first" or "second", got "both"$/,
    ],
    ["twice", { hold: 1 }, /^bad option hold of fault twice: expected true or false, got 1$/],
    ["redirect", {}, /^fault redirect needs the option location$/],
    ["redisError", {}, /^fault redisError needs the option error$/],
    ["wrongTypes", { shape: "round" }, /^bad option shape/],
  ])("a bad fault is refused and changes nothing: %s %j", async (name, options, message) => {
    await expect(gateway.fault(name as FaultName, options as FaultOptions)).rejects.toThrow(message);
    expect(await seen()).toBe('200 {"result":1}');
  });

  test("healthy: everything works again after each fault", async () => {
    for (const name of ["resetBeforeHeaders", "html", "truncated", "empty", "loseReply"] as const) {
      await gateway.fault(name);
      await increment().catch(() => {});
      await gateway.fault("healthy");
      expect(await command(gateway, "PING")).toBe('200 {"result":"PONG"}');
    }
  });
});
