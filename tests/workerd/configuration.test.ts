/** Guards that a configuration that cannot work costs one warning and the cache, never an answer. */
import { describe, expect, test } from "vitest";
import { credentials, RUNTIMES, type Stage, startStage, together } from "./stage.ts";
import type { Visit } from "./visit.ts";

const NONE = /no Redis is configured/;
const CASES: [name: string, visit: Omit<Visit, "calls">, warning: RegExp][] = [
  ["no env at all", { env: null }, NONE],
  ["an env that is none", { env: "planted" as unknown as null }, NONE],
  ["an env without credentials", { env: { OTHER: "1" } }, NONE],
  ["empty credentials", { env: credentials({ url: "", token: "  " }) }, NONE],
  ["a URL without a token", { env: { UPSTASH_REDIS_REST_URL: "http://127.0.0.1:1" } }, /no token beside it/],
  ["a token without a URL", { env: { UPSTASH_REDIS_REST_TOKEN: "planted" } }, /no URL beside it/],
  [
    "a URL that is none",
    { env: credentials({ url: "planted nonsense", token: "t" }) },
    /must begin with https/,
  ],
  [
    "another scheme",
    { env: credentials({ url: "redis://planted:6379", token: "t" }) },
    /must begin with https/,
  ],
  [
    "a password in the URL",
    { env: credentials({ url: "https://u:planted@h", token: "t" }) },
    /user or password/,
  ],
  [
    "a bad port",
    { env: credentials({ url: "http://h:99999", token: "t" }) },
    /must be a number from 1 to 65535/,
  ],
  [
    "a token with a line break",
    { env: credentials({ url: "http://h", token: "plan\nted" }) },
    /visible ASCII/,
  ],
  ["a token beyond ASCII", { env: credentials({ url: "http://h", token: "plänted" }) }, /visible ASCII/],
  ["an option that is unknown", { options: { tll: 5 } }, /unknown option "tll"/],
  ["a time to live that is none", { options: { ttl: "soon" } }, /option "ttl" must be/],
  ["a time to live below 0", { options: { ttl: -1 } }, /option "ttl" must be/],
  ["an empty prefix", { options: { prefix: "" } }, /option "prefix" must be/],
  ["a timeout that is none", { options: { timeout: { read: "an hour" } } }, /option "timeout.read" must be/],
  ["timeouts in a number", { options: { timeout: 5 } }, /option "timeout" must be an object/],
  ["a URL of another type", { options: { url: 5 } }, /option "url" must be a text/],
  ["null for options", { options: null }, /options must be an object/],
];

/** With settings of its own each, since caches with the same settings are one, and are warned of once. */
const GARBAGE = CASES.map(([name, visit, warning], i): (typeof CASES)[number] => [
  name,
  visit.options === undefined ? { ...visit, options: { prefix: `case${i}` } } : visit,
  warning,
]);

/** The worker's own env holds nothing of use either. */
const BARE = { env: credentials({ url: "", token: "" }) };

async function expectUncached(stage: Stage, cache: string, visit: Omit<Visit, "calls">): Promise<void> {
  const { isolate, gateway } = stage;
  const wanted = { env: credentials(gateway), ...visit, cache };
  const reads = await together(20, (i) =>
    isolate.call({ op: "lookup", key: "k", load: { value: i } }, wanted),
  );
  for (const [i, { value }] of reads.entries()) {
    expect(value).toMatchObject({
      value: i,
      outcome: "bypass",
      reason: "disabled",
      stored: false,
      shared: false,
    });
  }
  const own = await isolate.call({ op: "getOrSet", key: "k", load: { fail: "mine" } }, wanted);
  expect(own.error).toMatchObject({ message: "mine", own: true });
  expect((await isolate.call({ op: "get", key: "k" }, wanted)).type).toBe("undefined");
  for (const op of ["set", "delete", "invalidate"] as const) {
    const { error } = await isolate.call({ op, key: "k", value: 1 }, wanted);
    expect(error).toMatchObject({
      code: "unconfigured",
      state: "refused",
      retryable: false,
      keys: ["k"],
      leeward: true,
    });
  }
  const { connection, stats } = await isolate.state(wanted);
  expect(connection).toMatchObject({ state: "disabled", isOpen: false, isReady: false, attempts: 0 });
  expect(stats).toMatchObject({ requests: 0, bypasses: 21, journal: 0 });
}

describe.each(RUNTIMES)("a configuration that cannot work, $name", (runtime) => {
  test("runs callbacks, refuses writes, and is warned of once, without repeating it", async () => {
    const stage = await startStage(runtime, BARE);
    for (const [name, visit, warning] of GARBAGE) {
      await expectUncached(stage, name, visit);
      const { events } = await stage.isolate.state({ ...visit, cache: name });
      const warnings = events.filter(({ type }) => type === "warning");
      // Options that are no object have nobody who listens.
      if (typeof visit.options === "object" && visit.options === null) expect(warnings).toEqual([]);
      else {
        expect(warnings, name).toHaveLength(1);
        expect(warnings[0]).toMatchObject({ code: "disabled", message: expect.stringMatching(warning) });
      }
      expect(JSON.stringify(events)).not.toMatch(/planted|plänted|nonsense/);
    }
    expect(stage.gateway.counters().httpRequests).toBe(0);
    await stage.settled({ allowed: /leeward: the cache is disabled/ });
  });

  test("is warned of on the console, once, when nobody listens", async () => {
    const stage = await startStage(runtime, BARE);
    for (const [name, visit, warning] of GARBAGE) {
      const before = await stage.isolate.log();
      await expectUncached(stage, `${name}, unobserved`, { ...visit, unobserved: true });
      const told = (await stage.isolate.log()).slice(before.length).split("\n").filter(Boolean);
      expect(told, name).toHaveLength(1);
      expect(told[0]).toMatch(warning);
      expect(told[0]).not.toMatch(/planted|plänted|nonsense/);
    }
  });
});

describe.each(RUNTIMES)("credentials, $name", (runtime) => {
  test("that change are another connection, and another's are not touched by it", async () => {
    const stage = await startStage(runtime);
    const { isolate, gateway } = stage;
    const readOnly = { env: credentials({ url: gateway.url, token: gateway.readOnlyToken }) };
    await isolate.call({ op: "lookup", key: "k", load: { value: 1 } });
    await isolate.until(({ stats }) => stats.fills === 1);
    await isolate.call({ op: "lookup", key: "k", load: { value: 2 } }, readOnly);
    expect((await isolate.state()).connection).toMatchObject({ attempts: 1, state: "ready" });
    expect((await isolate.state(readOnly)).connection).toMatchObject({ attempts: 1 });
    // And back again: nothing has been forgotten.
    expect((await isolate.call({ op: "lookup", key: "k" })).value).toMatchObject({
      value: 1,
      outcome: "hit",
    });
    expect((await isolate.state()).connection.attempts).toBe(1);
    await stage.settled();
  });

  test("that may only read are told so by writes: refused, not sent again", async () => {
    const stage = await startStage(runtime);
    const { isolate, gateway } = stage;
    const visit = { env: credentials({ url: gateway.url, token: gateway.readOnlyToken }) };
    expect((await isolate.call({ op: "getOrSet", key: "k", load: { value: 1 } }, visit)).value).toBe(1);
    const { error } = await isolate.call({ op: "invalidate", key: "k" }, visit);
    expect(error).toMatchObject({ code: "invalidation-refused", state: "refused", retryable: false });
    expect((await isolate.state(visit)).stats).toMatchObject({ journal: 0, invalidationsRefused: 1 });
    await stage.settled();
  });

  test("of two endpoints at once keep two caches apart: one down, the other serves hits", async () => {
    const stage = await startStage(runtime);
    const { isolate } = stage;
    const other = await stage.another();
    const here = { cache: "here", options: { prefix: "here" } };
    const there = { cache: "there", options: { prefix: "there" }, env: credentials(other) };
    for (const visit of [here, there]) {
      await isolate.call({ op: "set", key: "k", value: visit.cache }, visit);
    }
    await other.fault("refuse");
    const answers = await together(40, (i) =>
      isolate.call({ op: "lookup", key: "k", load: { value: "fresh" } }, i % 2 === 0 ? here : there),
    );
    for (const [i, { value }] of answers.entries()) {
      expect(value).toMatchObject(
        i % 2 === 0 ? { value: "here", outcome: "hit" } : { value: "fresh", outcome: "bypass" },
      );
    }
    expect((await isolate.state(here)).connection).toMatchObject({
      state: "ready",
      failures: 0,
      attempts: 1,
    });
    expect((await isolate.state(there)).connection).toMatchObject({ lastError: "transport", attempts: 1 });
    await stage.settled();
  });
});
