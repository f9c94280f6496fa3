/** What a test needs around an isolate: a real Redis, a gateway of its own, and a look at what is left afterwards. */
import { afterAll, expect, onTestFinished } from "vitest";
import { type Gateway, startGateway } from "../../dev/gateway.mjs";
import { type Redis, startRedis } from "../../dev/redis.mjs";
import { type Isolate, type IsolateOptions, startIsolate } from "./isolate.ts";
import type { Call, Ended, State } from "./visit.ts";
import { NEWEST } from "./workerd.ts";

/** A runtime's configuration, as a test's name says it. */
export interface Runtime {
  name: string;
  compatibilityDate: string;
  flags: readonly string[];
}

/** `handle_cross_request_promise_resolution`, which decides who may settle whose promises. */
export const FLAG = "handle_cross_request_promise_resolution";
export const FLAG_ON: Runtime = { name: "flag on", compatibilityDate: NEWEST, flags: [FLAG] };
export const FLAG_OFF: Runtime = { name: "flag off", compatibilityDate: NEWEST, flags: [`no_${FLAG}`] };

/** What everything that happens between requests must hold on. */
export const RUNTIMES: readonly Runtime[] = [FLAG_ON, FLAG_OFF];

/** As it was before the flag existed. */
export const OLD_DATE: Runtime = {
  name: "compatibility date 2024-09-01",
  compatibilityDate: "2024-09-01",
  flags: [],
};

export interface Stage {
  redis: Redis;
  gateway: Gateway;
  isolate: Isolate;
  /** One more gateway to the same Redis: for the isolate another connection. */
  another(): Promise<Gateway>;
  /** One more isolate on the same gateway. */
  neighbour(): Promise<Isolate>;
  /** The fields of a key's hash in Redis; empty if there is none. */
  hash(key: string, prefix?: string): Promise<Record<string, string>>;
  /** Redis answers no script until it is released: what arrives meanwhile waits. */
  hold(): Promise<unknown>;
  release(): Promise<unknown>;
  /**
   * Waits until nothing is under way in the isolates, and makes sure that nobody has complained. A request that was ended
   * leaves its operations behind: `left` of them, and their requests.
   */
  settled(expected?: { left?: number; allowed?: RegExp }): Promise<void>;
}

/** One for each file of tests; a test begins with it empty. */
let redis: Promise<Redis> | undefined;
afterAll(async () => (await redis)?.stop());

export async function startStage(runtime: Runtime, options: IsolateOptions = {}): Promise<Stage> {
  redis ??= startRedis();
  const server = await redis;
  // A test that failed may have left it on hold.
  await server.command("CLIENT", "UNPAUSE");
  await server.command("FLUSHALL");
  const isolates: Isolate[] = [];
  const another = async () => {
    const gateway = await startGateway({ redisPort: server.port });
    onTestFinished(() => gateway.stop());
    return gateway;
  };
  const gateway = await another();
  const neighbour = async () => {
    const isolate = await startIsolate({
      compatibilityDate: runtime.compatibilityDate,
      ...options,
      flags: [...runtime.flags, ...(options.flags ?? [])],
      env: { ...credentials(gateway), ...options.env },
    });
    onTestFinished(() => isolate.stop());
    isolates.push(isolate);
    return isolate;
  };
  return {
    redis: server,
    gateway,
    isolate: await neighbour(),
    another,
    neighbour,
    async hash(key, prefix = "leeward") {
      const flat = (await server.command("HGETALL", `${prefix}:k::${key}`)) as string[];
      return Object.fromEntries(
        Array.from({ length: flat.length / 2 }, (_, i) => flat.slice(2 * i, 2 * i + 2)),
      );
    },
    hold: () => server.command("CLIENT", "PAUSE", 60_000, "WRITE"),
    release: () => server.command("CLIENT", "UNPAUSE"),
    async settled({ left = 0, allowed } = {}) {
      for (const isolate of isolates) {
        // An isolate that has had no use for the core has no tables.
        const clean = ({ underWay }: State) =>
          left === 0 ? underWay.every((n) => n === 0) : String(underWay) === String([left, left, 0, 0]);
        const { unhandled } = await isolate.until(clean);
        expect(unhandled).toEqual([]);
        expect(await complaints(isolate, allowed)).toEqual([]);
      }
    },
  };
}

export function credentials({ url, token }: { url: string; token: string }): Record<string, string> {
  return { UPSTASH_REDIS_REST_URL: url, UPSTASH_REDIS_REST_TOKEN: token };
}

/** Lines of the log in which the runtime, or a worker, complains. */
export const complaint = /uncaught|unhandled|hung|leeward:/i;

/**
 * What the runtime says when a worker misbehaves. Not among it: the warning that a promise was settled whose waiter has
 * answered meanwhile by its own timer, which is what own timers are for.
 */
export async function complaints(isolate: Isolate, allowed?: RegExp): Promise<string[]> {
  const lines = (await isolate.log()).split("\n");
  return lines.filter((line) => complaint.test(line) && !allowed?.test(line));
}

/** So many at the same time. */
export function together<T>(count: number, one: (index: number) => Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: count }, (_, index) => one(index)));
}

/** The value that an operation of a kind gave, whichever way it gives it. */
export function givenBy(call: Call, { value }: Ended): unknown {
  const { op, key } = call;
  if (op === "lookup" || op === "look") return (value as { value?: unknown }).value;
  if (op === "getMany" || op === "lookMany") return (value as Record<string, unknown>)[key];
  if (op === "has") return value ? call.value : undefined;
  return value;
}
