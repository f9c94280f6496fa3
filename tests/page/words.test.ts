import { describe, expect, test } from "vitest";
import { outcomeOf } from "../../examples/demo/page/server.js";
import {
  errorWords,
  plural,
  stateWords,
  storyOfBurst,
  storyOfRead,
  storyOfSubmission,
} from "../../examples/demo/page/words.js";

const seen = {
  name: "Ada",
  outcome: "bypass" as const,
  reason: "timeout",
  shared: false,
  ms: 655,
  fault: "hung",
  recovered: false,
  retryMs: null,
};

describe("the story of a read", () => {
  test("names the cause, where the answer came from, and how long it took", () => {
    expect(storyOfRead(seen)).toEqual({
      headline: "Redis hangs; the answer came from the upstream in 655 ms.",
      why: "Leeward gave Redis 250 ms, no more, and went to the upstream. The XP is right, it only took longer.",
    });
  });

  test.each([
    ["refused", "Redis refuses connections"],
    ["hung", "Redis hangs"],
    ["slow", "Redis is too slow"],
    ["500", "Redis answers with errors"],
    ["truncated", "Redis' answers break off half-way"],
    ["html", "Redis gave no usable answer"],
    [null, "Redis gave no usable answer"],
  ])("while Redis is %s begins with: %s", (fault, cause) => {
    expect(storyOfRead({ ...seen, reason: "failed", fault }).headline).toBe(
      `${cause}; the answer came from the upstream in 655 ms.`,
    );
  });

  test("tells when Redis is tried again", () => {
    const { why } = storyOfRead({ ...seen, reason: "down", retryMs: 3210 });
    expect(why).toBe("Leeward leaves Redis alone for now, so nobody waits for it. It tries again in 3.2 s.");
    expect(storyOfRead({ ...seen, reason: "down", retryMs: -5 }).why).toContain(
      "The next read tries it again.",
    );
  });

  test("tells of a recovery", () => {
    const hit = { ...seen, outcome: "hit" as const, reason: "", ms: 6 };
    expect(storyOfRead({ ...hit, recovered: true }).headline).toBe("Redis is back: from Redis, in 6 ms.");
    expect(storyOfRead(hit).headline).toBe("From Redis, in 6 ms.");
  });

  test.each([
    "disabled",
    "down",
    "timeout",
    "failed",
    "pending-invalidation",
    "pass-through",
    "unavailable",
    "a reason of tomorrow",
  ])("has words for the reason %s", (reason) => {
    const { headline, why } = storyOfRead({ ...seen, reason, fault: "healthy" });
    expect(headline).toMatch(/^[A-Z][^_{}]+; the answer came from the upstream in 655 ms\.$/);
    expect(why).toMatch(/^[A-Z].+\.$/);
  });
});

test("the story of a submission says what became of the invalidation", () => {
  expect(storyOfSubmission({ name: "Ada", state: "applied", fault: "healthy" }).headline).toBe(
    "Saved, and Redis has dropped its copy of Ada's XP.",
  );
  expect(storyOfSubmission({ name: "Ada", state: "pending", fault: "hung" })).toEqual({
    headline: "Saved, but Redis hangs: it may hold an old copy of Ada's XP.",
    why: "Leeward says so instead of hiding it (“pending”), serves nothing old meanwhile, and tells Redis as soon as it is back.",
  });
  expect(storyOfSubmission({ name: "Ada", state: "refused", fault: null }).why).toContain("“refused”");
});

describe("the story of a burst", () => {
  const report = {
    requests: 100,
    ok: 100,
    banked: [130],
    outcomes: { hit: 0, miss: 100, bypass: 0 },
    shared: 99,
    computations: 1,
    attempts: 1,
    redisRequests: 2,
    newConnection: true,
    slowestMs: 480,
  };

  test("counts what it cost, and what it would have cost", () => {
    expect(storyOfBurst(report, "healthy")).toBe(
      "All 100 got the same, right XP, the slowest after 480 ms, for 2 HTTP requests to Redis. One of them connected and " +
        "computed, the others waited for it without depending on it: without Leeward it could have been 100 of each.",
    );
  });

  test("says when nobody had to connect", () => {
    const again = storyOfBurst({ ...report, attempts: 0, newConnection: false }, "healthy");
    expect(again).toContain("The connection was open already");
  });

  test("names the cause when Redis is broken", () => {
    const outcomes = { hit: 0, miss: 0, bypass: 100 };
    expect(storyOfBurst({ ...report, outcomes, redisRequests: 1 }, "hung")).toBe(
      "Redis hangs. All 100 got the same, right XP, the slowest after 480 ms, for 1 attempt to connect and 1 computation; " +
        "99 shared another's work.",
    );
  });

  test("does not call it right when it is not", () => {
    expect(storyOfBurst({ ...report, ok: 97 }, "healthy")).toMatch(/^97 of 100 were answered/);
    expect(storyOfBurst({ ...report, banked: [130, 150] }, "healthy")).not.toContain("right");
  });
});

test("every state of the connection and every kind of error has words", () => {
  for (const state of ["idle", "connecting", "ready", "down", "disabled"]) {
    expect(stateWords(state, null)).toMatch(/^\w.+/);
  }
  expect(errorWords(null)).toBe("none");
  for (const kind of ["timeout", "transport", "protocol", "server", "auth", "decode"]) {
    expect(errorWords(kind)).toContain(kind);
  }
  expect([plural(0, "read"), plural(1, "read"), plural(2, "read")]).toEqual(["0 reads", "1 read", "2 reads"]);
});

test.each([
  ["leeward; hit", { outcome: "hit", reason: "", shared: false }],
  ["leeward; fwd=miss; detail=storing", { outcome: "miss", reason: "storing", shared: false }],
  ["leeward; fwd=miss; stored; collapsed", { outcome: "miss", reason: "", shared: true }],
  ["leeward; fwd=bypass; detail=timeout", { outcome: "bypass", reason: "timeout", shared: false }],
  ["", { outcome: "bypass", reason: "", shared: false }],
])("Cache-Status %j is read as %j", (header, expected) => {
  expect(outcomeOf(header)).toEqual(expected);
});
