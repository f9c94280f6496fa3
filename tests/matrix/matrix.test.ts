/**
 * Guards P4, and P3 with it, on every path on which requests share something: in raw workerd, where a client's RST reaches the
 * worker, with both compatibility dates and both states of `handle_cross_request_promise_resolution`. See paths.ts for what is new.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Redis, startRedis } from "../../dev/redis.mjs";
import { complaint } from "../workerd/stage.ts";
import type { State } from "../workerd/visit.ts";
import { visitorOf } from "../workerd/visitor.ts";
import { startWorkerd, type Workerd } from "../workerd/workerd.ts";
import { type Cell, cellsOf, nameOf, RUNTIMES, type Runtime, summary } from "./cells.ts";
import { PATHS } from "./paths.ts";
import { leftOf, runCell } from "./run.ts";
import type { Path, Place } from "./world.ts";

const cells = cellsOf();
const possible = cells.filter(({ cannot }) => cannot === undefined);
const ended = new Set<Cell>();
const stages = new Map<Runtime, Place & { workerd: Workerd }>();
let redis: Redis;
let began = 0;

const serviceOf = (path: Path) => `path${PATHS.indexOf(path)}`;

async function startStage({ compatibilityDate, flags }: Runtime): Promise<Place & { workerd: Workerd }> {
  const names = PATHS.map(serviceOf);
  const workers = [...names, "there"].map((name) => ({ name, compatibilityDate, flags }));
  const caller = { name: "caller", handler: "../matrix/caller.ts", compatibilityDate, flags, calls: names };
  const workerd = await startWorkerd([...workers, caller]);
  const at = (name: string) => visitorOf(workerd.url(name), 15);
  const visitors = new Map(names.map((name) => [name, at(name)]));
  const calling = at("caller");
  return {
    workerd,
    redisPort: redis.port,
    here: (path) => visitors.get(serviceOf(path)) ?? calling,
    there: at("there"),
    through: (path, name, visit) => ({
      ...calling.send(`/?callee=${serviceOf(path)}&name=${name}`, visit),
      abort: async () => void (await calling.send(`/abort?name=${name}`, {}).answer),
    }),
  };
}

beforeAll(async () => {
  redis = await startRedis();
  for (const runtime of RUNTIMES) stages.set(runtime, await startStage(runtime));
  began = Date.now();
});

afterAll(async () => {
  console.info(summary(cells, ended.size, Date.now() - began));
  for (const { workerd } of stages.values()) await workerd.stop();
  await redis?.stop();
});

describe.each(RUNTIMES)("$name", { timeout: 60_000 }, (runtime) => {
  const own = possible.filter((cell) => cell.runtime === runtime);
  const stage = () => stages.get(runtime) as Place & { workerd: Workerd };
  test.concurrent.each(own.map((cell) => [nameOf(cell), cell] as const))("%s", async (_, cell) => {
    await runCell(stage(), cell, `cell${possible.indexOf(cell)}`);
    ended.add(cell);
  });

  test.each(
    PATHS.map((path) => [path.name, path] as const),
  )("%s: nothing is left in the tables but what died with its request", async (_, path) => {
    const left = leftOf(own.filter((cell) => cell.path === path && ended.has(cell)));
    const isEmpty = ({ underWay }: State) => String(underWay) === String(left);
    const { unhandled } = await stage().here(path).until(isEmpty);
    expect(unhandled.join("\n")).toBe("");
  });

  test("nothing is left in the tables of the other isolate", async () => {
    const { unhandled } = await stage().there.until(({ underWay }) => underWay.every((n) => n === 0));
    expect(unhandled.join("\n")).toBe("");
  });

  test("the runtime has nothing to complain of but requests whose own callback never settles", async () => {
    const lines = (await stage().workerd.log()).split("\n").filter((line) => complaint.test(line));
    expect(lines.filter((line) => !line.includes("hung"))).toEqual([]);
    // The runtime ends these, and each is told of once; those that had not answered yet are a 500 besides.
    const told = lines.filter((line) => line.includes("info: uncaught exception"));
    expect(told).toHaveLength(own.filter((cell) => cell.fate === "never" && ended.has(cell)).length);
  });
});
