/**
 * The package with a core that can be told to fail, for tests: in target/trapping, never in dist/.
 *
 * @module
 */
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../setup/folders.mjs";
import { buildBundles } from "./bundle.mjs";
import { once } from "./cache.mjs";
import { buildGlue } from "./glue.mjs";

const GLUE = "target/trapping/glue";
const OUT = "target/trapping/dist";

/** @returns {Promise<void>} */
export async function buildTrapping() {
  await buildGlue({ name: "trapping-glue", feature: "trap", out: GLUE });
  await buildBundles({ name: "trapping-bundle", glue: `${GLUE}/leeward.js`, out: OUT });
  const [from, to] = [`${GLUE}/leeward_bg.wasm`, `${OUT}/leeward.wasm`];
  const step = { name: "trapping-wasm", inputs: [from, "scripts/build/trapping.mjs"], outputs: [to] };
  await once(step, async () => copyFileSync(join(ROOT, from), join(ROOT, to)));
}
