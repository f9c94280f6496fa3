/** The demo worker with its page, a browser in front of it, and what the tests of the page have in common. */
import type { Browser, BrowserContextOptions } from "playwright-core";
import { type Stage, startStage } from "../e2e/stage.js";
import { launchChromium, Sight } from "./browser.js";

export { BOUND } from "../e2e/visitor.js";

export interface PageStage extends Stage {
  browser: Browser;
  open(options?: BrowserContextOptions): Promise<Sight>;
}

export async function startPageStage({
  demo = true,
  vars = {},
}: {
  demo?: boolean;
  vars?: Record<string, string>;
} = {}): Promise<PageStage> {
  // As slow as a burst needs it, see switch.test.ts.
  const stage = await startStage(vars, { demo, delay: 150 });
  const browser = await launchChromium().catch(async (error: unknown) => {
    await stage.stop();
    throw error;
  });
  return {
    ...stage,
    browser,
    open: (options) => Sight.open(browser, stage.visitor.url, options),
    async stop() {
      await browser.close();
      await stage.stop();
    },
  };
}
