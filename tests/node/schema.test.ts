/** What a read's schema does not take is a miss; what it takes is given as it is stored. */
import type { StandardSchemaV1 } from "leeward";
import * as v from "valibot";
import { beforeEach, describe, expect, test, vi } from "vitest";
import * as z from "zod";
import { cost, ofType, rejection, type Stage, startStage } from "./stage.ts";

let stage: Stage;
beforeEach(async () => {
  stage = await startStage();
});

interface User {
  name: string;
}

const SCHEMAS = {
  zod: z.object({ name: z.string() }),
  valibot: v.object({ name: v.string() }),
  "valibot, asynchronous": v.objectAsync({
    name: v.pipeAsync(
      v.string(),
      v.checkAsync(async () => true),
    ),
  }),
  "zod, asynchronous": z.object({ name: z.string().refine(async () => true) }),
};

/** Stores what an earlier build took for a user. */
async function old(value: unknown): Promise<void> {
  const { cache } = stage.cache();
  await cache.set("user", value);
}

/** A schema that keeps, and changes, what it is shown. */
function meddling(change: (value: Record<string, unknown>) => void, later = false): StandardSchemaV1 {
  return {
    "~standard": {
      version: 1,
      vendor: "test",
      validate(value) {
        change(value as Record<string, unknown>);
        return later ? Promise.resolve({ value }) : { value };
      },
    },
  };
}

const CHANGES: [string, (value: Record<string, unknown>) => void][] = [
  ["other properties", (value) => Object.assign(value, { name: "Eve", role: "admin" })],
  ["bytes, which cannot be frozen", (value) => Object.assign(value, { bytes: new Uint8Array(2) })],
  ["a cycle", (value) => Object.assign(value, { value })],
];

describe.each(CHANGES)("a schema that gives what it looks at %s", (_, change) => {
  test.each([false, true])("changes nobody's value, with L1 or without: later %s", async (later) => {
    for (const l1 of [undefined, { ttl: "5s", maxBytes: 1 << 20 } as const]) {
      const { cache, events } = stage.cache({ ...(l1 && { l1 }) });
      await cache.set("user", { name: "Ada" });
      const found = await cache.lookup("user", undefined, { schema: meddling(change, later) });
      expect(found).toMatchObject({ value: { name: "Ada" }, outcome: "hit" });
      expect(Object.keys(found.value as object)).toEqual(["name"]);
      expect(await cache.lookup("user")).toMatchObject({ value: { name: "Ada" }, l1: l1 !== undefined });
      expect(ofType(events, "warning")).toEqual([]);
    }
  });
});

describe.each(Object.entries(SCHEMAS))("%s", (_, schema) => {
  test("a stored value that it takes is a hit", async () => {
    const { cache, events } = stage.cache();
    await cache.set("user", { name: "Ada", more: 1 });
    const load = vi.fn(() => ({ name: "other" }));
    const found = await cache.lookup<User>("user", load, { schema });
    // As it is stored: what the schema would strip is there after a miss, too.
    expect(found).toMatchObject({ outcome: "hit", value: { name: "Ada", more: 1 } });
    expect(await cache.get("user", { schema })).toEqual({ name: "Ada", more: 1 });
    expect(load).not.toHaveBeenCalled();
    expect(ofType(events, "rejected")).toEqual([]);
  });

  test("one that it does not take is a miss, stored anew in two requests", async () => {
    await old({ name: 7 });
    const { cache, events } = stage.cache({ debug: true });
    stage.gateway.reset();
    const load = vi.fn(() => ({ name: "Ada" }));
    expect(await cache.lookup<User>("user", load, { schema })).toMatchObject({
      outcome: "miss",
      value: { name: "Ada" },
    });
    await stage.filled(cache, 2);
    expect(cost(stage.gateway)).toEqual([2, 2]);
    expect(ofType(events, "rejected")).toMatchObject([{ key: "user", path: "$.name", reason: "schema" }]);
    expect(await cache.lookup<User>("user", load, { schema })).toMatchObject({ outcome: "hit" });
    expect(load).toHaveBeenCalledTimes(1);
    expect(cache.stats()).toMatchObject({ rejected: 1, misses: 1, hits: 1, callbacks: 1 });
  });

  test("without a callback there is none then", async () => {
    await old("no user");
    const { cache } = stage.cache();
    expect(await cache.get("user", { schema })).toBeUndefined();
    expect(await cache.lookup("user", undefined, { schema })).toMatchObject({
      value: undefined,
      outcome: "miss",
      stored: false,
    });
  });
});

/** A schema of the test's own. */
function schemaOf(validate: (value: unknown) => unknown) {
  return { "~standard": { version: 1, vendor: "test", validate } } as const;
}

test("what the callback returns is not looked at, also where another request shares it", async () => {
  const { cache } = stage.cache();
  const validate = vi.fn(() => ({ issues: [{ message: "never" }] }));
  const load = vi.fn(async () => "value");
  const schema = schemaOf(validate);
  const both = await Promise.all(
    [1, 2].map(() => cache.for({}).lookup("key", load, { schema: schema as never })),
  );
  expect(both.map(({ value, shared }) => [value, shared])).toEqual([
    ["value", false],
    ["value", true],
  ]);
  expect(load).toHaveBeenCalledTimes(1);
  expect(validate).not.toHaveBeenCalled();
});

describe("a schema that fails has not taken the value", () => {
  const FAILING: Record<string, (value: unknown) => unknown> = {
    throws: () => {
      throw new Error("no");
    },
    rejects: () => Promise.reject(new Error("no")),
    "gives nothing": () => undefined,
    "gives a thenable that throws": () => ({
      // biome-ignore lint/suspicious/noThenProperty: that is what is tested
      then() {
        throw new Error("no");
      },
    }),
  };

  test.for(Object.entries(FAILING))("%s", async ([, validate]) => {
    await old("stored");
    const { cache, events } = stage.cache();
    expect(await cache.getOrSet("user", () => "own", { schema: schemaOf(validate) as never })).toBe("own");
    expect(ofType(events, "rejected")).toMatchObject([{ path: null, reason: "schema-failed" }]);
  });
});

test("a schema that never answers holds nobody up beyond the read's deadline", async () => {
  await old("stored");
  const { cache, events } = stage.cache({ timeout: { read: 300, write: "15s" } });
  const schema = schemaOf(() => new Promise(() => {})) as never;
  const found = await cache.lookup("user", () => "own", { schema });
  expect(found).toMatchObject({ value: "own", outcome: "bypass", reason: "timeout" });
  expect(ofType(events, "failure")).toMatchObject([{ error: "timeout" }]);
  expect(await cache.get("user", { schema })).toBeUndefined();
  await stage.gateway.idle();
});

test("a value that is kept for an error of the callback is looked at, too", async () => {
  const { cache } = stage.cache({ staleIfError: "1h" });
  await cache.set("user", { name: 7 });
  await cache.expire({ keys: ["user"] });
  const problem = new Error("down");
  const load = () => {
    throw problem;
  };
  const schema = SCHEMAS.zod;
  expect(await rejection(cache.getOrSet<User>("user", load, { schema }))).toBe(problem);
  expect(await cache.getOrSet<User>("user", load)).toEqual({ name: 7 });
});

test("a place in a value is told, and nothing of the value", async () => {
  await old({ list: [{ name: 7 }], secret: "hunter2" });
  const { cache, events } = stage.cache();
  const inner = { message: "got hunter2", path: ["list", 0, { key: "name" }] };
  const schema = schemaOf(() => ({ issues: [inner] })) as never;
  await cache.getOrSet("user", () => 1, { schema });
  expect(ofType(events, "rejected")).toMatchObject([{ path: "$.list[0].name" }]);
  expect(JSON.stringify(events)).not.toContain("hunter2");
});

test.for([
  null,
  {},
  () => true,
  { "~standard": { version: 2, validate: () => ({}) } },
  { "~standard": { version: 1 } },
])("%j is no schema", async (schema) => {
  const { cache } = stage.cache();
  const load = vi.fn();
  for (const call of [
    cache.getOrSet("key", load, { schema: schema as never }),
    cache.get("key", { schema: schema as never }),
  ]) {
    expect(await rejection(call)).toMatchObject({
      name: "TypeError",
      message: expect.stringContaining('option "schema" must be a Standard Schema, version 1, got'),
    });
  }
  expect(load).not.toHaveBeenCalled();
});
