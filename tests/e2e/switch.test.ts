/** The routes behind the page's switches and its burst: what they do under `npm start`, and that nobody else has them. */
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import type { BurstReport } from "../../examples/demo/burst.js";
import { Demo } from "./demo.js";
import { type Stage, startStage } from "./stage.js";
import { BOUND } from "./visitor.js";

interface Answer {
  status: number;
  body: { error?: string; fault?: string };
}

async function post(url: string, method = "POST"): Promise<Answer> {
  const response = await fetch(url, { method });
  return { status: response.status, body: (await response.json()) as Answer["body"] };
}

async function burst(stage: Stage, learner = "chidi"): Promise<BurstReport> {
  const response = await fetch(`${stage.visitor.url}/burst?learner=${learner}`, { method: "POST" });
  expect(response.status).toBe(200);
  return (await response.json()) as BurstReport;
}

describe("without DEMO=1", { timeout: BOUND }, () => {
  test.each([
    ["without DEMO", {}],
    ["with DEMO=true", { DEMO: "true" }],
  ])("nobody breaks Redis or sends bursts: %s", async (_, vars) => {
    const stage = await startStage(vars);
    onTestFinished(stage.stop);
    for (const path of ["/fault/hung", "/fault/healthy", "/fault/nonsense", "/burst", "/burst?learner=ada"]) {
      for (const method of ["POST", "GET"]) {
        expect(await post(`${stage.visitor.url}${path}`, method)).toEqual({
          status: 404,
          body: { error: "no such route" },
        });
      }
    }
    expect(stage.gateway.state().fault.name).toBe("healthy");
    const news = (await (await fetch(`${stage.visitor.url}/events?since=0`)).json()) as object;
    expect(news).toMatchObject({ demo: false, fault: null });
    expect((await stage.visitor.read("ada")).status).toBe(200);
  });
});

describe("with DEMO=1", { timeout: 2 * BOUND }, () => {
  let stage: Stage;
  let url: string;
  beforeAll(async () => {
    // So slow that all of a burst have come before the first is answered, on a busy machine too.
    stage = await startStage({}, { demo: true, delay: 150 });
    url = stage.visitor.url;
  }, BOUND);
  afterAll(() => stage?.stop(), BOUND);

  test.each([
    ["refused", "refuse", {}],
    ["hung", "hang", {}],
    ["slow", "slow", { delayMs: 600 }],
    ["500", "status", { code: 500 }],
    ["truncated", "truncated", {}],
    ["healthy", "healthy", {}],
  ])("/fault/%s switches the gateway's %s on, and the page is told of it", async (name, fault, options) => {
    onTestFinished(() => stage.gateway.fault("healthy"));
    expect(await post(`${url}/fault/${name}`)).toEqual({ status: 200, body: { fault: name } });
    expect(stage.gateway.state().fault).toMatchObject({ name: fault, options });
    expect(await (await fetch(`${url}/events?since=0`)).json()).toMatchObject({ demo: true, fault: name });
  });

  test.each([
    "hang",
    "nonsense",
    "__proto__",
    "..%2Freset",
    "http:%2F%2Fredis.example",
  ])("/fault/%s, which is none of them, is a 404 that names them", async (name) => {
    const { status, body } = await post(`${url}/fault/${name}`);
    expect(status).toBe(404);
    expect(body.error).toContain("expected one of healthy, refused, hung, slow, 500, truncated");
    expect(stage.gateway.state().fault.name).toBe("healthy");
  });

  test.each(["/fault/hung", "/burst"])("%s is not for GET, which a link may cause", async (path) => {
    expect(await post(`${url}${path}`, "GET")).toEqual({ status: 405, body: { error: "expected POST" } });
    expect(stage.gateway.state().fault.name).toBe("healthy");
  });

  test("a fault that was set past the page goes by the gateway's name", async () => {
    onTestFinished(() => stage.gateway.fault("healthy"));
    await stage.gateway.fault("html");
    expect(await (await fetch(`${url}/events`)).json()).toMatchObject({ fault: "html" });
    await stage.gateway.fault("status", { code: 429 });
    expect(await (await fetch(`${url}/events`)).json()).toMatchObject({ fault: "status" });
  });

  test("a burst of 100 cold requests is one attempt, one computation and two requests to Redis", async () => {
    for (let time = 0; time < 2; time++) {
      const [computed, asked] = [
        stage.upstream.counters().computations,
        stage.gateway.counters().httpRequests,
      ];
      const report = await burst(stage);
      expect(report).toMatchObject({
        requests: 100,
        ok: 100,
        banked: [expect.any(Number)],
        shared: 99,
        computations: 1,
        attempts: 1,
        newConnection: true,
        connection: { attempts: 1 },
      });
      expect(report.redisRequests).toBeLessThanOrEqual(2);
      expect(stage.upstream.counters().computations - computed).toBe(1);
      expect(stage.gateway.counters().httpRequests - asked).toBe(report.redisRequests);
    }
  });

  test.each([
    "refused",
    "hung",
    "slow",
    "500",
    "truncated",
  ])("a burst on a Redis that is %s has 100 right answers, and at most one attempt", async (fault) => {
    onTestFinished(() => stage.gateway.fault("healthy"));
    const { xp } = await stage.visitor.read("bruno");
    await post(`${url}/fault/${fault}`);
    const report = await burst(stage, "bruno");
    expect(report).toMatchObject({ ok: 100, banked: [xp.banked], attempts: 1, outcomes: { bypass: 100 } });
  });

  test("a burst leaves the connection of the other visitors as it is", async () => {
    await stage.visitor.readUntilHit("ada", 4);
    const before = await stage.visitor.connection();
    await burst(stage);
    expect(await stage.visitor.connection()).toEqual(before);
  });

  test("bursts go on when an isolate has all the connections that they may take", async () => {
    let report = await burst(stage);
    for (let time = 0; time < 30 && report.newConnection; time++) report = await burst(stage);
    expect(report).toMatchObject({ ok: 100, newConnection: false, computations: 1 });
    expect(report.attempts).toBeLessThanOrEqual(1);
    await stage.visitor.readUntilHit("ada", 4);
  });

  test("of two bursts at once one is told to wait", async () => {
    const statuses = await Promise.all(
      [1, 2].map(async () => (await fetch(`${url}/burst`, { method: "POST" })).status),
    );
    expect(statuses.sort()).toEqual([200, 409]);
  });

  test("/events tells what has changed since it was asked last", async () => {
    interface News {
      list: string;
      last: number;
      lines: { text: string; times: number; change: number }[];
    }
    const news = async (since: number) =>
      (await (await fetch(`${url}/events?since=${since}`)).json()) as News;
    const { last, list } = await news(0);
    expect((await news(last)).lines).toEqual([]);
    await stage.visitor.readUntilHit("ada", 4);
    const next = await news(last);
    expect(next.list).toBe(list);
    expect(next.lines.map(({ text }) => text)).toContain("Ada: from Redis");
    expect(next.lines.every(({ change }) => change > last)).toBe(true);
    const bad = await fetch(`${url}/events?since=-1`);
    expect(bad.status).toBe(400);
  });
});

test("npm start sets DEMO=1", { timeout: BOUND }, async () => {
  const demo = await Demo.start();
  onTestFinished(async () => void (await demo.stop()));
  expect(await post(`${demo.url}/fault/hung`)).toEqual({ status: 200, body: { fault: "hung" } });
  expect((await demo.read("ada")).outcome).toBe("bypass");
  await post(`${demo.url}/fault/healthy`);
  await demo.readUntilHit("ada", 4);
});
