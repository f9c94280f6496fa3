import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Gateway } from "../../dev/gateway.mjs";
import { command, type Servers, send, startServers } from "./client.js";

const ALL_BYTES = Uint8Array.from({ length: 256 }, (_, index) => index);
const BASE64 = { "upstash-encoding": "base64" };
const RESP2 = { "upstash-response-format": "resp2" };

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

const post = async (path: string, body: unknown, headers: Record<string, string> = {}) => {
  const { status, text } = await send(gateway, path, { body, headers });
  return `${status} ${text}`;
};
const get = async (path: string) => {
  const { status, text } = await send(gateway, path, { method: "GET" });
  return `${status} ${text}`;
};

describe("a command as a JSON array", () => {
  test("takes strings and numbers", async () => {
    expect(await post("/", ["SET", "foo", "bar", "EX", 100])).toBe('200 {"result":"OK"}');
    expect(await post("/", ["GET", "foo"])).toBe('200 {"result":"bar"}');
    expect(await post("/", ["TTL", "foo"])).toBe('200 {"result":100}');
  });

  test("is answered null, an integer, a string or an array", async () => {
    expect(await command(gateway, "GET", "none")).toBe('200 {"result":null}');
    expect(await command(gateway, "RPUSH", "list", "a", "€")).toBe('200 {"result":2}');
    expect(await command(gateway, "LRANGE", "list", 0, -1)).toBe('200 {"result":["a","€"]}');
    expect(await command(gateway, "MGET", "none", "none")).toBe('200 {"result":[null,null]}');
    expect(await command(gateway, "LRANGE", "none", 0, -1)).toBe('200 {"result":[]}');
    expect(await command(gateway, "TYPE", "list")).toBe('200 {"result":"list"}');
    expect(await command(gateway, "EVAL", "return {1,{2,'x'},false}", 0)).toBe(
      '200 {"result":[1,[2,"x"],null]}',
    );
  });

  test("is answered in JSON of the right type and length", async () => {
    const { headers, bytes } = await send(gateway, "/", { body: ["ECHO", "€"] });
    expect(headers.get("content-type")).toBe("application/json");
    expect(headers.get("content-length")).toBe(String(bytes.length));
  });

  test("never rounds an integer, on the way in or out", async () => {
    expect(await post("/", '["SET","n",9223372036854775806]')).toBe('200 {"result":"OK"}');
    expect(await command(gateway, "INCR", "n")).toBe('200 {"result":9223372036854775807}');
    expect(await post("/", '["DECRBY","m",9007199254740993]')).toBe('200 {"result":-9007199254740993}');
    expect(await command(gateway, "GET", "n")).toBe('200 {"result":"9223372036854775807"}');
  });

  test("keeps digits, quotes and backslashes within strings as they are", async () => {
    for (const value of ['1, 2 [3] "4\\" \\', "-1e5", '"', "\\", '\\"', "[1.50]"]) {
      expect(await command(gateway, "ECHO", value)).toBe(`200 {"result":${JSON.stringify(value)}}`);
    }
    expect(await post("/", '["ECHO", 1.50]')).toBe('200 {"result":"1.50"}');
  });

  test("may come by PUT", async () => {
    expect((await send(gateway, "/", { method: "PUT", body: ["PING"] })).text).toBe('{"result":"PONG"}');
  });

  test("fails with 400 and the words of Redis", async () => {
    expect(await command(gateway, "GET")).toBe(
      `400 {"error":"ERR wrong number of arguments for 'get' command"}`,
    );
    await command(gateway, "SET", "text", "x");
    expect(await command(gateway, "INCR", "text")).toBe(
      '400 {"error":"ERR value is not an integer or out of range"}',
    );
    expect(await command(gateway, "LPUSH", "text", "x")).toBe(
      '400 {"error":"WRONGTYPE Operation against a key holding the wrong kind of value"}',
    );
  });

  test.each([
    ["not json", "ERR failed to parse command"],
    ['{"SET":1}', "ERR failed to parse command"],
    ['["SET",{}]', "ERR failed to parse command"],
    ['["SET",null]', "ERR failed to parse command"],
    ['["SET","a', "ERR failed to parse command"],
    ["[]", "ERR empty command"],
    ["", "ERR empty command"],
  ])("is refused with 400 if it is %j", async (body, error) => {
    expect(await post("/", body)).toBe(`400 {"error":"${error}"}`);
  });

  test.each([
    ["SUBSCRIBE", "SUBSCRIBE c"],
    ["MONITOR", "monitor"],
    ["MULTI", "MULTI"],
    ["WATCH", "WATCH k"],
    ["SELECT", "SELECT 1"],
    ["HELLO", "HELLO 3"],
    ["BLPOP", "BLPOP k 0"],
    ["XREAD BLOCK", "XREAD BLOCK 0 STREAMS s 0"],
    ["CLIENT REPLY", "client reply off"],
  ])("is refused if it is %s, which shared sockets cannot bear", async (name, words) => {
    expect(await command(gateway, ...words.split(" "))).toBe(
      `400 {"error":"ERR Command is not available: '${name}'"}`,
    );
    expect(await command(gateway, "PING")).toBe('200 {"result":"PONG"}');
  });
});

describe("a command as a path", () => {
  test("takes its arguments from the path, the query or both", async () => {
    expect(await get("/set/foo/bar/EX/100")).toBe('200 {"result":"OK"}');
    expect(await get("/get/foo")).toBe('200 {"result":"bar"}');
    expect(await get("/set/foo/baz?EX=100&NX")).toBe('200 {"result":null}');
    expect(await get("/set/foo/baz?EX=50&XX")).toBe('200 {"result":"OK"}');
    expect(await get("/ttl/foo")).toBe('200 {"result":50}');
  });

  test("takes the raw body before the query's arguments", async () => {
    expect(await post("/set/foo?EX=100", "a body")).toBe('200 {"result":"OK"}');
    expect(await get("/get/foo")).toBe('200 {"result":"a body"}');
    expect(await get("/ttl/foo")).toBe('200 {"result":100}');
    expect(await post("/psetex/foo/5000", "another")).toBe('200 {"result":"OK"}');
    expect(await get("/get/foo")).toBe('200 {"result":"another"}');
  });

  test("is binary-safe in the raw body and in percent-encoding", async () => {
    expect((await send(gateway, "/set/binary", { method: "PUT", body: ALL_BYTES })).text).toBe(
      '{"result":"OK"}',
    );
    expect([...(await send(gateway, "/get/binary", { headers: RESP2 })).bytes]).toEqual([
      ...new TextEncoder().encode("$256\r\n"),
      ...ALL_BYTES,
      13,
      10,
    ]);
    expect(await get("/set/%FF%2F%20+/%00")).toBe('200 {"result":"OK"}');
    expect(await post("/", ["EVAL", "return redis.call('GET', '\\255/ +') == '\\000'", 0])).toBe(
      '200 {"result":1}',
    );
  });

  test("keeps empty arguments, and needs no body in a POST", async () => {
    expect(await get("/set/empty/")).toBe('200 {"result":"OK"}');
    expect(await post("/get/empty", undefined)).toBe('200 {"result":""}');
  });

  test("is refused with 400 if it is malformed", async () => {
    expect(await get("/get/%zz")).toBe('400 {"error":"ERR failed to parse command"}');
    expect(await get("/")).toBe('400 {"error":"ERR empty command"}');
    expect(await get("/nosuchcommand/x")).toMatch(/^400 \{"error":"ERR unknown command 'nosuchcommand'/);
  });

  test("is answered to HEAD without a body", async () => {
    const ok = await send(gateway, "/ping", { method: "HEAD" });
    expect([ok.status, ok.headers.get("content-length"), ok.text]).toEqual([200, "17", ""]);
    expect((await send(gateway, "/get", { method: "HEAD" })).status).toBe(400);
  });
});

describe("methods and tokens", () => {
  test.each(["DELETE", "PATCH", "OPTIONS"])("%s is refused with 405", async (method) => {
    expect((await send(gateway, "/ping", { method })).status).toBe(405);
  });

  test.each([
    ["no token", null],
    ["an empty token", ""],
    ["a wrong token", "wrong"],
  ])("%s is refused with 401", async (_, token) => {
    const { status, text } = await send(gateway, "/", { body: ["SET", "k", "v"], token });
    expect(`${status} ${text}`).toBe('401 {"error":"WRONGPASS invalid or missing auth token"}');
    expect(await servers.redis.command("EXISTS", "k")).toBe(0);
  });

  test("a token with a label has the rights of the token, and of no other", async () => {
    const set = (token: string) => send(gateway, "/", { body: ["SET", "k", "v"], token });
    expect((await set(`${gateway.token}.burst-1`)).text).toBe('{"result":"OK"}');
    expect((await set(`${gateway.readOnlyToken}.burst-1`)).text).toContain("NOPERM");
    for (const token of [`${gateway.token}burst-1`, `x${gateway.token}.burst-1`, ".burst-1"]) {
      expect((await set(token)).status).toBe(401);
    }
  });

  test("the token may come as ?_token= and is then no argument", async () => {
    const { status, text } = await send(gateway, `/set/k/v?_token=${gateway.token}&EX=9`, {
      method: "GET",
      token: null,
    });
    expect(`${status} ${text}`).toBe('200 {"result":"OK"}');
    expect(await servers.redis.command("TTL", "k")).toBe(9);
    expect((await send(gateway, "/get/k?_token=wrong", { token: null })).status).toBe(401);
  });

  test("the token is not in the log", async () => {
    await send(gateway, `/get/k?_token=${gateway.token}`, { token: null });
    expect(JSON.stringify(gateway.requests)).not.toContain(gateway.token);
  });
});

describe("the read-only token", () => {
  const readOnly = async (path: string, body?: unknown) => {
    const { status, text } = await send(gateway, path, { body, token: gateway.readOnlyToken });
    return `${status} ${text}`;
  };
  const refused = (name: string) =>
    `{"error":"NOPERM this user has no permissions to run the '${name}' command"}`;

  test("reads", async () => {
    await command(gateway, "SET", "k", "v");
    expect(await readOnly("/", ["GET", "k"])).toBe('200 {"result":"v"}');
    expect(await readOnly("/ttl/k")).toBe('200 {"result":-1}');
    expect(await readOnly("/", ["EVAL_RO", "return redis.call('GET', KEYS[1])", 1, "k"])).toBe(
      '200 {"result":"v"}',
    );
    expect(
      await readOnly("/multi-exec", [
        ["GET", "k"],
        ["EXISTS", "k"],
      ]),
    ).toBe('200 [{"result":"v"},{"result":1}]');
  });

  test.each([
    "set k v",
    "del k",
    "hset h f v",
    "expire k 9",
    "flushall",
    "eval return 1 0",
    "evalsha x 0",
    "scan 0",
    "keys *",
  ])("is refused %s, and nothing happens", async (words) => {
    await command(gateway, "SET", "k", "old");
    const name = words.split(" ")[0] ?? "";
    expect(await readOnly("/", words.split(" "))).toBe(`400 ${refused(name)}`);
    expect(await command(gateway, "GET", "k")).toBe('200 {"result":"old"}');
  });

  test("is refused writes within a pipeline, a transaction and a read-only script", async () => {
    expect(
      await readOnly("/pipeline", [
        ["SET", "k", "v"],
        ["GET", "k"],
      ]),
    ).toBe(`200 [${refused("set")},{"result":null}]`);
    expect(
      await readOnly("/multi-exec", [
        ["GET", "k"],
        ["SET", "k", "v"],
      ]),
    ).toBe(
      `400 {"error":"EXECABORT Transaction discarded because of: NOPERM this user has no permissions to run the 'set' command"}`,
    );
    expect(await readOnly("/", ["EVAL_RO", "return redis.call('SET', KEYS[1], 'v')", 1, "k"])).toMatch(
      /^400 \{"error":"ERR /,
    );
    expect(await servers.redis.command("EXISTS", "k")).toBe(0);
  });
});

describe("/pipeline", () => {
  test("answers in order, each with its result or its error", async () => {
    const body = [
      ["SET", "k", "x"],
      ["INCR", "k"],
      ["NOSUCH"],
      ["GET", "k"],
      ["BLPOP", "l", 0],
      ["STRLEN", "k"],
    ];
    const { status, text } = await send(gateway, "/pipeline", { body });
    expect(status).toBe(200);
    expect(JSON.parse(text)).toEqual([
      { result: "OK" },
      { error: "ERR value is not an integer or out of range" },
      { error: expect.stringMatching(/^ERR unknown command 'NOSUCH'/) },
      { result: "x" },
      { error: "ERR Command is not available: 'BLPOP'" },
      { result: 1 },
    ]);
  });

  test("runs SCRIPT LOAD and then EVALSHA", async () => {
    const sha = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db"; // of "return 1"
    expect(
      await post("/pipeline", [
        ["SCRIPT", "LOAD", "return 1"],
        ["EVALSHA", sha, 0],
      ]),
    ).toBe(`200 [{"result":"${sha}"},{"result":1}]`);
  });

  test.each([
    "",
    "{}",
    "[1]",
    '["GET","k"]',
    "[[]]",
    "[]",
    "null",
  ])("is refused as a whole if it is %j", async (body) => {
    expect(await post("/pipeline", body)).toMatch(/^400 \{"error":"ERR [a-z ]+"\}$/);
  });

  test("carries batches of a thousand commands", async () => {
    const body = Array.from({ length: 1000 }, (_, index) => ["ECHO", index]);
    const { text } = await send(gateway, "/pipeline", { body });
    expect(JSON.parse(text)).toEqual(body.map(([, index]) => ({ result: String(index) })));
  });
});

describe("/multi-exec", () => {
  test("answers like a pipeline, and goes on after an error in it", async () => {
    expect(
      await post("/multi-exec", [
        ["SET", "k", "x"],
        ["INCR", "k"],
        ["GET", "k"],
      ]),
    ).toBe('200 [{"result":"OK"},{"error":"ERR value is not an integer or out of range"},{"result":"x"}]');
  });

  test("is discarded as a whole, with one error, if a command cannot be queued", async () => {
    expect(await post("/multi-exec", [["SET", "k", "x"], ["GET"]])).toBe(
      `400 {"error":"EXECABORT Transaction discarded because of: ERR wrong number of arguments for 'get' command"}`,
    );
    expect(
      await post("/multi-exec", [
        ["SET", "k", "x"],
        ["WATCH", "k"],
      ]),
    ).toBe(`400 {"error":"ERR Command is not available: 'WATCH'"}`);
    expect(await servers.redis.command("EXISTS", "k")).toBe(0);
    expect(await command(gateway, "PING")).toBe('200 {"result":"PONG"}');
  });

  test("is atomic among transactions and pipelines of other requests, even on one socket", async () => {
    const narrow = await startServers({ poolSize: 1 });
    try {
      const triple = Array.from({ length: 3 }, () => ["INCR", "n"]);
      const requests = Array.from({ length: 60 }, (_, index) =>
        send(narrow.gateway, index % 2 === 0 ? "/multi-exec" : "/pipeline", { body: triple }),
      );
      const starts = (await Promise.all(requests)).map(({ text }) => {
        const [a, b, c] = (JSON.parse(text) as { result: number }[]).map(({ result }) => result);
        expect([b, c]).toEqual([Number(a) + 1, Number(a) + 2]);
        return Number(a);
      });
      expect(starts.toSorted((a, b) => a - b)).toEqual(starts.map((_, index) => index * 3 + 1));
    } finally {
      await narrow.stop();
    }
  });
});

describe("Upstash-Encoding: base64", () => {
  test("encodes every string but the status OK", async () => {
    const b64 = (words: unknown) => post("/", words, BASE64);
    expect(await b64(["SET", "k", "bar"])).toBe('200 {"result":"OK"}');
    expect(await b64(["GET", "k"])).toBe('200 {"result":"YmFy"}');
    expect(await b64(["PING"])).toBe('200 {"result":"UE9ORw=="}');
    expect(await b64(["TYPE", "none"])).toBe('200 {"result":"bm9uZQ=="}');
    expect(await b64(["ECHO", "OK"])).toBe('200 {"result":"T0s="}');
    expect(await b64(["EVAL", "return {{ok='OK'},'x',7,false,{'y'}}", 0])).toBe(
      '200 {"result":["T0s=","eA==",7,null,["eQ=="]]}',
    );
    expect(await b64(["EVAL", "return {ok='OK'}", 0])).toBe('200 {"result":"OK"}');
  });

  test("leaves integers, null and errors alone, in batches too", async () => {
    const body = [
      ["SET", "k", "v"],
      ["INCR", "n"],
      ["GET", "none"],
      ["INCR", "k"],
      ["GET", "k"],
    ];
    const expected =
      '200 [{"result":"OK"},{"result":1},{"result":null},{"error":"ERR value is not an integer or out of range"},{"result":"dg=="}]';
    expect(await post("/pipeline", body, BASE64)).toBe(expected);
    await servers.redis.command("FLUSHALL");
    expect(await post("/multi-exec", body, BASE64)).toBe(expected);
  });

  test("brings back bytes that JSON cannot carry", async () => {
    await send(gateway, "/set/binary", { body: ALL_BYTES });
    const { text } = await send(gateway, "/get/binary", { headers: BASE64 });
    const { result } = JSON.parse(text) as { result: string };
    expect(Uint8Array.from(atob(result), (char) => char.charCodeAt(0))).toEqual(ALL_BYTES);
    expect((await get("/get/binary")).includes("\ufffd")).toBe(true);
  });
});

describe("Upstash-Response-Format: resp2", () => {
  test("gives the raw reply", async () => {
    const raw = async (...words: string[]) => {
      const { status, headers, text } = await send(gateway, "/", { body: words, headers: RESP2 });
      expect(headers.get("content-type")).toBe("application/octet-stream");
      return `${status} ${text}`;
    };
    expect(await raw("SET", "foo", "bar")).toBe("200 +OK\r\n");
    expect(await raw("GET", "foo")).toBe("200 $3\r\nbar\r\n");
    expect(await raw("GET", "none")).toBe("200 $-1\r\n");
    expect(await raw("MGET", "foo", "none")).toBe("200 *2\r\n$3\r\nbar\r\n$-1\r\n");
    expect(await raw("GET")).toBe("400 -ERR wrong number of arguments for 'get' command\r\n");
  });

  test("joins the replies of a pipeline, and does not apply to /multi-exec", async () => {
    const body = [
      ["INCR", "n"],
      ["LPUSH", "n", "x"],
      ["GET", "n"],
    ];
    const error = "WRONGTYPE Operation against a key holding the wrong kind of value";
    expect(await post("/pipeline", body, RESP2)).toBe(`200 :1\r\n-${error}\r\n$1\r\n1\r\n`);
    expect(await post("/multi-exec", body, RESP2)).toBe(
      `200 [{"result":2},{"error":"${error}"},{"result":"2"}]`,
    );
  });

  test("is refused with 400 together with base64, and in any other format", async () => {
    expect(await post("/", ["PING"], { ...RESP2, ...BASE64 })).toMatch(/^400 \{"error":"ERR /);
    expect(await post("/", ["PING"], { "upstash-response-format": "resp3" })).toMatch(/^400 \{"error":"ERR /);
    expect(await post("/", ["PING"], { "upstash-response-format": "json" })).toBe('200 {"result":"PONG"}');
  });
});

describe("other headers and limits", () => {
  test("echoes the Upstash-Sync-Token, or makes one", async () => {
    const body = ["PING"];
    const echoed = await send(gateway, "/", { body, headers: { "upstash-sync-token": "abc" } });
    expect(echoed.headers.get("upstash-sync-token")).toBe("abc");
    const made = await send(gateway, "/", { body, headers: { "upstash-sync-token": "" } });
    expect(made.headers.get("upstash-sync-token")).toMatch(/^[0-9a-f]{16}$/);
    expect(gateway.requests.map(({ syncToken }) => syncToken)).toEqual(["abc", ""]);
  });

  test("takes a request of the size limit and refuses a larger one", async () => {
    const small = await startServers({ maxRequestBytes: 1000 });
    try {
      expect(await send(small.gateway, "/set/k", { body: "x".repeat(1000) })).toMatchObject({ status: 200 });
      expect(await send(small.gateway, "/set/k", { body: "y".repeat(1001) })).toMatchObject({
        status: 400,
        text: '{"error":"ERR max request size exceeded. Limit: 1000 bytes, Actual: 1001 bytes"}',
      });
      expect(await command(small.gateway, "GETRANGE", "k", 0, 1)).toBe('200 {"result":"xx"}');
    } finally {
      await small.stop();
    }
  });

  test("has a limit of 10 MB by default", async () => {
    const limit = 10 * 1024 * 1024;
    expect(await send(gateway, "/set/k", { body: new Uint8Array(limit) })).toMatchObject({ status: 200 });
    expect(await command(gateway, "STRLEN", "k")).toBe(`200 {"result":${limit}}`);
    const { status, text } = await send(gateway, "/set/k", { body: new Uint8Array(limit + 1) });
    expect(`${status} ${text}`).toMatch(/^400 \{"error":"ERR max request size exceeded/);
  });
});
