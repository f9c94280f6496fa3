/**
 * From target/glue to dist/leeward.wasm: the smallest module that passes the checks.
 *
 * @module
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import { run } from "../setup/command.mjs";
import { MODULES, ROOT } from "../setup/folders.mjs";
import { ScriptError, say } from "../setup/report.mjs";
import { once } from "./cache.mjs";
import { MAX_MEMORY } from "./glue.mjs";
import { importNames, problemsOf, without } from "./module.mjs";

const INPUT = "target/glue/leeward_bg.wasm";
const GLUE = "target/glue/leeward.js";
const OUTPUT = "dist/leeward.wasm";
const LIST = "scripts/wasm-imports.txt";
/** Which is smaller depends on the code; it takes seconds to find out. */
const LEVELS = ["-Os", "-Oz"];
/** What Rust's compiler uses of WebAssembly by default. A module that uses more fails here, and may need a newer runtime. */
const FEATURES = [
  "bulk-memory",
  "bulk-memory-opt",
  "multivalue",
  "mutable-globals",
  "nontrapping-float-to-int",
  "reference-types",
  "sign-ext",
];

/**
 * Optimises and checks what has changed since the last time.
 * @param {{ acceptImports?: boolean }} [options] `acceptImports`: write the module's imports to the list, for review
 * @returns {Promise<boolean>} whether anything had changed
 */
export async function buildWasm({ acceptImports = false } = {}) {
  const inputs = [
    INPUT,
    GLUE,
    LIST,
    "package-lock.json",
    "scripts/build/wasm.mjs",
    "scripts/build/module.mjs",
  ];
  const step = { name: "wasm", inputs, outputs: [OUTPUT] };
  if (acceptImports) {
    const names = importNames(new WebAssembly.Module(readFileSync(join(ROOT, INPUT))));
    writeFileSync(join(ROOT, LIST), `${comments().join("\n")}\n${names.join("\n")}\n`);
    say(`build: ${LIST} now names ${names.length} imports: review the difference`);
  }
  return once(step, async () => {
    say("build: optimising the module (wasm-opt)");
    const candidates = await Promise.all(LEVELS.map(optimised));
    const [best] = candidates.sort(
      (a, b) => gzipSync(a, { level: 9 }).length - gzipSync(b, { level: 9 }).length,
    );
    if (!best) throw new ScriptError("wasm-opt made nothing");
    check(best);
    await tryInstances(best);
    mkdirSync(join(ROOT, "dist"), { recursive: true });
    // At once: a worker under `wrangler dev` reloads while this file changes.
    writeFileSync(join(ROOT, `${OUTPUT}.new`), best);
    renameSync(join(ROOT, `${OUTPUT}.new`), join(ROOT, OUTPUT));
  });
}

/** @param {string} level */
async function optimised(level) {
  const output = join(ROOT, `target/glue/optimised${level}.wasm`);
  const features = FEATURES.map((feature) => `--enable-${feature}`);
  const args = [
    level,
    ...features,
    "--strip-producers",
    "--strip-target-features",
    join(ROOT, INPUT),
    "-o",
    output,
  ];
  const result = await run(process.execPath, [join(MODULES, "binaryen/bin/wasm-opt"), ...args]);
  if (!result.ok)
    throw new ScriptError(`wasm-opt ${level} failed (${result.reason})\n${result.output.trimEnd()}`);
  return readFileSync(output);
}

/** @param {Uint8Array<ArrayBuffer>} bytes */
function check(bytes) {
  const imports = lines().filter((line) => line && !line.startsWith("#"));
  const problems = problemsOf(bytes, { imports, maxMemory: MAX_MEMORY });
  if (problems.length) {
    const ways = problems.some((problem) => problem.endsWith("on the list"))
      ? [`if the import is meant: npm run build -- --accept-imports, and review the difference in ${LIST}`]
      : [];
    throw new ScriptError(`the WebAssembly module must not be shipped:\n  ${problems.join("\n  ")}`, {
      ways,
    });
  }
  // No error: what is never called depends on the compiler's version, too.
  const unused = without(imports, importNames(new WebAssembly.Module(bytes)));
  if (unused.length) say(`build: ${LIST} names more than is imported: ${unused.join(", ")}`);
}

/**
 * That the glue fits the module, and that one instance is not another.
 * @param {Uint8Array<ArrayBuffer>} bytes
 */
async function tryInstances(bytes) {
  const module = new WebAssembly.Module(bytes);
  try {
    const glue = await import(`${pathToFileURL(join(ROOT, GLUE)).href}?${Date.now()}`);
    const [one, other] = [glue.instantiate(module), glue.instantiate(module)];
    const shared = Object.keys(one).filter(
      (name) => typeof one[name] === "function" && one[name] === other[name],
    );
    if (shared.length) throw new Error(`two instances share ${shared.join(", ")}`);
  } catch (error) {
    throw new ScriptError(
      `the glue does not fit the module: ${error instanceof Error ? error.message : error}`,
    );
  }
}

function lines() {
  return readFileSync(join(ROOT, LIST), "utf8").split("\n");
}

function comments() {
  return lines().filter((line) => line.startsWith("#"));
}
