/**
 * `npm run check`: the format and lint checks of `npm test` alone. It builds first: the types of the glue are generated.
 *
 * @module
 */
import { fail } from "./setup/report.mjs";
import { prepare } from "./setup.mjs";
import { buildStep, checks, runAll } from "./test/steps.mjs";

try {
  await prepare(import.meta.url, { redis: false });
  process.exitCode = (await runAll([buildStep, ...checks])) ? 0 : 1;
} catch (error) {
  fail(error);
}
