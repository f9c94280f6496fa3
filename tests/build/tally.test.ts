/** The closing line of `npm test` must not call a run a success that was none. */
import { describe, expect, test } from "vitest";
import { cargoTally, vitestTally } from "../../scripts/test/tally.mjs";

const ok = "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n";
const bad = "test result: \u001b[31mFAILED\u001b[0m. 2 passed; 4 failed; 0 ignored; 0 measured\n";

describe("cargoTally", () => {
  test("adds up the summaries of all programs, coloured or not", () => {
    expect(cargoTally(`running 3 tests\n${ok}noise\n${bad}`, false)).toEqual({ passed: 5, failed: 4 });
  });

  test("counts a failure without a failed test, such as a compiler error", () => {
    expect(cargoTally(ok, false)).toEqual({ passed: 3, failed: 1 });
  });

  test("counts a run without a test as a failure", () => {
    expect(cargoTally("", true)).toEqual({ passed: 0, failed: 1 });
  });
});

describe("vitestTally", () => {
  const report = (numPassedTests: number, numFailedTests: number, testResults: object[] = []) =>
    JSON.stringify({ numPassedTests, numFailedTests, testResults });

  test("takes the counts of the report", () => {
    expect(vitestTally(report(7, 0), true)).toEqual({ passed: 7, failed: 0 });
    expect(vitestTally(report(7, 2), false)).toEqual({ passed: 7, failed: 2 });
  });

  test("counts each file that cannot be loaded", () => {
    const broken = { status: "failed", assertionResults: [] };
    const loaded = { status: "failed", assertionResults: [{}] };
    expect(vitestTally(report(7, 1, [broken, broken, loaded]), false)).toEqual({ passed: 7, failed: 3 });
  });

  test("counts a failure without a failed test, such as an unhandled rejection", () => {
    expect(vitestTally(report(7, 0), false)).toEqual({ passed: 7, failed: 1 });
  });

  test("counts a run without a report or without a test as a failure", () => {
    expect(vitestTally(undefined, true)).toEqual({ passed: 0, failed: 1 });
    expect(vitestTally(report(0, 0), true)).toEqual({ passed: 0, failed: 1 });
  });
});
