/** The protocol: every form of a request is answered as the gateway answers it over a real Redis. */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { type Asked, ask, type Sides, startSides } from "./sides.ts";
import { SCRIPTS } from "./steps.ts";

let sides: Sides;
beforeAll(async () => {
  sides = await startSides();
});
afterAll(() => sides?.stop());
beforeEach(() => Promise.all([sides.real.reset(), sides.memory.reset()]));

const BASE64 = { "upstash-encoding": "base64" };
const RESP2 = { "upstash-response-format": "resp2" };
const { drop } = SCRIPTS;

/** One after the other, to both. */
const SEQUENCES: { name: string; asked: Asked[] }[] = [
  {
    name: "commands as JSON arrays",
    asked: [
      ["SET", "k", "ü\u0000€"],
      ["GET", "k"],
      ["GET", "none"],
      ["EXISTS", "k", "k", "none"],
      ["HSET", "h", "a", 1, "b", 2.5, "c", true],
      ["HMGET", "h", "a", "b", "c", "d"],
      ["GET", "h"],
      ["PTTL", "k"],
      ["PTTL", "none"],
      ["PEXPIRE", "k", "0"],
      ["EXISTS", "k"],
      ["DBSIZE"],
      ["DEL", "h", "none"],
      ["DBSIZE"],
      ["PING"],
      ["PING", "OK"],
      ["FLUSHALL"],
    ].map((body) => ({ body })),
  },
  {
    name: "bodies that are no commands",
    asked: ["", "{", "[]", "{}", '"GET"', "[null]", '[["GET","k"]]', '["GET",{}]', "[1e400]"].map((body) => ({
      body,
    })),
  },
  {
    name: "pipelines",
    asked: [
      [["SET", "k", "1"], ["NOPE"], ["GET", "k"], ["HGET", "k", "f"]],
      [
        ["AUTH", "x"],
        ["GET", "k"],
      ],
      [["SUBSCRIBE", "x"]],
      [],
      [[]],
      {},
      [
        ["EVAL", drop, 1, "k", "", "", ""],
        ["GET", "k"],
      ],
    ].map((body) => ({ path: "/pipeline", body })),
  },
  {
    name: "transactions",
    asked: [
      [
        ["SET", "k", "1"],
        ["GET", "k"],
        ["HGET", "k", "f"],
      ],
      [
        ["SET", "k", "2"],
        ["NOPE", "x"],
      ],
      [["SET", "k", "3"], ["GET"]],
      [["AUTH", "x"]],
      [["GET", "k"]],
      [
        ["EVALSHA", "0".repeat(40), 0],
        ["GET", "k"],
      ],
      [],
    ].map((body) => ({ path: "/multi-exec", body })),
  },
  {
    name: "base64",
    asked: [
      { body: ["SET", "k", "OK"], headers: BASE64 },
      { body: ["GET", "k"], headers: BASE64 },
      { body: ["PING"], headers: BASE64 },
      { body: ["HMGET", "h", "a"], headers: BASE64 },
      { path: "/pipeline", body: [["GET", "k"], ["DBSIZE"], ["NOPE"]], headers: BASE64 },
      { path: "/multi-exec", body: [["GET", "k"], ["PING"]], headers: BASE64 },
      { body: ["GET", "k"], headers: { ...BASE64, ...RESP2 } },
    ],
  },
  {
    name: "resp2",
    asked: [
      { body: ["SET", "k", "ü"], headers: RESP2 },
      { body: ["GET", "k"], headers: RESP2 },
      { body: ["GET", "none"], headers: RESP2 },
      { body: ["NOPE"], headers: RESP2 },
      { path: "/pipeline", body: [["HMGET", "h", "a"], ["DBSIZE"]], headers: RESP2 },
      { body: ["GET", "k"], headers: { "upstash-response-format": "xml" } },
    ],
  },
  {
    name: "commands as paths",
    asked: [
      { path: "/set/k/a%20b", method: "GET" },
      { path: "/get/k", method: "GET" },
      { path: "/set/k", body: "bytes" },
      { path: "/get/k", method: "PUT" },
      { path: "/get/%zz", method: "GET" },
      { path: "/nope", method: "GET" },
      { path: "/hset/h?f=v+w&g=x", method: "GET" },
      { path: "/hmget/h/f/g", method: "GET" },
      { path: "/get/k", method: "HEAD" },
      { path: "/get/k", method: "DELETE" },
    ],
  },
  {
    name: "tokens",
    asked: [
      { body: ["PING"], token: "wrong" },
      { body: ["PING"], token: null },
      { path: "/pipeline", body: [["PING"]], token: null },
      { path: "/ping?_token=wrong", method: "GET", token: null },
    ],
  },
];

test.for(SEQUENCES)("$name", async ({ asked }) => {
  for (const one of asked) {
    const [real, memory] = await Promise.all([ask(sides.real, one), ask(sides.memory, one)]);
    expect(memory, JSON.stringify(one)).toEqual(real);
  }
  expect(sides.memory.log()).toEqual(sides.real.log());
  expect(sides.memory.counters()).toEqual(sides.real.counters());
});

test("a request that is too large is refused", async () => {
  const asked: Asked = { body: ["SET", "k", "x".repeat(10 * 1024 * 1024)] };
  const [real, memory] = await Promise.all([ask(sides.real, asked), ask(sides.memory, asked)]);
  expect(memory).toEqual(real);
  expect(memory).toMatchObject({
    status: 400,
    text: expect.stringContaining("ERR max request size exceeded"),
  });
});

test("the token may be in the query", async () => {
  for (const side of [sides.real, sides.memory]) {
    const answer = await ask(side, { path: `/ping?_token=${side.token}`, method: "GET", token: null });
    expect(answer).toMatchObject({ status: 200, text: '{"result":"PONG"}' });
  }
});

test("a command that there is not, is answered with those that there are", async () => {
  const command = () => sides.redis.command("LPUSH", "list", "x");
  expect(command).toThrow(/^ERR unknown command 'LPUSH', .*; a test Redis knows .*DEL, .*HMGET, .*TIME$/);
});
