/**
 * A bare HTTP client of a gateway, without anything an SDK would smooth over, and the pair of servers it
 * talks to.
 */
import { type Gateway, startGateway } from "../../dev/gateway.mjs";
import { type Redis, startRedis } from "../../dev/redis.mjs";

export interface Servers {
  redis: Redis;
  gateway: Gateway;
  stop(): Promise<void>;
}

export async function startServers(
  options: { maxRequestBytes?: number; poolSize?: number } = {},
): Promise<Servers> {
  const redis = await startRedis();
  const gateway = await startGateway({ ...options, redisPort: redis.port });
  return {
    redis,
    gateway,
    async stop() {
      await gateway.stop();
      await redis.stop();
    },
  };
}

export interface Sent {
  method?: string;
  headers?: Record<string, string>;
  body?: unknown;
  token?: string | null;
  signal?: AbortSignal;
}

export interface Received {
  status: number;
  headers: Headers;
  text: string;
  bytes: Uint8Array;
}

/** Sends a request with the gateway's token; a body that is not bytes goes out as JSON. */
export function open(gateway: Gateway, path: string, sent: Sent = {}): Promise<Response> {
  const token = sent.token === undefined ? gateway.token : sent.token;
  const headers = new Headers(sent.headers);
  if (token !== null) headers.set("authorization", `Bearer ${token}`);
  const body =
    sent.body instanceof Uint8Array || typeof sent.body === "string" ? sent.body : JSON.stringify(sent.body);
  const init: RequestInit = { method: sent.method ?? "POST", headers, redirect: "manual" };
  if (body !== undefined) init.body = body as BodyInit;
  if (sent.signal) init.signal = sent.signal;
  return fetch(`${gateway.url}${path}`, init);
}

export async function send(gateway: Gateway, path: string, sent: Sent = {}): Promise<Received> {
  const response = await open(gateway, path, sent);
  const bytes = new Uint8Array(await response.arrayBuffer());
  return { status: response.status, headers: response.headers, text: new TextDecoder().decode(bytes), bytes };
}

/** One command as `POST /`: "status body". */
export async function command(gateway: Gateway, ...words: (string | number)[]): Promise<string> {
  const { status, text } = await send(gateway, "/", { body: words });
  return `${status} ${text}`;
}

/** The code with which a request failed on the wire, e.g. ECONNRESET. */
export async function failure(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => "expected a failure, got an answer",
    (reason: unknown) => reason,
  );
  const cause = error instanceof Error ? error.cause : undefined;
  if (typeof cause === "object" && cause !== null && "code" in cause) return String(cause.code);
  return String(error);
}
