import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startRedis } from "../../dev/redis.mjs";
import { Demo } from "./demo.js";
import { BOUND, type Read } from "./visitor.js";

/** Far above the upstream's delay and the cache's deadlines, far below a hang. */
const QUICK = 3000;

describe("the demo while Redis is away", { timeout: 2 * BOUND }, () => {
  let demo: Demo;
  beforeAll(async () => {
    demo = await Demo.start();
  }, BOUND);
  afterAll(() => demo?.stop(), BOUND);

  async function readsAreRight(learner: string, submissions: number): Promise<Read[]> {
    const reads = await Promise.all(Array.from({ length: 10 }, () => demo.read(learner)));
    for (const read of reads) {
      expect(read).toMatchObject({ status: 200, outcome: "bypass", xp: { learner, submissions } });
      expect(read.ms).toBeLessThan(QUICK);
    }
    return reads;
  }

  test("goes on when Redis is killed, and has hits again when someone starts another one", async () => {
    await demo.readUntilHit("ada", 4);
    process.kill(demo.redisPid, "SIGKILL");
    await demo.script.says(/redis: ended .* the demo goes on/);
    await readsAreRight("ada", 4);
    expect((await demo.connection()).state).toBe("down");

    const submitted = await demo.submit("ada");
    expect(submitted).toMatchObject({ status: 200, invalidation: { state: "pending" } });
    await readsAreRight("ada", 5);

    const other = await startRedis({ port: demo.script.ports.REDIS_PORT });
    try {
      await demo.readUntilHit("ada", 5);
      await demo.untilJournalIsEmpty();
      const from = demo.script.lineCount;
      demo.script.type("r");
      await demo.script.says(/redis: port \d+ is taken by a server that was not started here/, from);
    } finally {
      await other.stop();
    }
  });

  test("stops and starts Redis when r is typed", async () => {
    let from = demo.script.lineCount;
    demo.script.type("r");
    await demo.script.says(/redis: runs again/, from);
    await demo.readUntilHit("bruno", 2);
    from = demo.script.lineCount;
    demo.script.type("r");
    await demo.script.says(/redis: stopped/, from);
    await readsAreRight("bruno", 2);
    from = demo.script.lineCount;
    demo.script.type("r");
    const [, pid] = await demo.script.says(/redis: runs again \(pid (\d+)/, from);
    demo.redisPid = Number(pid);
    await demo.readUntilHit("bruno", 2);
  });

  test("serves no stale XP after an outage in which Redis kept its data", async () => {
    await demo.readUntilHit("chidi", 6);
    await demo.fault("refuse");
    expect(await demo.submit("chidi")).toMatchObject({ status: 200, invalidation: { state: "pending" } });
    await readsAreRight("chidi", 7);
    await demo.fault("healthy");
    // Redis still holds the entry with six submissions: it must never be seen again.
    await demo.readUntilHit("chidi", 7);
  });

  test("serves no stale XP after Redis had frozen", async () => {
    await demo.readUntilHit("dana", 1);
    process.kill(demo.redisPid, "SIGSTOP");
    try {
      expect(await demo.submit("dana")).toMatchObject({ status: 200, invalidation: { state: "pending" } });
      await readsAreRight("dana", 2);
    } finally {
      process.kill(demo.redisPid, "SIGCONT");
    }
    await demo.readUntilHit("dana", 2);
  });
});
