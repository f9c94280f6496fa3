/** Commands that reach Redis when nobody expects them any more, or once more than was asked for. */
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { type FaultOptions, type Gateway, startGateway } from "../../dev/gateway.mjs";
import { HeldRequests } from "../../dev/held-requests.mjs";
import type { LoggedRequest } from "../../dev/log.mjs";
import { command, failure, open, type Servers, send, startServers } from "./client.js";

let servers: Servers;
let gateway: Gateway;
beforeAll(async () => {
  servers = await startServers();
  gateway = servers.gateway;
});
afterAll(() => servers.stop());
beforeEach(async () => {
  await gateway.reset();
  await servers.redis.command("FLUSHALL");
});

const HOUR = 3_600_000;
const increment = () => command(gateway, "INCR", "n");
const executions = async () => Number(await servers.redis.command("GET", "n"));

/** Sends a command, and gives up when the gateway has it: as a client does at its deadline. */
async function giveUp(...words: string[]): Promise<void> {
  const client = new AbortController();
  const given = failure(open(gateway, "/", { body: words, signal: client.signal }));
  await gateway.seen(words.join(" "));
  client.abort();
  await given;
  await gateway.idle();
}

const control = async (path: string, body?: string) => {
  const response = await fetch(`${gateway.controlUrl}${path}`, { method: "POST", body: body ?? null });
  return { status: response.status, value: (await response.json()) as Record<string, unknown> };
};

describe("late", () => {
  test("executes when released, after the client has given up", async () => {
    await gateway.fault("late");
    await giveUp("INCR", "n");
    expect(await executions()).toBe(0);
    expect(gateway.counters()).toMatchObject({
      httpRequests: 1,
      faults: 1,
      redisCommands: 0,
      openRequests: 0,
    });
    expect(gateway.requests).toMatchObject([{ fault: "late", executions: 0, status: null }]);

    expect(await gateway.release()).toBe(1);
    expect(await executions()).toBe(1);
    expect(gateway.counters()).toMatchObject({ httpRequests: 1, redisCommands: 1, byCommand: { INCR: 1 } });
    expect(gateway.requests).toMatchObject([{ fault: "late", executions: 1, status: null }]);
    expect(await gateway.release()).toBe(0);
    expect(await executions()).toBe(1);
  });

  test("overwrites what was written meanwhile", async () => {
    await gateway.fault("late", { times: 1 });
    await giveUp("SET", "k", "old");
    await command(gateway, "SET", "k", "new");
    await gateway.release();
    expect(await servers.redis.command("GET", "k")).toBe("old");
  });

  test("executes a pipeline and a transaction whole", async () => {
    const client = new AbortController();
    await gateway.fault("late", { match: "INCR" });
    const body = [
      ["INCR", "n"],
      ["INCR", "n"],
    ];
    const waiting = ["/pipeline", "/multi-exec"].map((path) =>
      failure(open(gateway, path, { body, signal: client.signal })),
    );
    await gateway.seen("INCR", 2);
    client.abort();
    await Promise.all(waiting);
    expect(await gateway.release()).toBe(2);
    expect(await executions()).toBe(4);
    expect(gateway.counters()).toMatchObject({ redisCommands: 4, errors: 0 });
  });

  test("executes after the delay, without being told", async () => {
    await gateway.fault("late", { delayMs: 1 });
    const waiting = failure(increment());
    await gateway.seen("INCR");
    await gateway.settled();
    expect(await executions()).toBe(1);
    await gateway.fault("refuse");
    await waiting;
  });

  test("executes when told although the delay has not passed, and then no more", async () => {
    await gateway.fault("late", { delayMs: HOUR });
    await giveUp("INCR", "n");
    expect(gateway.state().held).toMatchObject([{ delayMs: HOUR }]);
    expect(await gateway.release()).toBe(1);
    await gateway.settled();
    expect(await executions()).toBe(1);
  });

  test("leaves a client that still waits without an answer", async () => {
    await gateway.fault("late", { match: "INCR" });
    let answered = false;
    const waiting = increment().finally(() => {
      answered = true;
    });
    const cut = failure(waiting);
    await gateway.seen("INCR");
    await gateway.release();
    for (let i = 0; i < 20; i += 1) await command(gateway, "PING");
    expect(answered).toBe(false);
    expect(gateway.counters().openRequests).toBe(1);
    await gateway.fault("refuse");
    expect(await cut).toBe("ECONNRESET");
  });

  test("holds only the next requests and only those that match", async () => {
    await gateway.fault("late", { times: 1, match: "INCR n" });
    expect(await command(gateway, "PING")).toBe('200 {"result":"PONG"}');
    await giveUp("INCR", "n");
    expect(await increment()).toBe('200 {"result":1}');
    await gateway.release();
    expect(await executions()).toBe(2);
  });

  test("holds nothing that is not to be executed", async () => {
    await gateway.fault("late", { execute: false });
    await giveUp("INCR", "n");
    expect(gateway.state().held).toEqual([]);
    expect(await gateway.release()).toBe(0);
  });

  test("refuses when released what it would have refused at once", async () => {
    await gateway.fault("late");
    const client = new AbortController();
    const sent = { body: ["INCR", "n"], token: "wrong", signal: client.signal };
    const waiting = failure(open(gateway, "/", sent));
    await gateway.seen("INCR");
    client.abort();
    await waiting;
    await gateway.release();
    expect(await executions()).toBe(0);
    expect(gateway.counters()).toMatchObject({ redisCommands: 0, errors: 1 });
    expect(gateway.requests).toMatchObject([{ executions: 0 }]);
  });
});

describe("twice", () => {
  test.each<[FaultOptions, string]>([
    [{}, '200 {"result":1}'],
    [{ answer: "first" }, '200 {"result":1}'],
    [{ answer: "second" }, '200 {"result":2}'],
  ])("executes twice before it answers, with %j the answer is %s", async (options, answer) => {
    await gateway.fault("twice", options);
    expect(await increment()).toBe(answer);
    expect(await executions()).toBe(2);
    expect(gateway.counters()).toMatchObject({ httpRequests: 1, faults: 1, redisCommands: 2 });
    expect(gateway.requests).toMatchObject([{ fault: "twice", executions: 2, status: 200 }]);
    expect(gateway.state().held).toEqual([]);
  });

  test("executes a pipeline as a whole, and as a whole again", async () => {
    await gateway.fault("twice", { answer: "second" });
    const body = [
      ["SET", "k", "v", "NX"],
      ["INCR", "n"],
      ["DEL", "k"],
    ];
    for (const [path, n] of [
      ["/pipeline", 2],
      ["/multi-exec", 4],
    ] as const) {
      const { text } = await send(gateway, path, { body });
      expect(JSON.parse(text)).toEqual([{ result: "OK" }, { result: n }, { result: 1 }]);
    }
  });

  test("with hold answers the first execution, and executes again when told", async () => {
    await gateway.fault("twice", { hold: true, times: 1 });
    expect(await increment()).toBe('200 {"result":1}');
    expect(await executions()).toBe(1);
    await command(gateway, "SET", "n", 10);
    expect(await gateway.release()).toBe(1);
    expect(await executions()).toBe(11);
    expect(gateway.requests[0]).toMatchObject({ fault: "twice", executions: 2 });
  });

  test("with hold and the second's answer, the client waits until the second was told to", async () => {
    await gateway.fault("twice", { hold: true, answer: "second", match: "INCR" });
    const answer = increment();
    // It can be released as soon as it was seen, however far the first execution is.
    await gateway.seen("INCR");
    expect(await gateway.release()).toBe(1);
    expect(await answer).toBe('200 {"result":2}');
  });

  test.each<[FaultOptions["answer"], string]>([
    ["first", '200 {"result":1}'],
    ["second", '200 {"result":2}'],
  ])("with a delay executes again without being told, the answer is the %s", async (answer, expected) => {
    await gateway.fault("twice", { delayMs: 1, ...(answer && { answer }) });
    expect(await increment()).toBe(expected);
    await gateway.settled();
    expect(await executions()).toBe(2);
  });

  test("executes again also when the client has given up", async () => {
    await gateway.fault("twice", { hold: true, answer: "second" });
    await giveUp("INCR", "n");
    await gateway.release();
    expect(await executions()).toBe(2);
  });

  test("repeats only the next requests and only those that match", async () => {
    await gateway.fault("twice", { times: 1, match: "INCR n" });
    await command(gateway, "INCR", "m");
    await increment();
    await increment();
    expect(await executions()).toBe(3);
    expect(await servers.redis.command("GET", "m")).toBe("1");
  });

  test("executes nothing that is not to be executed", async () => {
    await gateway.fault("twice", { execute: false, hold: true });
    expect(await increment()).toBe('200 {"result":null}');
    expect(gateway.state().held).toEqual([]);
    expect(await executions()).toBe(0);
  });
});

describe("what is held", () => {
  test("is visible, and released by what its commands contain", async () => {
    await gateway.fault("late", { times: 2 });
    await giveUp("APPEND", "k", "a");
    await giveUp("APPEND", "k", "b");
    const [first, second] = gateway.requests;
    expect(gateway.state().held).toEqual([
      { id: first?.id, fault: "late", commands: [["APPEND", "k", "a"]], delayMs: null },
      { id: second?.id, fault: "late", commands: [["APPEND", "k", "b"]], delayMs: null },
    ]);
    expect(await gateway.release("APPEND k b")).toBe(1);
    expect(gateway.state().held).toMatchObject([{ id: first?.id }]);
    expect(await gateway.release()).toBe(1);
    expect(await servers.redis.command("GET", "k")).toBe("ba");
    expect(gateway.state().held).toEqual([]);
  });

  test("is released in the order in which it came", async () => {
    await gateway.fault("late");
    for (const letter of "abcdef") await giveUp("APPEND", "k", letter);
    expect(await gateway.release()).toBe(6);
    expect(await servers.redis.command("GET", "k")).toBe("abcdef");
  });

  test("stays held when another fault is switched on", async () => {
    await gateway.fault("late");
    await giveUp("INCR", "n");
    await gateway.fault("refuse");
    await gateway.fault("healthy");
    expect(await executions()).toBe(0);
    expect(await gateway.release()).toBe(1);
    expect(await executions()).toBe(1);
  });

  test("is dropped by a reset, and clients that still wait are cut", async () => {
    await gateway.fault("late", { delayMs: HOUR, times: 1 });
    const late = failure(increment());
    await gateway.seen("INCR");
    await gateway.fault("twice", { hold: true, times: 1 });
    expect(await command(gateway, "ECHO", "first")).toBe('200 {"result":"first"}');
    await gateway.fault("twice", { hold: true, answer: "second" });
    const second = failure(command(gateway, "ECHO", "second"));
    await gateway.seen("ECHO", 2);
    expect(gateway.state().held).toHaveLength(3);

    await gateway.reset();
    expect(await late).toBe("ECONNRESET");
    expect(await second).toBe("ECONNRESET");
    await gateway.settled();
    await gateway.idle();
    expect(gateway.state().held).toEqual([]);
    expect(await gateway.release()).toBe(0);
    expect(await executions()).toBe(0);
    // The one that had its answer keeps its connection.
    expect(await increment()).toBe('200 {"result":1}');
  });

  test("holds up no gateway that is stopped, and is not executed", async () => {
    const other = await startGateway({ redisPort: servers.redis.port });
    await other.fault("late", { delayMs: HOUR });
    const waiting = failure(command(other, "INCR", "n"));
    await other.seen("INCR");
    await other.stop();
    expect(await waiting).toBe("ECONNRESET");
    await other.settled();
    expect(await other.release()).toBe(0);
    expect(await executions()).toBe(0);
  });

  test("is released and seen over the control port", async () => {
    await control("/fault/late", '{"times":2}');
    await giveUp("INCR", "n");
    await giveUp("INCR", "m");
    expect((await control("/release", '{"match":"INCR m"}')).value).toMatchObject({
      released: 1,
      held: [{ fault: "late", commands: [["INCR", "n"]], delayMs: null }],
      counters: { redisCommands: 1 },
    });
    expect(await executions()).toBe(0);
    expect((await control("/release")).value).toMatchObject({ released: 1, held: [] });
    expect(await executions()).toBe(1);
  });

  test.each([
    ['{"mtach":"INCR"}', 'unknown option "mtach" of release, expected match'],
    ['{"match":7}', "bad option match of release: expected a string, got 7"],
    ["[]", "expected the options as a JSON object"],
  ])("is not released by a request with wrong options: %s", async (body, error) => {
    await gateway.fault("late");
    await giveUp("INCR", "n");
    expect(await control("/release", body)).toEqual({ status: 400, value: { error } });
    expect(gateway.state().held).toHaveLength(1);
  });
});

describe("the place where requests are held", () => {
  const answer = { status: 200, headers: {}, body: new Uint8Array() };
  const request = (id: number): LoggedRequest => ({
    ...{ id, at: 0, connection: 1, method: "POST", path: "/", commands: [["INCR", String(id)]] },
    ...{ syncToken: "", fault: "late", executions: 0, status: null },
  });

  test("drops the oldest when there are too many", async () => {
    const held = new HeldRequests();
    const executed: number[] = [];
    const outcomes = Array.from({ length: 1002 }, (_, id) =>
      held.hold(request(id), async () => {
        executed.push(id);
        return answer;
      }),
    );
    expect(await Promise.all(outcomes.slice(0, 2))).toEqual([undefined, undefined]);
    expect(held.entries).toHaveLength(1000);
    expect(await held.release()).toBe(1000);
    expect(executed).toEqual(Array.from({ length: 1000 }, (_, index) => index + 2));
  });

  test("is settled only when the last execution has ended", async () => {
    const held = new HeldRequests();
    let settled = false;
    let end = (_: typeof answer) => {};
    void held.hold(
      request(1),
      () =>
        new Promise((resolve) => {
          end = resolve;
        }),
    );
    const waiting = held.settled().then(() => {
      settled = true;
    });
    const released = held.release();
    await Promise.resolve();
    expect(held.entries).toEqual([]);
    expect(settled).toBe(false);
    end(answer);
    await waiting;
    expect(await released).toBe(1);
  });

  test("executes each once, by its time or when told, and leaves no timer", async () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const held = new HeldRequests();
    const executed: number[] = [];
    for (const id of [1, 2, 3]) {
      void held.hold(
        request(id),
        async () => {
          executed.push(id);
          return answer;
        },
        id * 1000,
      );
    }
    await vi.advanceTimersByTimeAsync(999);
    expect(executed).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(executed).toEqual([1]);
    expect(await held.release("INCR 2")).toBe(1);
    expect(executed).toEqual([1, 2]);
    held.drop();
    expect(vi.getTimerCount()).toBe(0);
    await held.settled();
    expect(executed).toEqual([1, 2]);
  });

  test("tells of a bug, and settles all the same", async () => {
    const warned = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    onTestFinished(() => warned.mockRestore());
    const held = new HeldRequests();
    const bug = new Error("a bug");
    const outcome = held.hold(request(1), () => Promise.reject(bug));
    expect(await held.release()).toBe(1);
    expect(await outcome).toBeUndefined();
    await held.settled();
    expect(warned).toHaveBeenCalledWith(bug);
  });

  test("releases nothing that a reset has dropped meanwhile", async () => {
    const held = new HeldRequests();
    const executed: number[] = [];
    for (const id of [1, 2]) {
      void held.hold(request(id), async () => {
        executed.push(id);
        held.drop();
        return answer;
      });
    }
    expect(await held.release()).toBe(1);
    expect(executed).toEqual([1]);
  });
});
