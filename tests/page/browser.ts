/** Chromium, as the tests of the page drive it: without a window, with a fresh profile, and watched for what must not happen. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { expect } from "vitest";
import { findChromium } from "../../scripts/setup/chromium.mjs";

/** `--no-sandbox`: in containers, where everybody is root, there is none to be had. */
const ARGS = [
  ...["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
  ...["--disable-background-networking", "--disable-component-update", "--disable-sync"],
];

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export async function launchChromium(): Promise<Browser> {
  const executablePath = findChromium();
  if (!executablePath) throw new Error("there is no Chromium: npm test installs one, or says how to");
  return chromium.launch({ executablePath, args: ARGS });
}

/** One page and everything that went wrong in it. */
export class Sight {
  readonly page: Page;
  /** What the console was told, errors that nobody caught, and requests to other hosts. */
  readonly troubles: string[] = [];

  private constructor(page: Page, origin: string) {
    this.page = page;
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) this.troubles.push(`console: ${message.text()}`);
    });
    page.on("pageerror", (error) => this.troubles.push(`uncaught: ${error.message}`));
    page.on("request", (request) => {
      if (new URL(request.url()).origin !== origin) this.troubles.push(`request to ${request.url()}`);
    });
    page.on("response", (response) => {
      if (response.status() >= 400) this.troubles.push(`${response.status()} for ${response.url()}`);
    });
  }

  static async open(browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<Sight> {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
    const page = await context.newPage();
    page.setDefaultTimeout(20_000);
    const sight = new Sight(page, new URL(url).origin);
    await page.goto(url);
    await sight.untilRead();
    return sight;
  }

  /** Resolves when the first read has been answered; by then the page also knows whether it has switches. */
  async untilRead(): Promise<void> {
    await this.page.locator("body:not([data-outcome=none])").waitFor();
  }

  async text(id: string): Promise<string> {
    return (await this.page.locator(`#${id}`).textContent()) ?? "";
  }

  async number(id: string): Promise<number> {
    return Number(await this.text(id));
  }

  /** What axe finds wrong, in words: contrast and names and roles. */
  async accessibilityProblems(): Promise<string[]> {
    // Evaluated, not added as a script: the page's own policy refuses scripts from elsewhere.
    await this.page.evaluate(AXE);
    const run = `axe.run(document, { resultTypes: ["violations"] }).then(({ violations }) =>
      violations.flatMap(({ id, nodes }) => nodes.map(({ target, failureSummary }) => id + " " + target + ": " + failureSummary)))`;
    return (await this.page.evaluate(run)) as string[];
  }

  /** By how many pixels the page is wider than its window. */
  async overflow(): Promise<number> {
    return (await this.page.evaluate("document.documentElement.scrollWidth - innerWidth")) as number;
  }

  async close(): Promise<void> {
    await this.page.context().close();
    expect(this.troubles).toEqual([]);
  }
}
