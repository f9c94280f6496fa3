/** Every fault as clients see it: what the Redis in memory delivers is what the gateway delivers. */

import type { FaultName } from "leeward/testing";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { FAULTS } from "../../dev/fault.mjs";
import type { FaultOptions } from "../../dev/gateway.mjs";
import { type Asked, ask, type Side, type Sides, startSides } from "./sides.ts";

let sides: Sides;
beforeAll(async () => {
  sides = await startSides();
});
afterAll(() => sides?.stop());
beforeEach(() => each((side) => side.reset()));

function each<T>(work: (side: Side) => Promise<T>): Promise<[T, T]> {
  return Promise.all([work(sides.real), work(sides.memory)]);
}

/** The same on both sides; gives it. */
async function same<T>(work: (side: Side) => Promise<T>): Promise<T> {
  const [real, memory] = await each(work);
  expect(memory).toEqual(real);
  return real;
}

/** What is asked while the fault is on: both endpoints, commands that tell by their effect whether they were executed. */
const SINGLE: Asked = { body: ["SET", "single", "ü"] };
const PIPELINE: Asked = {
  path: "/pipeline",
  body: [["SET", "pipeline", "1"], ["GET", "pipeline"], ["NOPE"]],
};

interface Case {
  fault: FaultName;
  options?: FaultOptions;
}

/** Those that answer, or fail, without being told to go on. */
const ANSWERED: Case[] = [
  { fault: "healthy" },
  { fault: "refuse" },
  { fault: "resetBeforeHeaders" },
  { fault: "resetBeforeHeaders", options: { execute: true } },
  { fault: "resetAfterHeaders" },
  { fault: "resetAfterHeaders", options: { execute: false } },
  { fault: "resetMidBody" },
  { fault: "slow", options: { delayMs: 1 } },
  { fault: "slow", options: { delayMs: 0, chunkBytes: 3, chunkMs: 1 } },
  { fault: "status" },
  { fault: "status", options: { code: 429, headers: { "retry-after": "1", "x-test": "y" } } },
  { fault: "status", options: { code: 418, body: "I'm a teapot" } },
  { fault: "status", options: { code: 500, body: { error: "ERR x" }, execute: true } },
  { fault: "status", options: { code: 204 } },
  { fault: "html" },
  { fault: "html", options: { body: "<p>ü</p>" } },
  { fault: "truncated" },
  ...(["container", "results", "fewer", "more"] as const).map((shape) => ({
    fault: "wrongTypes" as const,
    options: { shape },
  })),
  { fault: "empty" },
  { fault: "oversize", options: { megabytes: 1 } },
  { fault: "oversize", options: { megabytes: 1, announced: false } },
  { fault: "redirect", options: { location: "https://elsewhere.test/" } },
  { fault: "redirect", options: { location: "/x", code: 307 } },
  { fault: "loseReply" },
  { fault: "twice" },
  { fault: "twice", options: { answer: "second" } },
  { fault: "redisError", options: { error: "LOADING Redis is loading the dataset in memory" } },
  { fault: "redisError", options: { error: "OOM x", match: "GET" } },
  { fault: "flushScripts" },
  { fault: "empty", options: { times: 1 } },
  { fault: "empty", options: { match: "pipeline" } },
];

/** Those that wait. */
const WAITING: Case[] = [
  { fault: "hang" },
  { fault: "hang", options: { execute: true } },
  { fault: "hangAfterHeaders" },
  { fault: "late" },
  { fault: "twice", options: { hold: true } },
];

test("no fault is left out", () => {
  const tried = new Set([...ANSWERED, ...WAITING].map(({ fault }) => fault));
  expect(tried).toEqual(new Set(Object.keys(FAULTS)));
});

test.for(ANSWERED)("$fault $options", async ({ fault, options }) => {
  const seen = await same(async (side) => {
    await side.fault(fault, options);
    const answers = [await ask(side, SINGLE), await ask(side, PIPELINE), await ask(side, SINGLE)];
    await side.fault("healthy");
    await side.idle();
    const effects = [await side.get("single"), await side.get("pipeline")];
    return { answers, effects, log: side.log(), counters: side.counters() };
  });
  expect(seen.answers).toHaveLength(3);
});

describe("what waits", () => {
  test.for(WAITING)("$fault $options: until the client gives up", async ({ fault, options }) => {
    await same(async (side) => {
      await side.fault(fault, options);
      const client = new AbortController();
      const answer = ask(side, { ...SINGLE, signal: client.signal });
      await side.seen("single");
      // It is executed before it is answered: how far it is by now is a matter of chance.
      if (fault === "twice") await answer;
      client.abort(new Error("gone"));
      const answers = [await answer];
      // What is answered before the client gives up is no matter of waiting.
      if (fault === "twice" || fault === "hangAfterHeaders") answers.length = 0;
      await side.idle();
      const before = await side.get("single");
      const released = await side.release();
      return { answers, before, released, after: await side.get("single"), log: side.log().length };
    });
  });

  test("late: executed when it is told to, and never answered", async () => {
    await same(async (side) => {
      await side.fault("late", { times: 1 });
      const client = new AbortController();
      const answer = ask(side, { ...SINGLE, signal: client.signal });
      await side.seen("single");
      const between = await ask(side, { body: ["SET", "single", "newer"] });
      const released = await side.release("ü");
      const overwritten = await side.get("single");
      client.abort(new Error("gone"));
      return { between, released, overwritten, answer: await answer, log: side.log() };
    });
  });

  test("twice: the second time when it is told to, after the answer", async () => {
    await same(async (side) => {
      await side.fault("twice", { hold: true, times: 1 });
      const first = await ask(side, SINGLE);
      await ask(side, { body: ["SET", "single", "newer"] });
      const released = await side.release();
      return { first, released, overwritten: await side.get("single"), log: side.log() };
    });
  });

  test("a reset drops what is held, and cuts who waits for it", async () => {
    await same(async (side) => {
      await side.fault("late");
      const answer = ask(side, SINGLE);
      await side.seen("single");
      await side.reset();
      return { answer: await answer, released: await side.release(), value: await side.get("single") };
    });
  });

  test("refuse cuts what is open", async () => {
    await same(async (side) => {
      await side.fault("hang");
      const answer = ask(side, SINGLE);
      await side.seen("single");
      await side.fault("refuse");
      return { answer: await answer, next: await ask(side, SINGLE) };
    });
  });
});

test("a fault or an option that is misspelt is refused in the same words", async () => {
  const message = (side: Side, name: string, options: object) =>
    side.fault(name as FaultName, options as FaultOptions).then(
      () => "nothing",
      (error: Error) => `${error.name}: ${error.message}`,
    );
  for (const [name, options] of [
    ["hung", {}],
    ["slow", { delay: 5 }],
    ["slow", { delayMs: -1 }],
    ["status", { code: 42 }],
    ["redirect", {}],
    ["refuse", { times: 1 }],
  ] as const) {
    const [real, memory] = await each((side) => message(side, name, options));
    expect(memory).toBe(real);
    expect(memory).toMatch(/^TypeError/);
  }
});
