/** What the calls of a box cost: callbacks, and what Redis sees, all of them at the same time as far as that can tell. */
import type { Box } from "./fault-box.ts";
import { type Cost, KEY } from "./fault-operations.ts";
import type { Ended } from "./visit.ts";

/** Nothing that belongs to an answer is under way any more. */
export async function quiet({ stage, isolate, visit }: Box): Promise<void> {
  await isolate.until(({ underWay }) => underWay.every((n) => n === 0), visit);
  await stage.gateway.idle();
}

/** Runs the cell's calls, has each of their ends looked at, and gives what they have cost. */
export async function costOf(box: Box, [, requests]: Cost, look: (ended: Ended) => void): Promise<Cost> {
  const { stage, isolate, visit, cell } = box;
  await quiet(box);
  await stage.gateway.reset();
  const before = (await box.state()).books[KEY] ?? { asked: 0, started: 0 };
  if (cell.count > 1) await stage.hold();
  const answers = box.run();
  if (cell.count > 1) {
    await isolate.until(({ books }) => (books[KEY]?.asked ?? 0) - before.asked === cell.count, visit);
    if (requests > 0) await stage.gateway.seen();
    await stage.release();
  }
  for (const ended of await answers) look(ended);
  await quiet(box);
  const { httpRequests, redisCommands } = stage.gateway.counters();
  const started = ((await box.state()).books[KEY]?.started ?? 0) - before.started;
  return [started, httpRequests, redisCommands];
}
