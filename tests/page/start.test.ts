/** The page as a person has it who has typed `npm start`, and who stops Redis itself. */
import { expect, onTestFinished, test } from "vitest";
import { Demo } from "../e2e/demo.js";
import { launchChromium, Sight } from "./browser.js";
import { BOUND } from "./stage.js";

const until = <T>(look: () => T) => expect.poll(look, { timeout: BOUND, interval: 20 });

test("goes on when Redis itself is stopped, and sees it come back", { timeout: 2 * BOUND }, async () => {
  const demo = await Demo.start();
  onTestFinished(async () => void (await demo.stop()));
  const browser = await launchChromium();
  onTestFinished(() => browser.close());
  const sight = await Sight.open(browser, demo.url);
  await until(() => sight.text("outcome")).toBe("hit");
  expect(await sight.page.getByRole("radio", { name: /^Hung/ }).isVisible()).toBe(true);

  demo.script.type("r");
  await demo.script.says(/redis: stopped/);
  await until(() => sight.text("outcome")).toBe("fallback");
  expect(await sight.text("headline")).toMatch(/^Redis .+; the answer came from the upstream in \d+ ms\.$/);
  expect(await sight.text("detail")).toContain("Ada Okafor: 4 submissions");

  const back = sight.page.locator("#headline", { hasText: /^Redis is back: / }).waitFor();
  demo.script.type("r");
  await back;
  await until(() => sight.text("outcome")).toBe("hit");
  await sight.close();
  // The page's own questions would bury what the worker says.
  expect(demo.script.output).not.toMatch(/GET \/events|GET \/base\.css/);
  expect(demo.script.output).toMatch(/^leeward: read xp:ada: hit/m);
});
