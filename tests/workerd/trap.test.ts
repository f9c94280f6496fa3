/** A core that fails in earnest in workerd: no answer fails, neighbours finish, and nothing that is pending is lost. */
import type { CacheEvent } from "leeward";
import { describe, expect, test } from "vitest";
import type { Isolate } from "./isolate.ts";
import { givenBy, RUNTIMES, startStage, together } from "./stage.ts";
import { TRAPPING_PACKAGE } from "./workerd.ts";

const WAYS = ["panic", "trap", "overflow", "exhaust"];
const CAUSE = /failed on purpose, at src\/js\/trap\.rs:\d+|unreachable|out of bounds|call stack/;

const warnings = (events: CacheEvent[]) => events.filter((event) => event.type === "warning");

/** Reads until Redis is asked again; what was invalidated is never served. */
async function untilAsked(isolate: Isolate): Promise<void> {
  for (;;) {
    const call = { op: "lookup", key: "key", load: { value: "new" } } as const;
    const ended = await isolate.call(call);
    expect(givenBy(call, ended)).toBe("new");
    if ((ended.value as { outcome: string }).outcome !== "bypass") return;
  }
}

describe.each(RUNTIMES)("$name, a core that ends by", (runtime) => {
  test.for(WAYS)("%s, while requests are under way", async (how) => {
    const stage = await startStage(runtime, { files: TRAPPING_PACKAGE });
    const { isolate, gateway } = stage;
    await isolate.call({ op: "set", key: "key", value: "old" });
    await gateway.fault("status", { code: 503 });
    const { error } = await isolate.call({ op: "invalidate", key: "key" });
    expect(error).toMatchObject({ state: "pending" });
    const neighbours = together(4, (n) =>
      isolate.call({ op: "getOrSet", key: `neighbour-${n}`, load: { gate: "open", value: n } }),
    );
    await isolate.until(({ books }) => [0, 1, 2, 3].every((n) => books[`neighbour-${n}`]?.waiting === 1));

    await isolate.send(`/fail?at=1&how=${how}`, {}).answer;
    expect((await isolate.call({ op: "getOrSet", key: "other", load: { value: 1 } })).value).toBe(1);
    expect((await isolate.call({ op: "getOrSet", key: "key", load: { value: "new" } })).value).toBe("new");
    await isolate.open("open");
    expect((await neighbours).map(({ value }) => value)).toEqual([0, 1, 2, 3]);
    await gateway.fault("healthy");
    await untilAsked(isolate);
    const { events } = await isolate.until(({ stats }) => stats.journal === 0);
    expect(warnings(events)).toMatchObject([{ code: "trapped", message: expect.stringMatching(CAUSE) }]);
    // A panic is printed with its stack, in which the package is named.
    await stage.settled({ allowed: /^ +at .*leeward:\d+/ });
    if (how === "panic") expect(await isolate.log()).toContain("failed on purpose");
  });

  test("panics at one call after the other, answers each, and writes come to a true end", async () => {
    const stage = await startStage(runtime, { files: TRAPPING_PACKAGE });
    const { isolate } = stage;
    await isolate.call({ op: "get", key: "key" });
    for (let at = 1; at <= 12; at += 1) {
      await isolate.send(`/fail?at=${at}&how=panic`, {}).answer;
      const key = `key-${at}`;
      const [read, write] = await isolate.visit({
        calls: [
          { op: "getOrSet", key, load: { value: at } },
          { op: "invalidate", key },
        ],
      });
      expect(read?.value).toBe(at);
      expect([read?.error, write?.error?.state ?? "applied"]).toEqual([
        undefined,
        expect.stringMatching(/^(applied|pending|refused)$/),
      ]);
    }
    const { events, unhandled } = await isolate.state();
    // Then it was left alone.
    expect(warnings(events)).toMatchObject([1, 2, 3].map(() => ({ code: "trapped" })));
    expect(unhandled).toEqual([]);
  });

  test("not being one runs callbacks, with one warning", async () => {
    const empty = Uint8Array.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
    const { isolate, gateway } = await startStage(runtime, { files: { "leeward.wasm": empty } });
    for (const value of [1, 2]) {
      expect((await isolate.call({ op: "getOrSet", key: "key", load: { value } })).value).toBe(value);
    }
    expect((await isolate.call({ op: "invalidate", key: "key" })).error).toMatchObject({ state: "refused" });
    expect(warnings((await isolate.state()).events)).toMatchObject([{ code: "unavailable" }]);
    expect(gateway.counters().httpRequests).toBe(0);
  });
});
