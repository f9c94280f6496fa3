/** Leeward's events for people who do not know its words yet: one short sentence each, or none for what only repeats another. */
import type { BypassReason, CacheEvent, ErrorKind } from "leeward";

/** Whether a line tells of something that works, that fails, or that merely happens. */
export type Tone = "good" | "bad" | "plain";

export interface Words {
  readonly tone: Tone;
  readonly text: string;
}

const FAILURES: Partial<Record<ErrorKind, string>> = {
  timeout: "Redis did not answer in time",
  transport: "Redis could not be reached",
  protocol: "Redis sent an answer that makes no sense",
  server: "Redis answered with an error",
  auth: "Redis refused the token",
  decode: "Redis sent an answer that cannot be read",
  "too-large": "Redis sent an answer that is too large",
};

const REASONS: Record<BypassReason, string> = {
  disabled: "no Redis is configured",
  down: "Redis is resting",
  timeout: "Redis did not answer in time",
  failed: "Redis gave no usable answer",
  "pending-invalidation": "what Redis holds is old",
  "pass-through": "this value cannot be stored",
  budget: "this request has used up its budget for Redis",
  unavailable: "the cache cannot start",
};

export function inPlainWords(event: CacheEvent): Words | undefined {
  switch (event.type) {
    case "attempt":
      return plain(`Attempt ${event.attempt} to connect${event.probe ? ": is Redis back?" : ""}`);
    case "reuse":
      return plain(`Waited for attempt ${event.attempt} instead of making another`);
    case "connection":
      if (event.to === "ready") return good("The connection is ready");
      if (event.to !== "down") return undefined;
      return bad(`The connection is down${because(event.error)}: Redis is left alone for a while`);
    case "failure":
      return bad(FAILURES[event.error] ?? "The exchange with Redis failed");
    case "read":
      return read(event);
    case "fill":
      return event.stored
        ? good(`${nameOf(event.key)}: stored in Redis`)
        : plain(`${nameOf(event.key)}: not stored in Redis`);
    case "rejected":
      return plain(`${nameOf(event.key)}: the copy in Redis is of another shape`);
    case "unstorable":
      return bad(`${nameOf(event.key)}: cannot be stored, ${event.reason}`);
    case "invalidation":
      return invalidation(event);
    case "lease":
      return plain(`${nameOf(event.key)}: waited for another isolate, ${event.waited} ms`);
    case "timeout":
      return bad(`${nameOf(event.key)}: the upstream took too long`);
    case "warning":
      return bad(`Warning: ${event.message}`);
  }
}

function read({ key, outcome, shared, reason }: Extract<CacheEvent, { type: "read" }>): Words {
  const name = nameOf(key);
  if (outcome === "hit") return good(`${name}: from Redis`);
  if (outcome === "stale") return plain(`${name}: from Redis, no longer fresh`);
  if (outcome === "revalidated") return plain(`${name}: from Redis, still good`);
  const source = shared ? "shared the computation of another request" : "computed by the upstream";
  if (outcome === "miss") return plain(`${name}: ${source}`);
  return bad(`${name}: ${source}, ${reason === null ? "without Redis" : REASONS[reason]}`);
}

function invalidation({ keys, state, replay }: Extract<CacheEvent, { type: "invalidation" }>): Words {
  const names = keys.map(nameOf).join(", ");
  if (state === "pending") return bad(`${names}: Redis could not be told that its copy is old; told later`);
  if (state === "refused") return bad(`${names}: Redis will not drop its old copy`);
  return good(`${names}: Redis has dropped its copy${replay ? ", told after the outage" : ""}`);
}

function because(error: ErrorKind | null): string {
  const failure = error === null ? undefined : FAILURES[error];
  return failure ? ` (${failure})` : "";
}

/** `xp:ada` -> `Ada`. */
function nameOf(key: string): string {
  const [, id = key] = /^xp:([\w-]+)/.exec(key) ?? [];
  return `${id.charAt(0).toUpperCase()}${id.slice(1)}`;
}

const good = (text: string): Words => ({ tone: "good", text });
const bad = (text: string): Words => ({ tone: "bad", text });
const plain = (text: string): Words => ({ tone: "plain", text });
