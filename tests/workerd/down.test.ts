/** Guards what a Redis that is gone costs in a real isolate, and how it is found again. */
import { describe, expect, test } from "vitest";
import { complaints, RUNTIMES, startStage } from "./stage.ts";
import type { Call } from "./visit.ts";

const call: Call = { op: "lookup", key: "k", load: { value: "own" } };
const reasonOf = ({ value }: { value?: unknown }) => (value as { reason?: string }).reason;

describe.each(RUNTIMES)("a Redis that is refused, $name", (runtime) => {
  test("costs at most a tenth of an attempt a request, no I/O otherwise, and one probe finds it again", async () => {
    const { isolate, gateway, settled } = await startStage(runtime);
    await gateway.fault("refuse");
    expect(reasonOf(await isolate.call(call))).toBe("failed");
    const before = (await isolate.state()).connection;
    expect(before).toMatchObject({ state: "down", attempts: 1 });
    for (let n = 0; n < 300; n += 1) {
      const ended = await isolate.call(call);
      expect(ended.value).toMatchObject({ value: "own", outcome: "bypass" });
    }
    const { connection, stats } = await isolate.state();
    expect(connection.attempts - before.attempts).toBeLessThanOrEqual(30);
    expect(stats.requests).toBe(connection.attempts);

    await gateway.fault("healthy");
    const { attempts } = (await isolate.state()).connection;
    let probe = await isolate.call(call);
    while (reasonOf(probe) === "down") probe = await isolate.call(call);
    expect(probe.value).toMatchObject({ value: "own", outcome: "miss" });
    expect((await isolate.state()).connection).toMatchObject({ state: "ready", attempts: attempts + 1 });
    await settled();
  });

  test("is probed anew when the request that probed has died", async () => {
    const { isolate, gateway } = await startStage(runtime);
    await gateway.fault("refuse");
    await isolate.call(call);
    await gateway.fault("healthy");
    const { until } = (await isolate.state()).connection;
    await isolate.until(() => Date.now() > (until ?? 0));
    const dead = isolate.send("/", { ctx: "deaf", early: true, calls: [call] });
    expect(await dead.answer).toEqual({ status: 200, text: "early" });
    expect((await isolate.state()).connection).toMatchObject({ state: "connecting", attempts: 2 });
    // Until its deadline others wait for it, and no longer; whoever comes first after that is the next probe.
    let next = await isolate.call(call);
    while (reasonOf(next) !== undefined) {
      expect(reasonOf(next)).toBe("timeout");
      next = await isolate.call(call);
    }
    expect(next.value).toMatchObject({ outcome: "miss" });
    expect((await isolate.state()).connection).toMatchObject({ state: "ready", attempts: 3 });
    expect(await complaints(isolate)).toEqual([]);
  });
});

test("a Redis most of whose answers are slow is left alone, though none has failed", async () => {
  const { isolate, gateway, settled } = await startStage(RUNTIMES[0] as (typeof RUNTIMES)[number]);
  const options = { timeout: { read: "20s", write: "20s" } };
  await isolate.call({ op: "get", key: "k" }, { options });
  // Another cache of the isolate, with the same connection: what takes it 850 ms of a read's second is slow.
  const quick = { cache: "quick", options: { timeout: { read: 1000, write: "20s" } } };
  await gateway.fault("slow", { delayMs: 850 });
  for (let n = 0; n < 5; n += 1) {
    expect((await isolate.state()).connection.state).toBe("ready");
    await isolate.call({ op: "invalidate", key: `k${n}` }, quick);
  }
  const { connection } = await isolate.state();
  expect(connection).toMatchObject({ failures: 0, lastError: "timeout" });
  const { events } = await isolate.state(quick);
  const told = events.flatMap((event) => (event.type === "connection" ? [event] : []));
  expect(told).toMatchObject([{ from: "ready", to: "down", error: "timeout" }]);
  expect(told[0]?.message).toContain("slow");
  await settled();
});
