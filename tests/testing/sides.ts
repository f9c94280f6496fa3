/** One request to the gateway over a real Redis, and to the Redis in memory, as their clients see it. */
import { createTestRedis, type FaultName, type TestRedis } from "leeward/testing";
import type { FaultOptions, Gateway } from "../../dev/gateway.mjs";
import { type Servers, startServers } from "../gateway/client.ts";

/** One of the two. */
export interface Side {
  readonly name: string;
  readonly url: string;
  readonly token: string;
  readonly fetch: typeof fetch;
  fault(name: FaultName, options?: FaultOptions): Promise<void>;
  /** Empty and healthy. */
  reset(): Promise<void>;
  /** Resolves when a request with this text in a command has arrived. */
  seen(text: string): Promise<unknown>;
  release(match?: string): Promise<number>;
  /** Resolves when no request is open. */
  idle(): Promise<void>;
  get(key: string): Promise<unknown>;
  /** For each request: fault, executions, status. */
  log(): string[];
  counters(): object;
}

export interface Sides {
  readonly servers: Servers;
  readonly redis: TestRedis;
  readonly real: Side;
  readonly memory: Side;
  stop(): Promise<void>;
}

export async function startSides(): Promise<Sides> {
  const servers = await startServers();
  const redis = createTestRedis();
  return { servers, redis, real: realSide(servers), memory: memorySide(redis), stop: () => servers.stop() };
}

function realSide({ gateway, redis }: Servers): Side {
  return {
    name: "the gateway",
    url: gateway.url,
    token: gateway.token,
    fetch,
    fault: (name, options) => gateway.fault(name, options),
    async reset() {
      await gateway.reset();
      await redis.command("FLUSHALL");
      await redis.command("SCRIPT", "FLUSH");
    },
    seen: (text) => gateway.seen(text),
    release: (match) => gateway.release(match),
    idle: () => gateway.idle(),
    get: (key) => redis.command("GET", key),
    log: () => gateway.requests.map(inShort),
    counters: () => counted(gateway),
  };
}

function memorySide(redis: TestRedis): Side {
  return {
    name: "memory",
    url: redis.url,
    token: redis.token,
    fetch: redis.fetch,
    async fault(name, options) {
      redis.fault(name, options as never);
    },
    async reset() {
      redis.reset();
    },
    async seen(text) {
      while (
        !redis.requests.some(({ commands }) => commands.some((words) => words.join(" ").includes(text)))
      ) {
        await Promise.resolve();
      }
    },
    release: (match) => redis.release(match),
    idle: () => redis.idle(),
    get: async (key) => redis.command("GET", key),
    log: () => redis.requests.map(inShort),
    counters() {
      const { requests, commands, errors, faults, open, byCommand } = redis.counters;
      return { requests, commands, errors, faults, open, byCommand };
    },
  };
}

function counted(gateway: Gateway) {
  const { httpRequests, redisCommands, errors, faults, openRequests, byCommand } = gateway.counters();
  const more = { errors, faults, open: openRequests, byCommand: { ...byCommand } };
  return { requests: httpRequests, commands: redisCommands, ...more };
}

function inShort({
  fault,
  executions,
  status,
}: {
  fault: string;
  executions: number;
  status: number | null;
}) {
  return `${fault} ${executions} ${status}`;
}

/** A request, and what its client does. */
export interface Asked {
  readonly path?: string;
  readonly method?: string;
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
  readonly token?: string | null;
  readonly signal?: AbortSignal;
}

/** What the client gets: status, headers and body, or where and how it failed. */
export async function ask(side: Side, asked: Asked): Promise<unknown> {
  const { path = "/", method = "POST", body, token = side.token, signal } = asked;
  const headers = new Headers(asked.headers);
  if (token !== null) headers.set("authorization", `Bearer ${token}`);
  const init: RequestInit = { method, headers, redirect: "manual", signal: signal ?? null };
  if (body !== undefined) init.body = typeof body === "string" ? body : JSON.stringify(body);
  let response: Response;
  try {
    response = await side.fetch(`${side.url}${path}`, init);
  } catch (error) {
    return { at: "the answer", ...failureOf(error) };
  }
  const head = { status: response.status, headers: headersOf(response) };
  let text = "";
  try {
    const decoder = new TextDecoder();
    for await (const chunk of response.body ?? []) text += decoder.decode(chunk, { stream: true });
    return { ...head, text: text.length > 1000 ? `${text.length} characters, ${text.slice(0, 100)}` : text };
  } catch (error) {
    return { ...head, text, at: "the body", ...failureOf(error) };
  }
}

/** The headers that Redis' answers have; a server of HTTP adds its own. */
function headersOf({ headers }: Response) {
  const names = ["content-type", "content-length", "location", "retry-after", "x-test"];
  return {
    ...Object.fromEntries(names.map((name) => [name, headers.get(name)])),
    "upstash-sync-token": headers.has("upstash-sync-token"),
  };
}

function failureOf(error: unknown) {
  if (!(error instanceof Error)) return { failure: error };
  const cause = error.cause as { code?: unknown } | undefined;
  return { failure: `${error.name}: ${error.message}`, code: cause?.code };
}
