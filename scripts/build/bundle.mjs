/**
 * From js/ and target/glue to the JavaScript and the types in dist/.
 *
 * @module
 */
import { copyFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../setup/folders.mjs";
import { ScriptError, say } from "../setup/report.mjs";
import { once } from "./cache.mjs";

/** The entries of the package, and what each leaves to its host. */
const ENTRIES = [
  { from: "js/workerd.ts", to: "dist/index.js", external: ["cloudflare:*"] },
  { from: "js/node.ts", to: "dist/node.js", external: ["node:*"] },
  { from: "js/testing/test-redis.ts", to: "dist/testing.js", external: [] },
];
const TYPES = [
  { from: "js/index.d.ts", to: "dist/index.d.ts" },
  { from: "js/testing.d.ts", to: "dist/testing.d.ts" },
];
const GLUE = "target/glue/leeward.js";

/**
 * The module stays a file beside the bundle: workerd and wrangler compile it when they load the worker. esbuild's own
 * "external" would rewrite the path.
 * @type {import("esbuild").Plugin}
 */
const besideTheBundle = {
  name: "beside-the-bundle",
  setup(build) {
    build.onResolve({ filter: /^\.\/leeward\.wasm$/ }, ({ path }) => ({ path, external: true }));
  },
};

/**
 * Bundles what has changed since the last time.
 * @returns {Promise<boolean>} whether anything had
 */
export async function buildBundles() {
  const inputs = [
    "js",
    // What the Redis of `leeward/testing` shares with the gateway, and the scripts that it stands in for.
    "dev",
    "src/core/redis",
    GLUE,
    "package.json",
    "package-lock.json",
    "tsconfig.json",
    "scripts/build/bundle.mjs",
  ];
  const step = { name: "bundle", inputs, outputs: [...ENTRIES, ...TYPES].map((entry) => entry.to) };
  return once(step, async () => {
    say("build: bundling the driver (esbuild)");
    const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
    // Only here: the scripts must run before the packages are installed.
    const { build } = await import("esbuild");
    for (const { from, to, external } of ENTRIES) {
      const result = await build({
        absWorkingDir: ROOT,
        entryPoints: [from],
        outfile: to,
        bundle: true,
        format: "esm",
        platform: "neutral",
        target: "es2022",
        charset: "utf8",
        external,
        define: { LEEWARD_VERSION: JSON.stringify(version) },
        alias: { "leeward-glue": join(ROOT, GLUE) },
        loader: { ".lua": "text" },
        plugins: [besideTheBundle],
        legalComments: "none",
        logLevel: "silent",
      }).catch((/** @type {import("esbuild").BuildFailure} */ failure) => failure);
      const { formatMessages } = await import("esbuild");
      const told = await formatMessages([...result.errors, ...result.warnings], { kind: "error" });
      if (told.length) throw new ScriptError(`${from} cannot be bundled\n${told.join("\n").trimEnd()}`);
    }
    for (const { from, to } of TYPES) copyFileSync(join(ROOT, from), join(ROOT, to));
  });
}
