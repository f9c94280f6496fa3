/**
 * From the Rust core to target/glue: the compiled module and the JavaScript that makes instances of it.
 *
 * @module
 */
import { join } from "node:path";
import { run } from "../setup/command.mjs";
import { ROOT } from "../setup/folders.mjs";
import { ScriptError, say } from "../setup/report.mjs";
import { CARGO_HOME } from "../setup/rust.mjs";
import { ensureWasmTarget, TARGET } from "../setup/wasm-target.mjs";
import { once } from "./cache.mjs";

/** In bytes. Without a limit an isolate that runs out of memory blocks for seconds; with one it traps at once, and can be caught. */
export const MAX_MEMORY = 32 * 1024 * 1024;

const RUST = ["Cargo.toml", "Cargo.lock", "src", "xtask"];
const OUT = "target/glue";
const FILES = ["leeward.js", "leeward.d.ts", "exports.d.ts", "leeward_bg.wasm"].map(
  (file) => `${OUT}/${file}`,
);
const COMPILED = `target/wasm/${TARGET}/release/leeward.wasm`;

/**
 * Compiles what has changed since the last time.
 * @returns {Promise<boolean>} whether anything had
 */
export async function buildGlue() {
  const rust = await ensureWasmTarget();
  const flags = flagsFor(rust.library);
  const step = {
    name: "glue",
    inputs: [...RUST, "scripts/build/glue.mjs"],
    outputs: FILES,
    also: [rust.id, ...flags].join("\n"),
  };
  return once(step, async () => {
    say("build: compiling the core to WebAssembly (seconds; 1 to 3 minutes the first time)");
    const crate = [
      "--lib",
      "--features",
      "js",
      "--release",
      "--target",
      TARGET,
      "--target-dir",
      "target/wasm",
    ];
    const env = { ...rust.env, CARGO_ENCODED_RUSTFLAGS: flags.join("\x1f"), RUSTFLAGS: undefined };
    await cargo(rust.cargo, ["build", "--quiet", "--locked", ...crate, ...rust.args], env);
    say("build: generating the glue (wasm-bindgen; half a minute the first time)");
    await cargo("cargo", ["run", "--quiet", "--locked", "--package", "xtask", "--", "glue", COMPILED, OUT]);
  });
}

/**
 * The flags never differ between two builds on one machine, or the standard library would be compiled again, too.
 * @param {string} library the source of the standard library
 */
function flagsFor(library) {
  // Messages of panics name source files: not where they happened to lie.
  const remapped = Object.entries({
    "/rust": library,
    "/crates": join(CARGO_HOME, "registry/src"),
    ".": ROOT,
  });
  return [
    `-Clink-arg=--max-memory=${MAX_MEMORY}`,
    ...remapped.map(([to, from]) => `--remap-path-prefix=${from}=${to}`),
  ];
}

/**
 * @param {string} program
 * @param {readonly string[]} args
 * @param {Record<string, string | undefined>} [env]
 */
async function cargo(program, args, env) {
  const result = await run(program, args, { cwd: ROOT, env });
  if (!result.ok)
    throw new ScriptError(`cargo ${args[0]} failed (${result.reason})\n${result.output.trimEnd()}`);
  if (/^warning/m.test(result.output)) say(result.output.trimEnd());
}
