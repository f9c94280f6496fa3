/**
 * The steps of `npm test`, and what each says when it fails.
 *
 * @module
 */
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { buildTrapping } from "../build/trapping.mjs";
import { build } from "../build.mjs";
import { run } from "../setup/command.mjs";
import { MODULES, ROOT, STATE, textOf } from "../setup/folders.mjs";
import { ScriptError, say } from "../setup/report.mjs";
import { ensureComponents } from "../setup/rust.mjs";
import { cargoTally, vitestTally } from "./tally.mjs";

/**
 * @typedef {object} Step
 * @property {string} name
 * @property {boolean} [needsBuild] not run when the build has failed: its errors would hide the cause
 * @property {() => Promise<import("./tally.mjs").Tally>} run
 */

const NODE = process.execPath;
const TSC = join(MODULES, "typescript/bin/tsc");
const REPORT = join(STATE, "vitest.json");
const WARNINGS_ARE_ERRORS = ["--", "-D", "warnings"];
/** The output goes through a pipe: the programs cannot see whether somebody looks at it. */
const COLOURS = process.stdout.isTTY
  ? { FORCE_COLOR: "1", CARGO_TERM_COLOR: "always" }
  : { NO_COLOR: "1", FORCE_COLOR: undefined, CARGO_TERM_COLOR: "never" };

/** @type {Step[]} */
export const checks = [
  check("rustfmt", "cargo", ["fmt", "--all", "--check"]),
  check("clippy", "cargo", ["clippy", "--locked", "--workspace", "--all-targets", ...WARNINGS_ARE_ERRORS]),
  check("clippy --features trap", "cargo", [
    ...["clippy", "--locked", "--package", "leeward", "--all-targets", "--features", "trap"],
    ...WARNINGS_ARE_ERRORS,
  ]),
  check("biome", NODE, [
    ...[join(MODULES, "@biomejs/biome/bin/biome"), "ci", "--error-on-warnings"],
    ...["--max-diagnostics=100", `--colors=${process.stdout.isTTY ? "force" : "off"}`],
  ]),
  { ...check("tsc", NODE, [TSC, "--noEmit"]), needsBuild: true },
  // A browser has other names than a worker.
  {
    ...check("tsc, the demo's page", NODE, [TSC, "--noEmit", "--project", "examples/demo/page"]),
    needsBuild: true,
  },
];

/** @type {Step} */
export const buildStep = {
  name: "build",
  async run() {
    try {
      await build();
      await buildTrapping();
      return { passed: 0, failed: 0 };
    } catch (error) {
      if (!(error instanceof ScriptError)) throw error;
      say(error.message);
      return { passed: 0, failed: 1 };
    }
  },
};

export const cargoTest = cargo("cargo test", ["test", "--locked", "--workspace"]);

/** Some thousand schedules; `npm run simulate` runs as many as one likes. */
export const simulation = cargo("simulation", [
  ...simulate("leeward-simulation"),
  "--seeds",
  "3000",
  "--check",
  "1",
]);

/** Whether the simulation notices each deliberate mistake. */
export const mutants = cargo("mutants", simulate("mutants"));

/** @param {string} program */
function simulate(program) {
  return [
    ...["run", "--locked", "--quiet", "--profile", "simulate"],
    ...["--package", "leeward-simulation", "--bin", program, "--"],
  ];
}

/**
 * A step that ends with a summary like those of `cargo test`.
 * @param {string} name
 * @param {readonly string[]} args
 * @returns {Step}
 */
function cargo(name, args) {
  return {
    name,
    async run() {
      const result = await run("cargo", args, { cwd: ROOT, env: COLOURS, echo: true });
      return cargoTally(result.output, result.ok);
    },
  };
}

/**
 * @param {readonly string[]} args for vitest: filters and options
 * @returns {Step}
 */
export function vitest(args) {
  return {
    name: `vitest ${args.join(" ")}`.trim(),
    needsBuild: true,
    async run() {
      rmSync(REPORT, { force: true });
      mkdirSync(STATE, { recursive: true });
      const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${REPORT}`];
      const command = [join(MODULES, "vitest/vitest.mjs"), "run", ...reporters, ...args];
      const result = await run(NODE, command, { cwd: ROOT, env: COLOURS, echo: true });
      return vitestTally(textOf(REPORT), result.ok);
    },
  };
}

/**
 * A step that is silent unless it fails.
 * @param {string} name
 * @param {string} program
 * @param {readonly string[]} args
 * @returns {Step}
 */
function check(name, program, args) {
  return {
    name,
    async run() {
      if (program === "cargo") await ensureComponents();
      const result = await run(program, args, { cwd: ROOT, env: COLOURS });
      if (!result.ok) process.stdout.write(`${result.output.trimEnd()}\n${name} failed: ${result.reason}\n`);
      return { passed: 0, failed: result.ok ? 0 : 1 };
    },
  };
}

/**
 * Runs the steps one after the other, and prints the closing line. A failure does not keep the others from running.
 * @param {readonly Step[]} steps
 * @returns {Promise<boolean>} whether nothing has failed
 */
export async function runAll(steps) {
  const sum = { passed: 0, failed: 0 };
  /** @type {string[]} */
  const failed = [];
  for (const step of steps) {
    if (step.needsBuild && failed.includes(buildStep.name)) {
      say(`test: ${step.name}: not run, because the build failed`);
      continue;
    }
    say(`test: ${step.name}`);
    const tally = await step.run();
    sum.passed += tally.passed;
    sum.failed += tally.failed;
    if (tally.failed) failed.push(step.name);
  }
  if (failed.length) console.log(`\nfailed: ${failed.join(", ")}`);
  console.log(`${sum.passed} passed, ${sum.failed} failed`);
  return failed.length === 0;
}
