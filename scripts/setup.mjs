/**
 * `npm run setup`: gets what building, testing and the demo need, and is silent when everything is there. The other scripts
 * begin with `prepare`.
 *
 * It needs node 18 or later and nothing else: no package may be imported from here on down.
 *
 * @module
 */
import { realpathSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { ensureChromium } from "./setup/chromium.mjs";
import { startedAgain, underNode22 } from "./setup/node.mjs";
import { ensurePackages } from "./setup/packages.mjs";
import { ensureRedis } from "./setup/redis.mjs";
import { fail } from "./setup/report.mjs";
import { ensureWasmTarget } from "./setup/wasm-target.mjs";

/**
 * Gets what is missing, and goes on under node 22: if this process has an older one, it runs the same script again under
 * the right one, and does not return.
 * @param {string} script the `import.meta.url` of the script that npm has started
 * @param {{ redis?: boolean, chromium?: boolean }} [options] `redis`: whether a Redis is needed (default true); `chromium`:
 *   whether a browser is (default false: only the tests and the screenshots drive one)
 * @throws {import("./setup/report.mjs").ScriptError} when something cannot be had; pass it to `fail`
 */
export async function prepare(script, { redis = true, chromium = false } = {}) {
  if (!startedAgain) {
    await ensurePackages();
    await ensureWasmTarget();
    if (redis) await ensureRedis();
    if (chromium) await ensureChromium();
  }
  await underNode22(script);
}

/**
 * @param {string} script an `import.meta.url`
 * @returns {boolean} whether node was started with this script, and has not imported it from another
 */
export function isStarted(script) {
  const started = process.argv[1];
  return started !== undefined && realpathSync(started) === realpathSync(fileURLToPath(script));
}

if (isStarted(import.meta.url)) await prepare(import.meta.url, { chromium: true }).catch(fail);
