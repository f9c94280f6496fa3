/**
 * Rust for this machine: compiler, cargo, and the components that the checks need.
 *
 * @module
 */
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { find, isProgram, lastLines, run } from "./command.mjs";
import { ROOT, textOf } from "./folders.mjs";
import { ScriptError, say } from "./report.mjs";

/** A host that is not reachable may not answer at all. */
export const DOWNLOAD_TIMEOUT_MS = 60_000;
export const CARGO_HOME = process.env.CARGO_HOME ?? join(homedir(), ".cargo");

/**
 * @returns {Promise<string>} the version of the compiler; changes when it does
 * @throws {ScriptError} when there is none, or it is too old
 */
export async function ensureRust() {
  // rustup changes the PATH of login shells only.
  const own = join(CARGO_HOME, "bin");
  if (!find("cargo") && isProgram(join(own, "cargo"))) {
    process.env.PATH = `${own}${delimiter}${process.env.PATH ?? ""}`;
  }
  const ways = [
    "rustup from its own installer, and then: rustup default stable",
    "macOS: brew install rustup",
    `a distribution's rustc and cargo, version ${minimumRust()} or later`,
  ];
  if (!find("cargo") || !find("rustc")) {
    throw new ScriptError("Rust is missing (cargo, rustc): the core is written in it", { ways });
  }
  const result = await run("rustc", ["--version"], { cwd: ROOT });
  const version = result.output.trim();
  if (!result.ok) {
    const tried = [`rustc --version: ${result.reason}\n${version}`];
    throw new ScriptError("Rust is there, but does not run", { tried, ways });
  }
  if (!isEnough(version)) {
    const message = `Rust ${minimumRust()} or later is needed; this is ${version}`;
    throw new ScriptError(message, { ways: ["rustup update stable", ...ways] });
  }
  return version;
}

/** Gets rustfmt and clippy, which most installations have. */
export async function ensureComponents() {
  for (const { component, command, debian } of [
    { component: "rustfmt", command: "fmt", debian: "rustfmt" },
    { component: "clippy", command: "clippy", debian: "rust-clippy" },
  ]) {
    if ((await run("cargo", [command, "--version"], { cwd: ROOT })).ok) continue;
    const why = "the Rust code is checked with it";
    const tried = [];
    const rustup = find("rustup");
    if (rustup) {
      say(`setup: adding ${component} (rustup): ${why}`);
      const args = ["component", "add", component];
      const result = await run(rustup, args, { cwd: ROOT, timeoutMs: DOWNLOAD_TIMEOUT_MS });
      if (result.ok) continue;
      tried.push(`rustup ${args.join(" ")}: ${result.reason}\n${lastLines(result.output, 5)}`);
    }
    throw new ScriptError(`${component} is missing: ${why}`, {
      tried,
      ways: [`rustup component add ${component}`, `Debian and Ubuntu: sudo apt-get install ${debian}`],
    });
  }
}

/** @returns {string} the version that Cargo.toml asks for */
export function minimumRust() {
  return /^rust-version = "([\d.]+)"/m.exec(textOf(join(ROOT, "Cargo.toml")) ?? "")?.[1] ?? "1.0";
}

/** @param {string} version such as "rustc 1.95.0 (...)" */
export function isEnough(version) {
  const numbers = (/** @type {string} */ text) => (/(\d+)\.(\d+)/.exec(text) ?? []).slice(1).map(Number);
  const [major = 0, minor = 0] = numbers(version);
  const [neededMajor = 0, neededMinor = 0] = numbers(minimumRust());
  return major > neededMajor || (major === neededMajor && minor >= neededMinor);
}

/**
 * @param {string} rustc
 * @returns {Promise<string>} the folder that the compiler's own files are in
 */
export async function sysroot(rustc) {
  return (await run(rustc, ["--print", "sysroot"], { cwd: ROOT })).output.trim();
}
