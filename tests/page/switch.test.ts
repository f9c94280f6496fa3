/** The page's switches: what a visitor sees while Redis is broken, and when it is back. */
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import type { Sight } from "./browser.js";
import { BOUND, type PageStage, startPageStage } from "./stage.js";

const FAULTS = [
  ["Refused", "refused", /^Redis refuses connections; the answer came from the upstream in \d+ ms\.$/],
  ["Hung", "hung", /^Redis hangs; the answer came from the upstream in \d+ ms\.$/],
  ["Slow", "slow", /^Redis is too slow; the answer came from the upstream in \d+ ms\.$/],
  ["500", "500", /^Redis answers with errors; the answer came from the upstream in \d+ ms\.$/],
  [
    "Truncated",
    "truncated",
    /^Redis' answers break off half-way; the answer came from the upstream in \d+ ms\.$/,
  ],
] as const;

const until = <T>(look: () => T) => expect.poll(look, { timeout: BOUND, interval: 20 });

const untilText = (sight: Sight, id: string, text: string | RegExp) =>
  until(() => sight.text(id)).toMatch(text);

const radio = (sight: Sight, name: string) => sight.page.getByRole("radio", { name: new RegExp(`^${name}`) });

describe("the page", { timeout: 2 * BOUND }, () => {
  let stage: PageStage;
  let submissions = 4;
  beforeAll(async () => {
    stage = await startPageStage();
  }, BOUND);
  afterAll(() => stage?.stop(), BOUND);

  /** The page, with Ada's XP from Redis. */
  async function openWithHits(): Promise<Sight> {
    await stage.gateway.fault("healthy");
    await stage.visitor.readUntilHit("ada", submissions);
    const sight = await stage.open();
    await untilText(sight, "outcome", /^hit$/);
    return sight;
  }

  test.each(
    FAULTS,
  )("shows right answers and the cause while Redis is switched to %s, and its recovery without a reload", async (name, _, headline) => {
    const sight = await openWithHits();
    onTestFinished(() => stage.gateway.fault("healthy"));
    const { page } = sight;
    await untilText(sight, "headline", /^From Redis, in \d+ ms\.$/);

    await radio(sight, name).check();
    await untilText(sight, "headline", headline);
    expect(await sight.text("outcome")).toBe("fallback");
    expect(await sight.text("why")).toMatch(/^[A-Z].{30,}\.$/);
    expect(await sight.text("detail")).toContain(`Ada Okafor: ${submissions} submissions`);
    expect(await sight.text("latency")).toMatch(/^\d+ ms$/);
    await until(() => sight.number("bypasses")).toBeGreaterThan(0);
    await until(() => sight.number("failures")).toBeGreaterThan(0);
    expect(await page.locator("#events li").first().textContent()).toMatch(/Redis|Attempt|connection/);

    const before = await sight.number("banked");
    await page.getByRole("button", { name: /^Submit a lesson/ }).click();
    submissions += 1;
    await untilText(sight, "detail", `Ada Okafor: ${submissions} submissions`);
    expect(await sight.number("banked")).toBeGreaterThanOrEqual(before + 20);
    await untilText(sight, "headline", /^Saved, /);

    // The sentence stays for some seconds only: watched from before the switch.
    const back = page.locator("#headline", { hasText: /^Redis is back: / }).waitFor();
    await radio(sight, "Healthy").check();
    await back;
    await untilText(sight, "outcome", /^hit$/);
    await untilText(sight, "state", /^ready$/);
    await until(() => sight.number("journal")).toBe(0);
    expect(await sight.text("detail")).toContain(`Ada Okafor: ${submissions} submissions`);
    await sight.close();
  });

  test("tells of a submission that Redis has been told of", async () => {
    const sight = await openWithHits();
    await sight.page.getByRole("button", { name: /^Submit a lesson/ }).click();
    submissions += 1;
    await untilText(sight, "headline", /^Saved, and Redis has dropped its copy of Ada's XP\.$/);
    expect(await sight.text("detail")).toContain(`Ada Okafor: ${submissions} submissions`);
    await untilText(sight, "outcome", /^hit$/);
    await sight.close();
  });

  test("shows another learner", async () => {
    const sight = await openWithHits();
    await sight.page.getByText("Emil", { exact: true }).click();
    await untilText(sight, "detail", /^Emil Sørensen: 0 submissions$/);
    expect(await sight.number("banked")).toBe(0);
    await sight.close();
  });

  test("reads by itself, and stops when it is told to", async () => {
    const sight = await openWithHits();
    const { page } = sight;
    const before = await sight.number("hits");
    await until(() => sight.number("hits")).toBeGreaterThan(before + 1);
    await page.getByLabel("Read by itself").uncheck();
    // One may be under way still. Two rounds of news later the next would have been due.
    for (let round = 0; round < 3; round++) await page.waitForResponse(/\/events/);
    const reads: string[] = [];
    page.on("request", (request) => reads.push(request.url()));
    for (let round = 0; round < 3; round++) await page.waitForResponse(/\/events/);
    expect(reads.filter((url) => url.includes("/learners/"))).toEqual([]);
    const after = await sight.number("hits");
    await page.getByRole("button", { name: "Read again" }).click();
    await until(() => sight.number("hits")).toBe(after + 1);
    await sight.close();
  });

  test("shows a fault that is on already, and one that was set elsewhere", async () => {
    await stage.gateway.fault("hang");
    onTestFinished(() => stage.gateway.fault("healthy"));
    const sight = await stage.open();
    await until(() => radio(sight, "Hung").isChecked()).toBe(true);
    await stage.gateway.fault("status", { code: 500 });
    await until(() => radio(sight, "500").isChecked()).toBe(true);
    await stage.gateway.fault("html");
    await untilText(sight, "redis-word", /^html$/);
    expect(await sight.page.locator("[name=fault]:checked").count()).toBe(0);
    await stage.gateway.fault("healthy");
    await until(() => radio(sight, "Healthy").isChecked()).toBe(true);
    await untilText(sight, "outcome", /^hit$/);
    await sight.close();
  });

  test("shows one attempt and one computation after a burst", async () => {
    const sight = await openWithHits();
    const computed = stage.upstream.counters().computations;
    await sight.page.getByRole("button", { name: "Send 100 cold requests" }).click();
    await untilText(sight, "burst-ok", /^100$/);
    expect(await sight.text("burst-attempts")).toBe("1");
    expect(await sight.text("burst-computations")).toBe("1");
    expect(await sight.text("burst-why")).toContain("All 100 got the same, right XP");
    expect(await sight.page.locator("#crowd i").count()).toBe(100);
    expect(await sight.page.locator("#crowd .worked").count()).toBe(1);
    expect(stage.upstream.counters().computations - computed).toBe(1);
    await untilText(sight, "events", /Burst · Ada: shared the computation of another request ×99/);
    await sight.close();
  });

  test("shows a burst on a Redis that hangs", async () => {
    const sight = await openWithHits();
    onTestFinished(() => stage.gateway.fault("healthy"));
    await radio(sight, "Hung").check();
    await untilText(sight, "outcome", /^fallback$/);
    await sight.page.getByRole("button", { name: "Send 100 cold requests" }).click();
    await untilText(sight, "burst-why", /^Redis hangs\. All 100 got the same, right XP/);
    expect(await sight.text("burst-attempts")).toBe("1");
    await sight.close();
  });
});

describe("the page of a worker that is not the demo's", { timeout: BOUND }, () => {
  test("has no switches and no burst, and shows the rest", async () => {
    const stage = await startPageStage({ demo: false });
    onTestFinished(stage.stop);
    const sight = await stage.open();
    await untilText(sight, "outcome", /^(miss|hit)$/);
    await untilText(sight, "state", /^ready$/);
    expect(await sight.page.getByRole("radio", { name: "Hung" }).count()).toBe(0);
    expect(await sight.page.locator("#faults, #burst-card, #hint").filter({ visible: true }).count()).toBe(0);
    await sight.close();
  });

  test("says so when no Redis is configured", async () => {
    const vars = { UPSTASH_REDIS_REST_URL: "", UPSTASH_REDIS_REST_TOKEN: "" };
    const stage = await startPageStage({ demo: false, vars });
    onTestFinished(stage.stop);
    const sight = await stage.open();
    await untilText(
      sight,
      "headline",
      /^No Redis is configured; the answer came from the upstream in \d+ ms\.$/,
    );
    await untilText(sight, "state", /^disabled$/);
    await sight.close();
  });
});
