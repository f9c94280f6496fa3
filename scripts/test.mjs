/**
 * `npm test`: set-up, format and lint checks, build, host tests, and the tests against the built package; the same as CI.
 *
 * `npm test -- <filter>` builds and runs only the tests in the files that match, or whatever else vitest makes of its
 * arguments. `npm run check` runs the format and lint checks alone.
 *
 * @module
 */

import { fail } from "./setup/report.mjs";
import { prepare } from "./setup.mjs";
import { buildStep, cargoTest, checks, mutants, runAll, simulation, vitest } from "./test/steps.mjs";

const args = process.argv.slice(2);
try {
  await prepare(import.meta.url, { chromium: true });
  const steps = args.length
    ? [buildStep, vitest(args)]
    : [buildStep, ...checks, cargoTest, simulation, mutants, vitest([])];
  process.exitCode = (await runAll(steps)) ? 0 : 1;
} catch (error) {
  fail(error);
}
