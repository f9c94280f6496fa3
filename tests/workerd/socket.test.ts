/**
 * Bytes that no server should send, on a bare socket in Redis' place: whatever they are, calls end with what the callback gives,
 * in time, one event names the cause, and the connection recovers.
 */
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { constants, gzipSync } from "node:zlib";
import { expect, onTestFinished, test } from "vitest";
import { complaints, credentials, RUNTIMES, startStage } from "./stage.ts";
import type { Call } from "./visit.ts";

const JSON_HEAD = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";

/** A whole answer. */
function answer(body: string | Buffer, head = ""): Buffer {
  const bytes = Buffer.from(body);
  return Buffer.concat([Buffer.from(`${JSON_HEAD}content-length: ${bytes.length}\r\n${head}\r\n`), bytes]);
}

const send =
  (...parts: (string | Buffer)[]) =>
  (socket: Socket) => {
    for (const part of parts) socket.write(part);
  };
const sendAndEnd =
  (...parts: (string | Buffer)[]) =>
  (socket: Socket) => {
    for (const part of parts) socket.write(part);
    socket.end();
  };

/** What the server does once a request has come. */
const CASES: Record<string, (socket: Socket) => void> = {
  "no HTTP": sendAndEnd("-ERR wrong protocol\r\n"),
  "binary noise": sendAndEnd(Buffer.from(Array.from({ length: 4096 }, (_, i) => (i * 131) % 256))),
  "an HTTP version that there is not": sendAndEnd("HTTP/9.9 200 OK\r\n\r\n[]"),
  "a status line alone": sendAndEnd("HTTP/1.1 200 OK\r\n"),
  "a status that is no number": sendAndEnd("HTTP/1.1 abc OK\r\n\r\n"),
  "a status of 999": sendAndEnd("HTTP/1.1 999 Odd\r\ncontent-length: 2\r\n\r\n[]"),
  "switching protocols": sendAndEnd(
    "HTTP/1.1 101 Switching Protocols\r\nupgrade: resp\r\nconnection: upgrade\r\n\r\n",
  ),
  "an endless row of interim answers": (socket) => {
    const timer = setInterval(() => socket.write("HTTP/1.1 100 Continue\r\n\r\n".repeat(50)), 5);
    socket.on("close", () => clearInterval(timer));
  },
  "no content": send("HTTP/1.1 204 No Content\r\n\r\n"),
  "not modified": send("HTTP/1.1 304 Not Modified\r\n\r\n"),
  "a redirect without a place": send("HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n"),
  "a header of a megabyte": sendAndEnd(
    `${JSON_HEAD}x: ${"x".repeat(1 << 20)}\r\ncontent-length: 2\r\n\r\n[]`,
  ),
  "thousands of headers": sendAndEnd(`${JSON_HEAD}${"x: y\r\n".repeat(20_000)}content-length: 2\r\n\r\n[]`),
  "a header with a NUL": sendAndEnd(`${JSON_HEAD}x: \u0000\r\ncontent-length: 2\r\n\r\n[]`),
  "two lengths": sendAndEnd(`${JSON_HEAD}content-length: 2\r\ncontent-length: 3\r\n\r\n[]`),
  "a length below zero": sendAndEnd(`${JSON_HEAD}content-length: -1\r\n\r\n[]`),
  "a length of 20 digits": sendAndEnd(`${JSON_HEAD}content-length: ${"9".repeat(20)}\r\n\r\n[]`),
  "a length and then less": sendAndEnd(`${JSON_HEAD}content-length: 99\r\n\r\n[{"result":"OK"}`),
  "chunks without an end": sendAndEnd(`${JSON_HEAD}transfer-encoding: chunked\r\n\r\n2\r\n[]\r\n`),
  "a chunk of no size": sendAndEnd(`${JSON_HEAD}transfer-encoding: chunked\r\n\r\nzz\r\n[]\r\n0\r\n\r\n`),
  "a chunk of 2^64": sendAndEnd(`${JSON_HEAD}transfer-encoding: chunked\r\n\r\n10000000000000000\r\n[]`),
  "an encoding that it is not in": send(answer("[]", "content-encoding: gzip\r\n")),
  "an encoding that breaks off": send(
    answer(gzipSync(JSON.stringify([{ result: "OK" }])).subarray(0, 20), "content-encoding: gzip\r\n"),
  ),
  "a gigabyte in a megabyte": send(
    answer(
      gzipSync(Buffer.alloc(1 << 28, " "), { level: constants.Z_BEST_SPEED }),
      "content-encoding: gzip\r\n",
    ),
  ),
  "one byte at a time": (socket) => {
    const whole = answer(JSON.stringify([{ result: "OK" }]));
    let at = 0;
    const timer = setInterval(() => socket.write(whole.subarray(at, ++at)), 60);
    socket.on("close", () => clearInterval(timer));
  },
  "spaces without an end": (socket) => {
    socket.write(`${JSON_HEAD}transfer-encoding: chunked\r\n\r\n`);
    const timer = setInterval(() => socket.write(`400\r\n${" ".repeat(1024)}\r\n`), 2);
    socket.on("close", () => clearInterval(timer));
  },
  "bytes that are no UTF-8": send(answer(Buffer.from([0x5b, 0x7b, 0xff, 0xfe, 0x7d, 0x5d]))),
  "a byte order mark": send(answer(`\ufeff[{"result":"OK"}]`)),
  "a million brackets": send(answer("[".repeat(1e6))),
  "a million objects": send(answer('[{"result":'.repeat(1e6))),
  "a number without an end": send(answer(`[{"result":${"9".repeat(1e6)}}]`)),
  "a number beyond all": send(answer('[{"result":["lw2",1e999,"miss","a b",0]}]')),
  "a reply twice": send(
    answer('[{"result":["lw2",1,"fresh","",0,"2 g x 1 1 0 0 j 1 0","1"],"result":"OK"}]'),
  ),
  "a reply and an error": send(answer('[{"result":"OK","error":"ERR"}]')),
  "text after the end": send(answer('[{"result":"OK"}] [{"result":"OK"}]')),
  "an answer that is null": send(answer("null")),
  "an answer under the name of a prototype": send(answer('[{"__proto__":{"result":"OK"}}]')),
  "a lone surrogate": send(answer('[{"result":["lw2",1,"fresh","",0,"2 g x 1 1 0 0 j 1 0","\\ud800"]}]')),
  "an end without a word": (socket) => void socket.end(),
  "a reset without a word": (socket) => void socket.resetAndDestroy(),
  "a reset behind the answer": (socket) => {
    socket.write(answer("[]"), () => socket.resetAndDestroy());
  },
};

/** So often what is pending is sent again behind an answer. */
const ROUNDS = 12;

const CALLS: Call[] = [
  { op: "getOrSet", key: "a", load: { value: "own" } },
  { op: "lookup", key: "b", load: { value: "own" }, options: { tags: ["t"], swr: "1m", staleIfError: "1m" } },
  { op: "get", key: "c" },
  { op: "set", key: "d", value: "new" },
  { op: "invalidate", key: "e" },
  { op: "expire", key: "f", what: { tags: ["t"] } },
  { op: "mutate", key: "g", load: { value: "done" } },
];

/** A server that has one of the cases for every request. */
async function startServer(behave: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.once("data", () => behave(socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test.for(
  RUNTIMES.map((runtime) => ({ runtime, name: runtime.name })),
)("whatever bytes come in place of answers, $name", async ({ runtime }) => {
  const stage = await startStage(runtime);
  const { isolate } = stage;
  const one = async (name: string, behave: (socket: Socket) => void) => {
    const env = credentials({ url: await startServer(behave), token: "token" });
    const visit = { cache: name, env, options: { prefix: "socket", timeout: { read: 500, write: 500 } } };
    for (let turn = 0; turn < 2; turn += 1) {
      const [a, b, c, d, e, f, g] = await isolate.visit({ ...visit, calls: CALLS });
      expect.soft([a?.value, b?.value, c?.type], name).toMatchObject(["own", { value: "own" }, "undefined"]);
      const codes = [d, e, f].map((write) => write?.error?.code);
      expect.soft(codes, name).toEqual(Array.from(codes, () => "invalidation-pending"));
      const mutated = { value: "done", marked: false, invalidation: { state: "pending" } };
      expect.soft(g?.value, name).toMatchObject(mutated);
    }
    const { events, connection } = await isolate.state(visit);
    expect
      .soft(
        events.map(({ type }) => type),
        name,
      )
      .toContain("failure");
    expect.soft(connection.attempts, name).toBeLessThanOrEqual(2 + ROUNDS);
    expect
      .soft(
        events.filter(({ type }) => type === "warning"),
        name,
      )
      .toEqual([]);
  };
  await Promise.all(Object.entries(CASES).map(([name, behave]) => one(name, behave)));
  const { unhandled } = await isolate.state();
  expect(unhandled).toEqual([]);
  expect(await complaints(isolate)).toEqual([]);
});
