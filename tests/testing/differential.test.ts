/** The Redis in memory against a real one behind the gateway: the same random commands to both. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { Pair } from "./pair.ts";
import { Steps } from "./steps.ts";

const SEQUENCES = Number(process.env.LEEWARD_TESTING_SEQUENCES ?? 60);
const STEPS = 60;

/** What must have been seen by the end, or the sequences no longer test what they are for. */
const EXPECTED = [
  ...["read fresh", "read stale", "read miss", "read marked", "read tags", "read lease of another"],
  ...[
    "fill OK",
    "fill overtaken",
    "fill marked",
    "set OK",
    "set overtaken",
    "set marked",
    "drop 1",
    "drop 0",
  ],
  ...[
    "stamp that could not be made",
    "error WRONGTYPE",
    "error OOM",
    "error NOPERM",
    "error NOSCRIPT",
    "error ERR",
  ],
  ...["time passed between", "another millisecond"],
];

let pair: Pair;
beforeAll(async () => {
  pair = await Pair.start();
});
afterAll(() => pair?.stop());

test("the Redis in memory does what a real one does", { timeout: 600_000 }, async () => {
  for (let seed = 1; seed <= SEQUENCES; seed += 1) {
    await pair.begin(seed);
    const steps = new Steps(seed);
    for (let count = 0; count < STEPS; count += 1) {
      for (const step of steps.next()) await pair.take(step);
    }
    await pair.compareContents();
  }
  console.info(
    `compared ${pair.compared} commands, but for ${pair.straddled} that saw two milliseconds; seen:`,
    Object.fromEntries(pair.seen),
  );
  expect(pair.straddled * 100).toBeLessThan(pair.compared);
  for (const what of EXPECTED) expect([...pair.seen.keys()]).toContain(what);
});
