/** What somebody hostile named, forged or answered, in a real isolate: neighbours are served, and nothing secret is told. */
import { describe, expect, test } from "vitest";
import { secretsIn } from "../secrets.ts";
import { FLAG_ON, startStage } from "./stage.ts";
import type { Call } from "./visit.ts";

const KEY = "kQ7 visitor/ä Zx9w\r\n";
const TAG = "tJ4 group=ü Vb2n\u0000";
const SPACE = "nS8 tenant+ß Fy5g";
const VALUE = "vM1 balance&ö Hc8r";

const about = { keys: [KEY], tags: [TAG], all: true as const };
const options = { tags: [TAG], swr: "1m", staleIfError: "1m", leaseWait: 1 } as const;
const CALLS: Call[] = [[], [SPACE]].flatMap((namespace): Call[] => [
  { op: "lookup", key: KEY, namespace, load: { value: VALUE }, options: { ...options, tags: [TAG] } },
  { op: "getOrSet", key: KEY, namespace, load: { value: VALUE, tags: { names: [TAG], awaited: true } } },
  { op: "set", key: KEY, namespace, value: VALUE, options: { tags: [TAG] } },
  { op: "expire", key: KEY, namespace, what: about },
  { op: "mutate", key: KEY, namespace, what: about, load: { value: VALUE } },
  { op: "invalidate", key: KEY, namespace, what: about },
]);

describe("every operation, with names and values that are secret", () => {
  test.each([
    ["status", { code: 500, body: `${VALUE} ${KEY}` }],
    ["redisError", { error: `ERR ${VALUE} ${TAG}` }],
    ["wrongTypes", { shape: "results" }],
    ["loseReply", {}],
    ["redirect", { location: "http://127.0.0.1:1/" }],
  ] as const)("answers and tells none of it when Redis gives %s", async (fault, given) => {
    const stage = await startStage(FLAG_ON);
    await stage.isolate.visit({ calls: CALLS });
    await stage.gateway.fault(fault, given);
    const ended = await stage.isolate.visit({ calls: CALLS });
    const { events } = await stage.isolate.state();
    expect(events.some(({ type }) => type === "failure")).toBe(true);
    for (const { error } of ended) if (error !== undefined) expect(error.code).toBe("invalidation-pending");
    const errors = ended.map(({ error }) => `${error?.message} ${error?.printed}`);
    const told = JSON.stringify([events, errors]) + (await stage.isolate.log());
    expect(secretsIn(told, [KEY, TAG, SPACE, VALUE, stage.gateway.token])).toEqual([]);
  });
});

test("entries forged for one key cost that key alone, in the same isolate and the same turn", async () => {
  const stage = await startStage(FLAG_ON);
  const calls = Array.from(
    { length: 8 },
    (_, i): Call => ({ op: "getOrSet", key: `key ${i}`, load: { value: i } }),
  );
  await stage.isolate.visit({ calls });
  await stage.isolate.until(({ stats }) => stats.fills === calls.length);
  const forge = (i: number, ...pairs: string[]) =>
    stage.redis.command("HSET", `leeward:k::key ${i}`, ...pairs);
  await forge(0, "g", "a b");
  await forge(1, "h:", "2 forged");
  await forge(2, "b:", "{forged");
  await forge(3, "m", `forged ${Date.now() + 300_000}`);
  await stage.redis.command("SET", "leeward:k::key 4", "forged");
  const ended = await stage.isolate.visit({
    calls: calls.map((call) => ({ ...call, load: { value: "own" } })),
  });
  expect(ended.map(({ value }) => value)).toEqual(["own", "own", "own", "own", "own", 5, 6, 7]);
  const { connection } = await stage.isolate.state();
  expect(connection).toMatchObject({ state: "ready", attempts: 1, failures: 0 });
  await stage.settled();
});
