/**
 * Compiling Rust to WebAssembly.
 *
 * rustup's target is the first choice. Where it cannot be downloaded, Debian's compiler for the web does: it comes with
 * the source of the standard library, which cargo then compiles for the target, too.
 *
 * @module
 */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import * as apt from "./apt.mjs";
import { find, isProgram, lastLines, run } from "./command.mjs";
import { namesIn, ROOT, STATE, textOf } from "./folders.mjs";
import { ScriptError, say } from "./report.mjs";
import { DOWNLOAD_TIMEOUT_MS, ensureRust, isEnough, minimumRust, sysroot } from "./rust.mjs";

export const TARGET = "wasm32-unknown-unknown";
const CARGO = "/usr/bin/cargo";
const RUSTC = "/usr/bin/rustc";
const DEBIAN = ["rustc-web", "cargo-web", "rust-web-src"];
const SOURCE = "lib/rustlib/src/rust/library";
/** Which compiler could not get the target, so that the second run need not wait for the same failure. */
const NOT_HAD = join(STATE, "no-rustup-target");

/**
 * A cargo that can compile to WebAssembly.
 * @typedef {object} WasmCargo
 * @property {string} cargo
 * @property {readonly string[]} args further arguments for `cargo build`
 * @property {Record<string, string>} env
 * @property {string} id changes when the compiler does
 * @property {string} library the source of the standard library, whose path messages of panics name
 */

/**
 * @returns {Promise<WasmCargo>} the one that works here, after having installed what it needs
 * @throws {ScriptError} when there is no way
 */
export async function ensureWasmTarget() {
  const version = await ensureRust();
  if (await hasTarget()) return rustupCargo(version);
  const tried = [];

  const rustup = find("rustup");
  const hopeless = textOf(NOT_HAD) === version && (await whyNotDebian()) === undefined;
  if (rustup && !hopeless) {
    say(`setup: adding Rust's target ${TARGET} (rustup): the core is compiled to WebAssembly`);
    const args = ["target", "add", TARGET];
    const result = await run(rustup, args, { cwd: ROOT, timeoutMs: DOWNLOAD_TIMEOUT_MS });
    if (await hasTarget()) return rustupCargo(version);
    tried.push(`rustup ${args.join(" ")}: ${result.reason}\n${lastLines(result.output, 5)}`);
    mkdirSync(STATE, { recursive: true });
    writeFileSync(NOT_HAD, version);
  }

  if (apt.canInstall() && (await whyNotDebian())) {
    const why = rustup
      ? "rustup cannot download the target, this compiler can do without"
      : "for WebAssembly";
    tried.push(await apt.install(DEBIAN, why));
    if (!(await linker())) tried.push(await apt.install(["lld"], "the linker for WebAssembly"));
  }
  const missing = await whyNotDebian();
  if (!missing) return debianCargo();
  throw new ScriptError(`Rust cannot compile to WebAssembly: the target ${TARGET} is missing`, {
    tried: [...tried.filter((problem) => problem !== undefined), `Debian's toolchain: ${missing}`],
    ways: [
      `rustup target add ${TARGET} (needs the network; a proxy goes into HTTPS_PROXY)`,
      `Debian and Ubuntu, with version ${minimumRust()} or later: sudo apt-get install ${DEBIAN.join(" ")} lld`,
      "macOS: Homebrew's rustup (brew install rustup) in place of its rust, then the first way",
    ],
  });
}

/** Whether the compiler for this machine has the standard library for the target. */
async function hasTarget() {
  const result = await run("rustc", ["--print", "target-libdir", "--target", TARGET], { cwd: ROOT });
  return result.ok && namesIn(result.output.trim()).some((file) => file.startsWith("libcore-"));
}

/**
 * @param {string} version
 * @returns {Promise<WasmCargo>}
 */
async function rustupCargo(version) {
  return { cargo: "cargo", args: [], env: {}, id: version, library: join(await sysroot("rustc"), SOURCE) };
}

/** @returns {Promise<WasmCargo>} when nothing is missing */
async function debianCargo() {
  const version = (await run(RUSTC, ["--version"])).output.trim();
  const lld = (await linker()) ?? "rust-lld";
  return {
    cargo: CARGO,
    args: ["-Zbuild-std=std,panic_abort"],
    env: {
      // cargo asks the PATH for its helpers, where rustup's may come first.
      PATH: `/usr/bin${delimiter}${process.env.PATH ?? ""}`,
      RUSTC,
      // For the -Z above, and nothing else: no stable compiler compiles its standard library.
      RUSTC_BOOTSTRAP: "1",
      CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER: lld,
    },
    id: `${version} with ${lld}`,
    library: join(await sysroot(RUSTC), SOURCE),
  };
}

/** @returns {Promise<string | undefined>} what is missing of Debian's toolchain, or nothing */
async function whyNotDebian() {
  for (const path of [CARGO, RUSTC]) if (!isProgram(path)) return `there is no ${path}`;
  const version = await run(RUSTC, ["--version"]);
  if (!version.ok || !isEnough(version.output)) {
    return `version ${minimumRust()} is needed, ${RUSTC} is ${version.output.trim()}`;
  }
  const source = join(await sysroot(RUSTC), SOURCE, "std");
  if (!existsSync(source)) return `there is no source of the standard library at ${source}`;
  return (await linker()) ? undefined : "there is no linker for WebAssembly (rust-lld, wasm-ld)";
}

/** @returns {Promise<string | undefined>} a linker for WebAssembly: rustup's, or LLVM's in whatever version */
async function linker() {
  const folder = join(await sysroot("rustc"), "lib/rustlib");
  const own = namesIn(folder).map((host) => join(folder, host, "bin/rust-lld"));
  const folders = (process.env.PATH ?? "").split(delimiter).filter(Boolean);
  const others = folders.flatMap((path) =>
    namesIn(path)
      .filter((name) => /^(rust-lld|wasm-ld(-\d+)?)$/.test(name))
      .map((name) => join(path, name)),
  );
  return [...own, ...others].find(isProgram);
}
