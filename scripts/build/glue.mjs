/**
 * From the Rust core to target/glue: the compiled module and the JavaScript that makes instances of it.
 *
 * @module
 */
import { join } from "node:path";
import { run } from "../setup/command.mjs";
import { namesIn, ROOT } from "../setup/folders.mjs";
import { ScriptError, say } from "../setup/report.mjs";
import { CARGO_HOME } from "../setup/rust.mjs";
import { ensureWasmTarget, TARGET } from "../setup/wasm-target.mjs";
import { once } from "./cache.mjs";

/** In bytes. Without a limit an isolate that runs out of memory blocks for seconds; with one it traps at once, and can be caught. */
export const MAX_MEMORY = 64 * 1024 * 1024;

const RUST = ["Cargo.toml", "Cargo.lock", "src", "xtask"];
const FILES = ["leeward.js", "leeward.d.ts", "exports.d.ts", "leeward_bg.wasm"];
const CRATE = ["--lib", "--release", `--target=${TARGET}`, "--target-dir=target/wasm"];
const COMPILED = `target/wasm/${TARGET}/release/leeward.wasm`;

/**
 * A core to compile.
 * @typedef {object} Variant
 * @property {string} name of the step
 * @property {string} feature of the crate
 * @property {string} out folder for what is generated
 */

/** @type {Variant} */
const SHIPPED = { name: "glue", feature: "js", out: "target/glue" };

/**
 * Compiles what has changed since the last time.
 * @param {Variant} [variant]
 * @returns {Promise<boolean>} whether anything had
 */
export async function buildGlue({ name, feature, out } = SHIPPED) {
  const rust = await ensureWasmTarget();
  const inputs = [...RUST, "scripts/build/glue.mjs"];
  const outputs = FILES.map((file) => `${out}/${file}`);
  return once({ name, inputs, outputs, also: rust.id }, async () => {
    say("build: compiling the core to WebAssembly (seconds; 1 to 3 minutes the first time)");
    await cargo("cargo", ["fetch", "--locked"]);
    const env = { ...rust.env, CARGO_ENCODED_RUSTFLAGS: flags(rust.library).join("\x1f") };
    await cargo(rust.cargo, ["build", "--locked", `--features=${feature}`, ...CRATE, ...rust.args], env);
    say("build: generating the glue (wasm-bindgen; half a minute the first time)");
    await cargo("cargo", ["run", "--locked", "--package", "xtask", "--", "glue", COMPILED, out]);
  });
}

/**
 * They must not differ between two builds on one machine, or the standard library would be compiled again, too.
 * @param {string} library the source of the standard library
 */
function flags(library) {
  // Messages of panics name source files: not where they happened to lie. The crates are in a folder for each registry.
  const registries = join(CARGO_HOME, "registry/src");
  const crates = namesIn(registries).map((name) => [join(registries, name), "/crates"]);
  const remapped = [[library, "/rust"], ...crates, [ROOT, "/leeward"]];
  return [
    `-Clink-arg=--max-memory=${MAX_MEMORY}`,
    // Long keys are rare: the small SHA-256 is fast enough.
    '--cfg=sha2_backend_soft="compact"',
    ...remapped.map(([from, to]) => `--remap-path-prefix=${from}=${to}`),
  ];
}

/**
 * @param {string} program
 * @param {readonly string[]} args
 * @param {Record<string, string | undefined>} [env]
 */
async function cargo(program, args, env) {
  const result = await run(program, [...args.slice(0, 1), "--quiet", ...args.slice(1)], { cwd: ROOT, env });
  if (!result.ok)
    throw new ScriptError(`cargo ${args[0]} failed (${result.reason})\n${result.output.trimEnd()}`);
  if (/^warning/m.test(result.output)) say(result.output.trimEnd());
}
