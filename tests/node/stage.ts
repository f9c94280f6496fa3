/** What a test of the driver on node needs: a real Redis, a gateway of the test's own, and caches that are observed. */
import { type CacheClient, type CacheEvent, type CacheOptions, createCache } from "leeward";
import { afterAll, onTestFinished, vi } from "vitest";
import { type Gateway, startGateway } from "../../dev/gateway.mjs";
import { type Redis, startRedis } from "../../dev/redis.mjs";

/** How long a test waits for what must come: far longer than any deadline in it. */
const PATIENCE_MS = 20_000;

export interface Stage {
  redis: Redis;
  /** New for each test, and so a connection that has never been used. */
  gateway: Gateway;
  /** What a cache is given: the credentials, and deadlines that a busy machine keeps. */
  settings: CacheOptions;
  /** A cache on the gateway, and the list that its events go into. */
  cache(options?: CacheOptions): { cache: ReturnType<typeof createCache>; events: CacheEvent[] };
  /** Waits until so many fills have been answered, and nothing is under way. */
  filled(cache: CacheClient, count: number): Promise<void>;
}

/** One for each file of tests; a test begins with it empty. */
let redis: Promise<Redis> | undefined;
afterAll(async () => (await redis)?.stop());

export async function startStage(): Promise<Stage> {
  redis ??= startRedis();
  const server = await redis;
  await server.command("FLUSHALL");
  const gateway = await startGateway({ redisPort: server.port });
  onTestFinished(() => gateway.stop());
  // A busy machine is no fault of Redis': deadlines are tested where they are given.
  const timeout = { read: "15s", write: "15s", flight: "15s" } as const;
  const settings = { url: gateway.url, token: gateway.token, timeout };
  return {
    redis: server,
    gateway,
    settings,
    cache(options = {}) {
      const events: CacheEvent[] = [];
      const onEvent = (event: CacheEvent) => void events.push(event);
      return { cache: createCache({ ...settings, onEvent, ...options }), events };
    },
    async filled(cache, count) {
      await until(() => {
        const { fills, fillsRefused, fillsFailed } = cache.stats();
        return fills + fillsRefused + fillsFailed >= count;
      });
      await gateway.idle();
    },
  };
}

/** Looks until it holds. */
export async function until(check: () => boolean | Promise<boolean>): Promise<void> {
  const look = async () => {
    if (!(await check())) throw new Error(`waited in vain for: ${check}`);
  };
  await vi.waitFor(look, { timeout: PATIENCE_MS, interval: 5 });
}

/** What a promise that must be rejected is rejected with. */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    (value) => {
      throw new Error(`expected a rejection, got ${JSON.stringify(value)}`);
    },
    (reason: unknown) => reason,
  );
}

/** Events of one type. */
export function ofType<T extends CacheEvent["type"]>(events: readonly CacheEvent[], type: T) {
  return events.filter((event): event is Extract<CacheEvent, { type: T }> => event.type === type);
}

/** HTTP requests and Redis commands since `reset`, as the gateway counted them. */
export function cost(gateway: Gateway): [requests: number, commands: number] {
  const { httpRequests, redisCommands } = gateway.counters();
  return [httpRequests, redisCommands];
}
