/**
 * `npm run screenshots`: makes the pictures of the demo page in docs/images/ anew, by what a visitor would do: some reads and a
 * submission; then a Redis that hangs. Look at them before they are committed.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { findChromium } from "./setup/chromium.mjs";
import { ROOT } from "./setup/folders.mjs";
import { fail, ScriptError, say } from "./setup/report.mjs";
import { prepare } from "./setup.mjs";
import { freePort } from "./start/port.mjs";

const FOLDER = join(ROOT, "docs/images");
/** As much as a README should make anybody load, bytes. */
const MAX_SIZE = 200_000;
const WIDTH = 1280;
const SCHEMES = /** @type {const} */ (["light", "dark"]);

async function main() {
  await prepare(import.meta.url, { chromium: true });
  const data = mkdtempSync(join(tmpdir(), "leeward-screenshots-"));
  const demo = await startDemo(join(data, "learners.json"));
  try {
    await takeAll(demo.url);
  } finally {
    await demo.stop();
    rmSync(data, { recursive: true, force: true });
  }
}

/** @param {string} data the file of the upstream's records */
async function startDemo(data) {
  /** @type {Record<string, string>} */
  const ports = {};
  for (const name of ["PORT", "REDIS_PORT", "GATEWAY_PORT", "CONTROL_PORT", "UPSTREAM_PORT"]) {
    ports[name] = String(await freePort());
  }
  const child = spawn(process.execPath, [join(ROOT, "scripts/start.mjs")], {
    env: { ...process.env, ...ports, UPSTREAM_DATA: data },
    stdio: ["pipe", "pipe", "inherit"],
  });
  const ended = new Promise((resolve) => child.once("close", resolve));
  /** @type {Promise<string>} */
  const url = new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).on("line", (line) => {
      const [, found] = /^Leeward demo: (\S+)/.exec(line) ?? [];
      if (found) resolve(found);
    });
    ended.then(() => reject(new ScriptError("the demo ended before it was ready")));
  });
  return {
    url: await url,
    async stop() {
      child.kill("SIGINT");
      await ended;
    },
  };
}

/** @param {string} url */
async function takeAll(url) {
  // Not at the top: the set-up may only just have installed it.
  const { chromium } = await import("playwright-core");
  const browser = await chromium.launch({
    executablePath: findChromium() ?? "",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"],
  });
  try {
    const page = await browser.newPage({
      viewport: { width: WIDTH, height: 900 },
      reducedMotion: "reduce",
      timezoneId: "UTC",
    });
    await page.goto(url);
    await page.locator("body[data-outcome=hit]").waitFor();
    await page.getByLabel("Read by itself").uncheck();
    mkdirSync(FOLDER, { recursive: true });

    await read(page, 12);
    await page.getByRole("button", { name: /^Submit a lesson/ }).click();
    await page.locator("#headline", { hasText: /^Saved/ }).waitFor();
    await read(page, 14);
    await take(page, "healthy");

    await page.getByRole("radio", { name: /^Hung/ }).check();
    await page.locator("body[data-outcome=bypass]").waitFor();
    await read(page, 9);
    // The picture is of a read that Redis kept waiting, not of one that left it alone.
    const waited = page.locator("#why", { hasText: /^Leeward gave Redis 250 ms/ });
    while (!(await waited.isVisible())) await read(page, 1);
    await take(page, "outage");
  } finally {
    await browser.close();
  }
}

/** @param {import("playwright-core").Page} page @param {number} times */
async function read(page, times) {
  for (let time = 0; time < times; time++) {
    const news = page.waitForResponse(/\/events/);
    const answer = page.waitForResponse(/\/xp$/);
    await page.getByRole("button", { name: "Read again" }).click();
    await Promise.all([answer, news]);
    await page.locator("#read:not([aria-disabled])").waitFor();
  }
}

/** @param {import("playwright-core").Page} page @param {string} scene */
async function take(page, scene) {
  const end = await page.locator(".tape-card").boundingBox();
  const height = Math.ceil((end?.y ?? 0) + (end?.height ?? 0)) + 20;
  await page.mouse.move(0, 0);
  await page.evaluate("document.activeElement.blur()");
  for (const colorScheme of SCHEMES) {
    await page.emulateMedia({ colorScheme });
    const path = join(FOLDER, `page-${scene}-${colorScheme}.png`);
    await page.screenshot({ path, clip: { x: 0, y: 0, width: WIDTH, height } });
    const { size } = statSync(path);
    if (size > MAX_SIZE) throw new ScriptError(`${path} has ${size} bytes, expected at most ${MAX_SIZE}`);
    say(`screenshots: ${path} (${Math.round(size / 1000)} KB)`);
  }
}

main().catch(fail);
