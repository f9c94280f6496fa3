/** Leeward's own errors: real Errors, told by brand. No class, since two copies of the package would have two. */
import type { ErrorKind, InvalidationError, LeewardError, RedisError } from "./index.d.ts";
import type { Named } from "./names.ts";
import type { Failure } from "./redis.ts";

const BRAND = Symbol.for("leeward.error");

interface Details {
  name: string;
  code: string;
  kind: ErrorKind;
  retryable: boolean;
}

function branded<E extends LeewardError>(message: string, details: Omit<E, keyof Error> & Details): E {
  const error = new Error(message);
  Object.defineProperty(error, BRAND, { value: true });
  return Object.assign(error, details) as unknown as E;
}

export function isLeewardError(error: unknown): error is LeewardError {
  return typeof error === "object" && error !== null && (error as Record<symbol, unknown>)[BRAND] === true;
}

/** A caller waits for a callback no longer: so many milliseconds were its `timeout.hard`. */
export function callbackTimeout(hard: number): LeewardError {
  return branded<LeewardError>(`the callback did not end within timeout.hard, ${hard} ms`, {
    name: "TimeoutError",
    code: "callback-timeout",
    kind: "timeout",
    retryable: true,
  });
}

/** Why an invalidation is not applied. */
export type NotApplied = "pending" | "refused" | "unconfigured";

const MESSAGES: Record<NotApplied, string> = {
  pending: "not acknowledged by Redis; it is sent again, and until then nothing stored is served for",
  refused: "refused, and not sent again; for at least one of",
  unconfigured: "impossible without a usable Redis; for",
};

export function invalidationError(why: NotApplied, { keys, tags, all }: Named): InvalidationError {
  const parts = [...counted(keys, "key"), ...counted(tags, "tag"), ...(all ? ["the whole namespace"] : [])];
  const error = branded<InvalidationError>(`invalidation ${MESSAGES[why]} ${parts.join(", ")}`, {
    name: "InvalidationError",
    code: why === "unconfigured" ? "unconfigured" : `invalidation-${why}`,
    kind: why === "unconfigured" ? "config" : "invalidation",
    retryable: why === "pending",
    state: why === "pending" ? "pending" : "refused",
    keys,
    tags,
    all,
  });
  // For programs, not for logs: a logger that prints an error's fields would print keys.
  for (const name of ["keys", "tags", "all"]) Object.defineProperty(error, name, { enumerable: false });
  return error;
}

/** Why a raw command has no reply, where Redis did not answer it with an error. */
export type NotExecuted = "not-executed" | "unknown-outcome" | "unconfigured";

const RAW_MESSAGES: Record<NotExecuted, string> = {
  "not-executed": "the command was not executed",
  "unknown-outcome": "the reply is lost: the command may have been executed",
  unconfigured: "the command was not executed: there is no usable redis",
};

export function redisError({ outcome, kind, retryable, word, message }: Failure): RedisError {
  const said = message ?? word ?? "an error";
  const text = outcome === "redis-error" ? `redis answered: ${said}` : `${RAW_MESSAGES[outcome]} (${kind})`;
  return branded<RedisError>(text, {
    name: "RedisError",
    code: outcome,
    kind,
    retryable,
    word: word ?? null,
  });
}

function counted({ length }: readonly string[], what: string): string[] {
  return length === 0 ? [] : [`${length} ${what}${length === 1 ? "" : "s"}`];
}
