/**
 * Counting tests: from what the runners report to the closing line.
 *
 * @module
 */

/**
 * @typedef {{ passed: number, failed: number }} Tally
 */

/**
 * @param {string} output of `cargo test`: one summary for each program of tests
 * @param {boolean} ok whether it ended well
 * @returns {Tally}
 */
export function cargoTally(output, ok) {
  const tally = { passed: 0, failed: 0 };
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colours are control characters
  const plain = output.replace(/\x1b\[[\d;]*m/g, "");
  for (const [, passed, failed] of plain.matchAll(/^test result: \w+\. (\d+) passed; (\d+) failed;/gm)) {
    tally.passed += Number(passed);
    tally.failed += Number(failed);
  }
  return believable(tally, ok);
}

/**
 * @param {string | undefined} report of vitest's reporter "json", if it wrote one
 * @param {boolean} ok whether it ended well
 * @returns {Tally}
 */
export function vitestTally(report, ok) {
  /** @type {{ numPassedTests?: number, numFailedTests?: number, testResults?: { status: string, assertionResults: unknown[] }[] }} */
  const { numPassedTests = 0, numFailedTests = 0, testResults = [] } = JSON.parse(report ?? "{}");
  // A file that cannot be loaded has no tests that could fail.
  const broken = testResults.filter(
    (file) => file.status === "failed" && !file.assertionResults.length,
  ).length;
  return believable({ passed: numPassedTests, failed: numFailedTests + broken }, ok);
}

/**
 * A runner that failed, or that ran nothing, is a failure, whatever it counted.
 * @param {Tally} tally
 * @param {boolean} ok
 * @returns {Tally}
 */
function believable({ passed, failed }, ok) {
  return { passed, failed: failed || (ok && passed ? 0 : 1) };
}
