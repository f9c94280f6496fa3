import { describe, expect, test } from "vitest";
import {
  encodeCommand,
  encodeReply,
  plainReply,
  type Reply,
  ReplyParser,
  RespError,
} from "../../dev/resp.mjs";

const bytesOf = (text: string) => new TextEncoder().encode(text);
const textOf = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const bulk = (text: string): Reply => ({ type: "bulk", bytes: bytesOf(text) });

/** Replies with plain Uint8Arrays: a Buffer is not equal to one. */
function normal(reply: Reply): Reply {
  if (reply.type === "bulk" && reply.bytes) return { type: "bulk", bytes: new Uint8Array(reply.bytes) };
  if (reply.type === "array" && reply.items) return { type: "array", items: reply.items.map(normal) };
  return reply;
}

const STREAM =
  "+OK\r\n-ERR no\r\n:-9223372036854775808\r\n$2\r\nOK\r\n$-1\r\n*-1\r\n*0\r\n$0\r\n\r\n*2\r\n*2\r\n:1\r\n$4\r\na\r\nb\r\n$3\r\n€\r\n+PONG\r\n";
const REPLIES: Reply[] = [
  { type: "status", text: "OK" },
  { type: "error", text: "ERR no" },
  { type: "integer", digits: "-9223372036854775808" },
  bulk("OK"),
  { type: "bulk", bytes: null },
  { type: "array", items: null },
  { type: "array", items: [] },
  bulk(""),
  {
    type: "array",
    items: [{ type: "array", items: [{ type: "integer", digits: "1" }, bulk("a\r\nb")] }, bulk("€")],
  },
  { type: "status", text: "PONG" },
];

describe("the RESP2 parser", () => {
  test("tells a status OK from a bulk OK, and keeps the digits of an i64", () => {
    expect(new ReplyParser().push(bytesOf(STREAM)).map(normal)).toEqual(REPLIES);
  });

  test("gives the same replies however the stream is cut", () => {
    const stream = bytesOf(STREAM);
    for (let size = 1; size <= stream.length; size += 1) {
      const parser = new ReplyParser();
      const replies: Reply[] = [];
      for (let start = 0; start < stream.length; start += size)
        replies.push(...parser.push(stream.subarray(start, start + size)));
      expect(replies.map(normal), `pieces of ${size}`).toEqual(REPLIES);
    }
  });

  test("returns each reply with the chunk that completes it", () => {
    const parser = new ReplyParser();
    expect(parser.push(bytesOf("$5\r\nhel"))).toEqual([]);
    expect(parser.push(bytesOf("lo\r"))).toEqual([]);
    expect(parser.push(bytesOf("\n:1\r\n:")).map(normal)).toEqual([
      bulk("hello"),
      { type: "integer", digits: "1" },
    ]);
    expect(parser.push(bytesOf("2\r\n"))).toEqual([{ type: "integer", digits: "2" }]);
  });

  test.each([
    "HTTP/1.1 400\r\n",
    ":1.5\r\n",
    "$x\r\n",
    "*-2\r\n",
  ])("refuses %j, which is not RESP2", (text) => {
    expect(() => new ReplyParser().push(bytesOf(text))).toThrow(RespError);
  });

  test("writes every reply back as the bytes it came from", () => {
    expect(REPLIES.map((reply) => textOf(encodeReply(reply))).join("")).toBe(STREAM);
  });
});

describe("the RESP2 encoder", () => {
  test("counts bytes, not characters, and passes binary through", () => {
    expect(textOf(encodeCommand(["SET", "€", 12]))).toBe("*3\r\n$3\r\nSET\r\n$3\r\n€\r\n$2\r\n12\r\n");
    expect([...encodeCommand([new Uint8Array([0, 255])])]).toEqual([
      ...bytesOf("*1\r\n$2\r\n"),
      0,
      255,
      13,
      10,
    ]);
  });
});

describe("plain replies", () => {
  test("are numbers where that is exact and bigints where it is not", () => {
    expect(plainReply({ type: "integer", digits: "9007199254740991" })).toBe(9007199254740991);
    expect(plainReply({ type: "integer", digits: "9007199254740993" })).toBe(9007199254740993n);
  });

  test("throw the text of an error", () => {
    expect(() => plainReply({ type: "error", text: "ERR no" })).toThrow("ERR no");
  });
});
