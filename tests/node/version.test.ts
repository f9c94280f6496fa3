/** The build that an entry belongs to, where a binding names it. */
import { beforeEach, describe, expect, test, vi } from "vitest";
import { ofType, rejection, type Stage, startStage } from "./stage.ts";

let stage: Stage;
beforeEach(async () => {
  stage = await startStage();
});

const BINDING = "CF_VERSION_METADATA";
const version = { binding: BINDING };
const builds = async () =>
  ((await stage.redis.command("HKEYS", "leeward:k::key")) as string[]).filter((name) =>
    name.startsWith("h:"),
  );

test.for([
  ["version metadata", { id: "b7e9", tag: "", timestamp: "0" }],
  ["a text", "b7e9"],
])("%s names it", async ([, bound]) => {
  const { cache, events } = stage.cache({ version });
  const client = cache.for({ [BINDING]: bound });
  await client.set("key", 1);
  expect(await builds()).toEqual(["h:b7e9"]);
  expect(await client.get("key")).toBe(1);
  expect(ofType(events, "warning")).toEqual([]);
});

test("builds do not read each other's entries, and end them", async () => {
  const { cache } = stage.cache({ version });
  const [one, other] = ["1", "2"].map((id) => cache.for({ [BINDING]: { id } }));
  await one?.set("key", "one");
  expect(await other?.get("key")).toBeUndefined();
  await other?.getOrSet("key", () => "other");
  await stage.gateway.idle();
  expect([await one?.get("key"), await other?.get("key")]).toEqual(["one", "other"]);
  await one?.delete("key");
  expect([await one?.get("key"), await other?.get("key")]).toEqual([undefined, undefined]);
});

describe("without what it names the cache is disabled, and says so once", () => {
  test.for([
    ["no such variable", {}, "got nothing"],
    ["no id", { [BINDING]: { tag: "x" } }, "got one without an id"],
    ["an empty text", { [BINDING]: "" }, "got an empty text"],
    ["a number", { [BINDING]: 7 }, "got number"],
    ["no fit text", { [BINDING]: { id: "a b" } }, "must be a text of 0 to 64 characters without white space"],
  ] as const)("%s", async ([, env, message]) => {
    const { cache, events } = stage.cache({ version });
    const client = cache.for(env);
    const load = vi.fn(() => "own");
    expect(await client.lookup("key", load)).toMatchObject({ outcome: "bypass", reason: "disabled" });
    expect(await client.getOrSet("key", load)).toBe("own");
    expect(await rejection(client.delete("key"))).toMatchObject({ code: "unconfigured" });
    const warnings = ofType(events, "warning");
    expect(warnings).toMatchObject([{ code: "disabled" }]);
    expect(warnings[0]?.message).toContain(message);
    expect(stage.gateway.counters().httpRequests).toBe(0);
  });

  test.for([{}, { binding: 7 }, { binding: "" }, null, 7, true])("version: %j", async (bad) => {
    // Each with settings of its own: of what is wrong with those it is told once.
    const prefix = `of-${String(JSON.stringify(bad)).replaceAll(/\W/g, "-")}`;
    const { cache, events } = stage.cache({ prefix, version: bad as never });
    expect(await cache.getOrSet("key", () => "own")).toBe("own");
    expect(ofType(events, "warning")).toMatchObject([
      {
        message: expect.stringContaining(
          'option "version" must be a text, or an object that names a binding, got',
        ),
      },
    ]);
  });
});

test("an env that has it comes after one that had not", async () => {
  const { cache } = stage.cache({ version });
  expect(await cache.for({}).lookup("key", () => 1)).toMatchObject({ reason: "disabled" });
  expect(await cache.for({ [BINDING]: "1" }).set("key", 2)).toEqual({ state: "applied", stored: true });
});
