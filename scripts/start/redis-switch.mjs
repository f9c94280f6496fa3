/** The demo's Redis, which may be stopped, killed, and started again by whoever watches, while everything else goes on. */
import { startRedis } from "../../dev/redis.mjs";
import { isFree } from "./port.mjs";

/**
 * @param {number} port
 * @param {(line: string) => void} say
 */
export function redisSwitch(port, say) {
  /** @type {import("../../dev/redis.mjs").Redis | undefined} */
  let running;
  let ending = false;
  let busy = Promise.resolve();

  async function start() {
    const started = await startRedis({ port });
    running = started;
    started.exited.then(({ code, signal }) => {
      if (running !== started) return;
      running = undefined;
      if (!ending)
        say(
          `redis: ended (${signal ?? `code ${code}`}); the demo goes on without it. r + Enter starts it again`,
        );
    });
    return started;
  }

  async function toggle() {
    if (running) {
      const { pid, stop } = running;
      running = undefined;
      await stop();
      say(`redis: stopped (pid ${pid}). r + Enter starts it again`);
    } else if (await isFree(port)) {
      const { pid } = await start();
      say(`redis: runs again (pid ${pid}, port ${port}), empty`);
    } else {
      say(`redis: port ${port} is taken by a server that was not started here`);
    }
  }

  return {
    start,
    /** Stops it, or starts it again; one after the other. */
    toggle() {
      busy = busy.then(toggle).catch((error) => say(`redis: ${error.message}`));
      return busy;
    },
    async stop() {
      ending = true;
      await busy;
      await running?.stop();
    },
  };
}
