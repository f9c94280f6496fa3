/** Guards early refresh, which goes on behind answers, between requests and isolates as workerd runs them. */
import { describe, expect, test } from "vitest";
import { RUNTIMES, type Stage, startStage, together } from "./stage.ts";
import type { Call } from "./visit.ts";

const options = { timeout: { read: "20s", write: "20s", flight: "20s" }, ttl: "1m", earlyRefresh: 10 };
const VISIT = { options };
const lookup = (value: string): Call => ({ op: "lookup", key: "k", load: { value, gate: value } });

/** Stored, with a callback that is said to have taken so long that every hit is due. */
async function stored({ isolate, redis, hash }: Stage): Promise<void> {
  await isolate.open("old");
  await isolate.call(lookup("old"), VISIT);
  await isolate.until(({ stats }) => stats.fills === 1);
  const words = ((await hash("k"))["h:"] ?? "").split(" ");
  words[8] = String(1e12);
  await redis.command("HSET", "leeward:k::k", "h:", words.join(" "));
}

describe.each(RUNTIMES)("a hit that is due, $name", (runtime) => {
  test("of fifty requests in each of two isolates is refreshed by one, behind its answer", async () => {
    const stage = await startStage(runtime);
    const { isolate, gateway, settled } = stage;
    const there = await stage.neighbour();
    await stored(stage);
    await there.call({ op: "get", key: "connect" }, VISIT);
    await gateway.reset();
    for (const one of [isolate, there]) {
      for (const { value } of await together(50, () => one.call(lookup("new"), VISIT))) {
        expect(value).toMatchObject({ value: "old", outcome: "hit", stored: true });
      }
    }
    await isolate.until(({ books }) => books.k?.waiting === 1);
    await isolate.open("new");
    await isolate.until(({ stats }) => stats.fills === 2);
    await settled();
    expect((await there.state()).stats).toMatchObject({ callbacks: 0, hits: 50 });
    expect((await there.call({ op: "look", key: "k" }, VISIT)).value).toMatchObject({ value: "new" });
  });

  test("costs one request for the hit, one for the lease, one for the fill", async () => {
    const stage = await startStage(runtime);
    const { isolate, gateway, settled } = stage;
    await stored(stage);
    await gateway.reset();
    await isolate.open("new");
    expect((await isolate.call(lookup("new"), VISIT)).value).toMatchObject({ value: "old", outcome: "hit" });
    await isolate.until(({ stats }) => stats.fills === 2);
    await settled();
    const { httpRequests, redisCommands } = gateway.counters();
    expect([httpRequests, redisCommands]).toEqual([3, 3]);
  });
});
