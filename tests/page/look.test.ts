/** How the page looks and how it is used: widths, colour schemes, keyboard, screen readers, and no request to anybody else. */
import type { BrowserContextOptions } from "playwright-core";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { BOUND, type PageStage, startPageStage } from "./stage.js";

const SIZES = { wide: { width: 1280, height: 900 }, narrow: { width: 390, height: 844 } };

const until = <T>(look: () => T) => expect.poll(look, { timeout: BOUND, interval: 20 });

describe("the page", { timeout: 2 * BOUND }, () => {
  let stage: PageStage;
  beforeAll(async () => {
    stage = await startPageStage();
  }, BOUND);
  afterAll(() => stage?.stop(), BOUND);

  test.each([
    ["wide", "light"],
    ["wide", "dark"],
    ["narrow", "light"],
    ["narrow", "dark"],
  ] as const)("fits and can be read: %s and %s, healthy, in an outage, and after a burst", async (size, colorScheme) => {
    onTestFinished(() => stage.gateway.fault("healthy"));
    // Colours are at rest at once, so that contrast is measured on what stays.
    const options: BrowserContextOptions = { viewport: SIZES[size], colorScheme, reducedMotion: "reduce" };
    const sight = await stage.open(options);
    const background = await sight.page.evaluate("getComputedStyle(document.body).backgroundColor");
    expect(background).toBe(colorScheme === "light" ? "rgb(238, 243, 242)" : "rgb(11, 21, 23)");

    const isFine = async () => {
      expect(await sight.overflow()).toBeLessThanOrEqual(0);
      expect(await sight.accessibilityProblems()).toEqual([]);
    };
    await isFine();
    await sight.page.getByRole("radio", { name: /^Truncated/ }).check();
    await until(() => sight.text("outcome")).toBe("fallback");
    await sight.page.getByRole("button", { name: "Send 100 cold requests" }).click();
    await sight.page.locator("#burst-result").waitFor();
    await isFine();
    await sight.page.getByRole("radio", { name: /^Healthy/ }).check();
    await until(() => sight.text("outcome")).toBe("hit");
    await isFine();
    await sight.close();
  });

  test("does everything by keyboard alone, and shows where the focus is", async () => {
    onTestFinished(() => stage.gateway.fault("healthy"));
    const sight = await stage.open();
    const { page } = sight;
    const { keyboard } = page;
    await page.locator("#faults").waitFor();
    const focused = () =>
      page.evaluate("document.activeElement.id || document.activeElement.value") as Promise<string>;
    const order: string[] = [];
    const next = async () => {
      await keyboard.press("Tab");
      order.push(await focused());
    };
    const outline = () =>
      page.evaluate(
        'getComputedStyle(document.activeElement.matches("[name=learner]") ? document.activeElement.nextElementSibling : document.activeElement).outlineStyle',
      );

    await next();
    expect(await outline()).toBe("solid");
    await keyboard.press("ArrowRight");
    await keyboard.press("ArrowRight");
    await until(() => sight.text("headline")).toMatch(/^Redis hangs; /);
    expect(stage.gateway.state().fault.name).toBe("hang");
    await keyboard.press("ArrowLeft");
    await keyboard.press("ArrowLeft");
    await until(() => stage.gateway.state().fault.name).toBe("healthy");

    await next();
    expect(await outline()).toBe("solid");
    await keyboard.press("ArrowRight");
    await until(() => sight.text("detail")).toMatch(/^Bruno/);
    await next();
    await keyboard.press("Enter");
    await next();
    const before = await sight.number("banked");
    await keyboard.press("Space");
    await until(() => sight.text("headline")).toMatch(/^Saved, /);
    expect(await sight.number("banked")).toBeGreaterThan(before);
    await next();
    await keyboard.press("Space");
    expect(await page.getByLabel("Read by itself").isChecked()).toBe(false);
    await next();
    await keyboard.press("Enter");
    await page.locator("#burst-result").waitFor();
    expect(await focused()).toBe("burst");
    expect(order).toEqual(["healthy", "ada", "read", "submit", "auto", "burst"]);
    await sight.close();
  });

  test("tells a screen reader what follows from what one did, and not every read", async () => {
    const sight = await stage.open();
    const { page } = sight;
    const status = page.getByRole("status");
    await until(() => sight.text("outcome")).toBe("hit");
    await page.evaluate(
      'globalThis.said = []; new MutationObserver(() => said.push(document.querySelector("#said").textContent)).observe(document.querySelector("#said"), { childList: true })',
    );
    const hits = await sight.number("hits");
    await until(() => sight.number("hits")).toBeGreaterThan(hits + 3);
    // On a busy machine one of them may have been late: that is said, and that it is over.
    expect((await page.evaluate("said.length")) as number).toBeLessThanOrEqual(2);
    await page.getByRole("button", { name: "Read again" }).click();
    await until(() => status.textContent()).toMatch(/^From Redis, in \d+ ms\. \d+ XP\.$/);
    await page.getByRole("button", { name: "Send 100 cold requests" }).click();
    await until(() => status.textContent()).toMatch(/All 100 got/);
    expect(await page.getByRole("img", { name: /^The last \d+ reads: / }).count()).toBe(1);
    await sight.close();
  });

  test("asks nobody but the worker, and forbids itself to", async () => {
    const response = await fetch(stage.visitor.url);
    expect(response.headers.get("content-security-policy")).toContain("default-src 'none'");
    expect(response.headers.get("content-security-policy")).toContain("connect-src 'self'");
    expect(await response.text()).not.toMatch(/https?:|style="|<script>/);
    const sight = await stage.open();
    expect(await sight.page.evaluate('document.fonts.check("16px Figtree")')).toBe(true);
    // `close` fails on any request to another host, and on anything in the console.
    await sight.close();
  });

  test("says so when the worker is gone, and goes on when it is back", async () => {
    const sight = await stage.open();
    const alert = sight.page.getByRole("alert");
    expect(await alert.count()).toBe(0);
    await sight.page.context().setOffline(true);
    await until(() => alert.textContent()).toBe("The worker does not answer. Is npm start still running?");
    await sight.page.context().setOffline(false);
    await until(() => alert.count()).toBe(0);
    // The browser itself notes each request that failed.
    for (const trouble of sight.troubles.splice(0)) expect(trouble).toContain("ERR_INTERNET_DISCONNECTED");
    await sight.close();
  });
});

test("serves the page's files, and not what is for developers", { timeout: BOUND }, async () => {
  const stage = await startPageStage();
  onTestFinished(stage.stop);
  for (const path of ["/", "/base.css", "/main.js", "/icon.svg", "/figtree.woff2", "/figtree-license.txt"]) {
    expect((await fetch(stage.visitor.url + path)).status, path).toBe(200);
  }
  for (const path of ["/tsconfig.json", "/_headers", "/.assetsignore"]) {
    expect((await fetch(stage.visitor.url + path)).status, path).toBe(404);
  }
});
