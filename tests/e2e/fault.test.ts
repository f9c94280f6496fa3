import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { type Stage, startStage } from "./stage.js";
import { BOUND } from "./visitor.js";

const LEARNERS = ["ada", "bruno", "chidi"] as const;

/** What each learner has submitted: the truth that every answer is held against. */
class Truth {
  readonly #submissions = new Map<string, number>(Object.entries({ ada: 4, bruno: 2, chidi: 6 }));

  of(learner: string): number {
    return this.#submissions.get(learner) ?? 0;
  }

  submitted(learner: string): void {
    this.#submissions.set(learner, this.of(learner) + 1);
  }
}

/** Reads, at once and one after the other, and submissions between them; returns what was told of the invalidations. */
async function visit({ visitor }: Stage, truth: Truth): Promise<string[]> {
  const told: string[] = [];
  for (const submitter of LEARNERS) {
    const reads = await Promise.all([...LEARNERS, ...LEARNERS].map((learner) => visitor.read(learner)));
    const { status, invalidation } = await visitor.submit(submitter);
    expect(status).toBe(200);
    truth.submitted(submitter);
    told.push(invalidation.state);
    reads.push(await visitor.read(submitter));
    for (const { status, outcome, xp } of reads.slice(0, -1)) {
      const submissions = truth.of(xp.learner) - (xp.learner === submitter ? 1 : 0);
      expect({ status, outcome, submissions: xp.submissions }).toEqual({
        status: 200,
        outcome: "bypass",
        submissions,
      });
    }
    expect(reads.at(-1)).toMatchObject({
      status: 200,
      outcome: "bypass",
      xp: { learner: submitter, submissions: truth.of(submitter) },
    });
  }
  return told;
}

describe("the worker in front of a Redis that fails", { timeout: 2 * BOUND }, () => {
  const truth = new Truth();
  let stage: Stage;
  beforeAll(async () => {
    stage = await startStage();
  }, BOUND);
  afterAll(() => stage?.stop(), BOUND);

  test.each([
    ["refuses connections", "refuse", {}],
    ["resets connections", "resetBeforeHeaders", {}],
    ["resets in the middle of the body", "resetMidBody", {}],
    ["hangs", "hang", {}],
    ["hangs after the headers", "hangAfterHeaders", {}],
    ["answers 500", "status", { code: 500 }],
    ["answers 429", "status", { code: 429 }],
    ["answers 200 with a page of HTML", "html", {}],
    ["cuts its JSON short", "truncated", {}],
    ["answers JSON of wrong types", "wrongTypes", { shape: "results" as const }],
    ["answers an object for an array", "wrongTypes", { shape: "container" as const }],
    ["does the work and loses the reply", "loseReply", {}],
  ] as const)("gives every visitor the right answer when it %s, and hits afterwards", async (_, fault, options) => {
    const { visitor, gateway } = stage;
    for (const learner of LEARNERS) await visitor.readUntilHit(learner, truth.of(learner));
    // A test that fails must not leave its fault to the next one.
    onTestFinished(() => gateway.fault("healthy"));
    await gateway.fault(fault, options);
    const told = await visit(stage, truth);
    expect(new Set(told)).toEqual(new Set(["pending"]));

    await gateway.fault("healthy");
    for (const learner of LEARNERS) await visitor.readUntilHit(learner, truth.of(learner));
    await visitor.untilJournalIsEmpty();
    expect(await visitor.connection()).toMatchObject({ state: "ready", isReady: true });
  });
});

describe("the worker without a Redis that takes it", { timeout: BOUND }, () => {
  test.each([
    ["with a wrong token", { UPSTASH_REDIS_REST_TOKEN: "wrong" }, /^(pending|refused)$/],
    ["without credentials", { UPSTASH_REDIS_REST_URL: "", UPSTASH_REDIS_REST_TOKEN: "" }, /^refused$/],
    ["with a URL that is none", { UPSTASH_REDIS_REST_URL: "redis.example:6379" }, /^(pending|refused)$/],
  ])("gives every visitor the right answer %s", async (_, vars, state) => {
    const stage = await startStage(vars);
    try {
      for (const told of await visit(stage, new Truth())) expect(told).toMatch(state);
    } finally {
      await stage.stop();
    }
  });

  test("tells a visitor of the upstream's failure as 502", async () => {
    const stage = await startStage();
    try {
      await stage.upstream.stop();
      const response = await fetch(`${stage.visitor.url}/learners/emil/xp`);
      expect(response.status).toBe(502);
      expect(await response.json()).toEqual({ error: "the upstream does not answer" });
    } finally {
      await stage.stop();
    }
  });
});
