import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { Demo } from "./demo.js";
import { BOUND } from "./visitor.js";

test(
  "100 first requests at once are one attempt, one computation and two requests to Redis",
  async () => {
    // So slow an upstream that all have come before the first is answered, on a busy machine too.
    const demo = await Demo.start({ UPSTREAM_DELAY: "1200" });
    onTestFinished(async () => void (await demo.stop()));
    expect((await demo.connection()).state).toBe("idle");
    const reads = await Promise.all(Array.from({ length: 100 }, () => demo.read("chidi")));
    for (const read of reads) {
      expect(read).toMatchObject({ status: 200, xp: { learner: "chidi", submissions: 6 } });
    }
    await expect.poll(async () => (await demo.connection()).stats.fills, { timeout: BOUND }).toBe(1);
    expect(await demo.connection()).toMatchObject({ state: "ready", attempts: 1, failures: 0 });
    expect(await demo.upstream()).toMatchObject({ computations: 1 });
    expect((await demo.counters()).httpRequests).toBeLessThanOrEqual(2);
  },
  BOUND,
);

describe("the demo that npm start runs", { timeout: BOUND }, () => {
  let demo: Demo;
  beforeAll(async () => {
    demo = await Demo.start();
  }, BOUND);
  afterAll(() => demo?.stop(), BOUND);

  test("reads a learner once from the upstream and then from Redis", async () => {
    const first = await demo.read("ada");
    expect(first).toMatchObject({ status: 200, outcome: "miss", xp: { banked: 130, unlocked: ["bronze"] } });
    const before = (await demo.upstream()).computations;
    const second = await demo.readUntilHit("ada", 4);
    expect(second.xp).toEqual(first.xp);
    expect(second.cacheStatus).toBe("leeward; hit");
    expect((await demo.upstream()).computations).toBe(before);
  });

  test("shows a submission in the very next read", async () => {
    await demo.readUntilHit("bruno", 2);
    expect(await demo.submit("bruno", { lesson: "fractions-3", xp: 20 })).toMatchObject({
      status: 200,
      submission: { learner: "bruno", lesson: "fractions-3", xp: 20 },
      invalidation: { state: "applied" },
    });
    const next = await demo.read("bruno");
    expect(next).toMatchObject({ outcome: "miss", xp: { banked: 60, submissions: 3, streak: 1 } });
    await demo.readUntilHit("bruno", 3);
  });

  test("describes the connection and its counters", async () => {
    await demo.readUntilHit("dana", 1);
    const { stats, ...connection } = await demo.connection();
    const { failures } = connection;
    expect(connection).toEqual({
      state: "ready",
      isOpen: true,
      isReady: true,
      attempts: expect.any(Number),
      reuses: expect.any(Number),
      failures: expect.any(Number),
      lastError: failures === 0 ? null : expect.any(String),
      changedAt: expect.any(Number),
      until: null,
    });
    expect(stats.hits).toBeGreaterThan(0);
    expect(stats.requests).toBe((await demo.counters()).httpRequests);
    expect(stats.journal).toBe(0);
  });

  test.each([
    ["GET", "/nothing", undefined, 404, "no such route"],
    ["GET", "/learners/ada", undefined, 404, "no such route"],
    ["GET", "/learners/nobody/xp", undefined, 404, "no such learner"],
    ["POST", "/learners/nobody/submissions", '{"lesson":"percent-2","xp":30}', 404, "no such learner"],
    ["POST", "/learners/ada/submissions", "not JSON", 400, "expected a JSON body"],
    ["POST", "/learners/ada/submissions", '{"lesson":"percent-2","xp":-1}', 400, "xp: expected"],
    ["DELETE", "/learners/ada/xp", undefined, 405, "expected GET, HEAD"],
    ["GET", "/learners/ada/submissions", undefined, 405, "expected POST"],
  ])("answers %s %s with body %s by %i and says why", async (method, path, body, status, reason) => {
    const response = await fetch(`${demo.url}${path}`, { method, ...(body === undefined ? {} : { body }) });
    expect(response.status).toBe(status);
    expect(((await response.json()) as { error: string }).error).toContain(reason);
    if (status === 405) expect(response.headers.get("allow")).toBe(reason.replace("expected ", ""));
  });

  test("prints what the cache did, a line for each event", async () => {
    await demo.script.says(/^leeward: attempt 1 to connect/m);
    await demo.script.says(/^leeward: connection .* -> ready/m);
    await demo.script.says(/^leeward: invalidation .*bruno.*: applied/m);
  });
});
