/**
 * `npm run soak`: mixed load with random faults against real workerds, for 30 minutes or `--minutes N`; `--seed S` repeats a
 * choice of faults and visits, as far as timing allows; `--leavers 0.05` has more visitors leave before the answer. Prints a
 * line each minute and a verdict, and fails if it is a bad one. See tests/soak.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { soak } from "../tests/soak/soak.mjs";
import { build } from "./build.mjs";
import { fail, ScriptError } from "./setup/report.mjs";
import { prepare } from "./setup.mjs";

/** A day: what runs longer was meant otherwise. */
const MAX_MINUTES = 24 * 60;
/** Of the visits, so many are left before the answer. */
const LEAVERS = 0.004;

/**
 * @param {string} name
 * @param {string} given
 * @param {number} max
 */
function number(name, given, max) {
  const value = Number(given);
  if (given.trim() !== "" && value > 0 && value <= max) return value;
  throw new ScriptError(`--${name}: expected a number above 0, up to ${max}, got ${JSON.stringify(given)}`);
}

function options() {
  const text = /** @type {const} */ ({ type: "string" });
  const { values } = parseArgs({ options: { minutes: text, seed: text, leavers: text } });
  return {
    minutes: number("minutes", values.minutes ?? "30", MAX_MINUTES),
    leavers: values.leavers === "0" ? 0 : number("leavers", values.leavers ?? String(LEAVERS), 1),
    seed: Math.floor(number("seed", values.seed ?? String(1 + (Date.now() % 1_000_000)), 2 ** 31)),
  };
}

try {
  const chosen = options();
  await prepare(import.meta.url);
  await build();
  const held = await soak({ ...chosen, say: (line) => console.log(line) });
  process.exitCode = held ? 0 : 1;
} catch (error) {
  fail(error);
}
