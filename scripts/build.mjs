/**
 * `npm run build`: makes dist/, which is what the package ships, and prints its sizes. Does the set-up first, and only
 * the steps whose inputs have changed.
 *
 * `npm run build -- --accept-imports` also writes the imports of the module to scripts/wasm-imports.txt, for review.
 *
 * @module
 */

import { buildBundles } from "./build/bundle.mjs";
import { buildGlue } from "./build/glue.mjs";
import { sizeTable } from "./build/sizes.mjs";
import { buildWasm } from "./build/wasm.mjs";
import { fail, say } from "./setup/report.mjs";
import { isStarted, prepare } from "./setup.mjs";

/**
 * Call `prepare` before.
 * @param {Parameters<typeof buildWasm>[0]} [options]
 * @returns {Promise<void>}
 */
export async function build(options) {
  const glue = await buildGlue();
  const wasm = await buildWasm(options);
  const bundles = await buildBundles();
  if (glue || wasm || bundles) say(await sizeTable());
}

if (isStarted(import.meta.url)) {
  try {
    await prepare(import.meta.url, { redis: false });
    await build({ acceptImports: process.argv.includes("--accept-imports") });
  } catch (error) {
    fail(error);
  }
}
