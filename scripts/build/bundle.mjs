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
  { from: "js/workerd.ts", to: "index.js", external: ["cloudflare:*"] },
  { from: "js/node.ts", to: "node.js", external: ["node:*"] },
  { from: "js/testing/test-redis.ts", to: "testing.js", external: [] },
];
const TYPES = [
  { from: "js/index.d.ts", to: "index.d.ts" },
  { from: "js/testing.d.ts", to: "testing.d.ts" },
];

/**
 * Where bundles go, and for which core.
 * @typedef {object} Variant
 * @property {string} name of the step
 * @property {string} glue
 * @property {string} out folder
 */

/** @type {Variant} */
const SHIPPED = { name: "bundle", glue: "target/glue/leeward.js", out: "dist" };

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
 * @param {Variant} [variant]
 * @returns {Promise<boolean>} whether anything had
 */
export async function buildBundles({ name, glue, out } = SHIPPED) {
  const inputs = [
    "js",
    // What the Redis of `leeward/testing` shares with the gateway, and the scripts that it stands in for.
    "dev",
    "src/core/redis",
    glue,
    "package.json",
    "package-lock.json",
    "tsconfig.json",
    "scripts/build/bundle.mjs",
  ];
  const outputs = [...ENTRIES, ...TYPES].map(({ to }) => `${out}/${to}`);
  const step = { name, inputs, outputs };
  return once(step, async () => {
    say("build: bundling the driver (esbuild)");
    const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
    // Only here: the scripts must run before the packages are installed.
    const { build } = await import("esbuild");
    for (const { from, to, external } of ENTRIES) {
      const result = await build({
        absWorkingDir: ROOT,
        entryPoints: [from],
        outfile: `${out}/${to}`,
        bundle: true,
        format: "esm",
        platform: "neutral",
        target: "es2022",
        charset: "utf8",
        external,
        define: { LEEWARD_VERSION: JSON.stringify(version) },
        alias: { "leeward-glue": join(ROOT, glue) },
        loader: { ".lua": "text" },
        plugins: [besideTheBundle],
        legalComments: "none",
        logLevel: "silent",
      }).catch((/** @type {import("esbuild").BuildFailure} */ failure) => failure);
      const { formatMessages } = await import("esbuild");
      const told = await formatMessages([...result.errors, ...result.warnings], { kind: "error" });
      if (told.length) throw new ScriptError(`${from} cannot be bundled\n${told.join("\n").trimEnd()}`);
    }
    for (const { from, to } of TYPES) copyFileSync(join(ROOT, from), join(ROOT, out, to));
  });
}
