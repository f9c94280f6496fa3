/** Guards that a value comes back as it went in, or is not stored and the place in it is named. */
import { describe, expect, test } from "vitest";
import type { Isolate } from "./isolate.ts";
import { FLAG_ON, RUNTIMES, startStage, together } from "./stage.ts";

async function ask<T>(isolate: Isolate, path: string): Promise<T> {
  const { status, text } = await isolate.send(path, {}).answer;
  expect(status, text).toBe(200);
  return JSON.parse(text) as T;
}

interface Names {
  storable: string[];
  unstorable: string[];
}

describe("values", () => {
  test("that can be stored come back as they went in, by callback and by set", async () => {
    const { isolate } = await startStage(FLAG_ON, { handler: "value-worker.ts" });
    const { storable } = await ask<Names>(isolate, "/names");
    expect(storable.length).toBeGreaterThan(20);
    for (const name of storable) {
      const found = await ask(isolate, `/storable?name=${encodeURIComponent(name)}`);
      expect({ name, ...(found as object) }).toEqual({
        name,
        filled: true,
        set: { state: "applied", stored: true },
        read: [true, true],
        got: true,
        polluted: false,
      });
    }
  });

  test("that cannot be stored reach the caller as the same object, and the event names the place", async () => {
    const { isolate } = await startStage(FLAG_ON, { handler: "value-worker.ts" });
    const { unstorable } = await ask<Names>(isolate, "/names");
    expect(unstorable.length).toBeGreaterThan(10);
    for (const name of unstorable) {
      const url = `/unstorable?name=${encodeURIComponent(name)}`;
      const found = await ask<{ path: string; refused: string }>(isolate, url);
      expect({ name, ...found }).toMatchObject({ same: true, stored: false, told: { path: found.path } });
      expect(found.refused).toMatch(/^TypeError: the value cannot be stored: /);
      expect(found.refused.endsWith(`, at ${found.path}`), found.refused).toBe(true);
    }
  });
});

describe.each(RUNTIMES)("those who share a callback's value, $name", (own) => {
  test("within a request have separate copies", async () => {
    const { isolate } = await startStage(own, { handler: "value-worker.ts" });
    expect(await ask(isolate, "/shared")).toEqual({ separate: true, b: { list: [1] } });
  });

  test("in many requests get all of it, in any kind", async () => {
    const { isolate, settled } = await startStage(own);
    for (const value of [null, 0, "", [], {}, "ä😀", { a: [1, { b: null }] }]) {
      const key = JSON.stringify(value);
      const answers = together(20, () => isolate.call({ op: "getOrSet", key, load: { gate: key, value } }));
      await isolate.until(({ books }) => books[key]?.asked === 20);
      await isolate.open(encodeURIComponent(key));
      expect((await answers).map((ended) => ended.value)).toEqual(Array.from({ length: 20 }, () => value));
    }
    await settled();
  });
});
