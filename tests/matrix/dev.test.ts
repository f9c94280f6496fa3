/** Guards that the matrix holds under `wrangler dev`, too: a sample in which every two of its values meet. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Redis, startRedis } from "../../dev/redis.mjs";
import { freePort } from "../../scripts/start/port.mjs";
import { startWrangler, untilAnswering, type Wrangler } from "../../scripts/start/wrangler.mjs";
import { complaint } from "../workerd/stage.ts";
import { type Visitor, visitorOf } from "../workerd/visitor.ts";
import { type Cell, cellsOf, nameOf, RUNTIMES, type Runtime, summary } from "./cells.ts";
import { pairwise } from "./pairs.ts";
import { leftOf, runCell } from "./run.ts";
import type { Place } from "./world.ts";

const cells = cellsOf({
  reset: "between the client and the worker is wrangler's own server, which hides it",
});
const sample = pairwise(
  cells.filter(({ cannot }) => cannot === undefined),
  ({ path, fate, time, runtime: { compatibilityDate, flags } }) => [
    path.name,
    fate,
    time,
    compatibilityDate,
    String(flags),
  ],
);
const ended = new Set<Cell>();
const lines: string[] = [];
const wranglers: Wrangler[] = [];
let redis: Redis;
const visitors: Visitor[] = [];
let began = 0;

async function start({ compatibilityDate, flags }: Runtime): Promise<Visitor> {
  const more = ["--compatibility-date", compatibilityDate];
  for (const flag of flags) more.push("--compatibility-flags", flag);
  const config = "tests/matrix/wrangler.toml";
  const port = await freePort();
  const wrangler = startWrangler({ port, vars: {}, config, more, onLine: (line) => lines.push(line) });
  wranglers.push(wrangler);
  await untilAnswering(wrangler, "/shut");
  return visitorOf(wrangler.url, 15);
}

function placeOf(runtime: Runtime): Place {
  const index = RUNTIMES.indexOf(runtime);
  const here = visitors[index] as Visitor;
  return {
    redisPort: redis.port,
    here: () => here,
    // A value is stored by one worker and read by another one, whatever runtime either has.
    there: visitors[(index + 1) % visitors.length] as Visitor,
    through: (_, name, visit) => ({
      ...here.send(`/through?callee=SELF&name=${name}`, visit),
      abort: async () => void (await here.send(`/abort?name=${name}`, {}).answer),
    }),
  };
}

beforeAll(async () => {
  redis = await startRedis();
  // One after the other: each keeps a machine busy while it starts.
  for (const runtime of RUNTIMES) visitors.push(await start(runtime));
  began = Date.now();
}, 120_000);

afterAll(async () => {
  console.info(summary(cells, ended.size, Date.now() - began));
  await Promise.all(wranglers.map((wrangler) => wrangler.stop()));
  await redis?.stop();
});

describe.each(RUNTIMES)("wrangler dev, $name", { timeout: 60_000 }, (runtime) => {
  const own = sample.filter((cell) => cell.runtime === runtime);
  test.concurrent.each(own.map((cell) => [nameOf(cell), cell] as const))("%s", async (_, cell) => {
    await runCell(placeOf(runtime), cell, `cell${sample.indexOf(cell)}`);
    ended.add(cell);
  });
});

describe.each(RUNTIMES)("wrangler dev, $name, in the end", (runtime) => {
  test("has nothing in its tables but what died with its request", async () => {
    const left = leftOf(sample.filter((cell) => cell.runtime === runtime && ended.has(cell)));
    const isEmpty = ({ underWay }: { underWay: number[] }) => String(underWay) === String(left);
    const { unhandled } = await placeOf(runtime)
      .here(sample[0]?.path as Cell["path"])
      .until(isEmpty);
    expect(unhandled.join("\n")).toBe("");
  });
});

test("wrangler dev complains of nothing but requests whose own callback never settles", () => {
  expect(lines.filter((line) => complaint.test(line) && !line.includes("hung"))).toEqual([]);
});
