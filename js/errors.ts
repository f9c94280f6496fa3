/** Leeward's own errors: real Errors, told by brand. No class, since two copies of the package would have two. */
import type { ErrorKind, InvalidationError, LeewardError } from "./index.d.ts";

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

/** Why an invalidation is not applied. */
export type NotApplied = "pending" | "refused" | "unconfigured";

const MESSAGES: Record<NotApplied, string> = {
  pending: "not acknowledged by Redis; it is sent again, and until then nothing stored is served for",
  refused: "refused, and not sent again; for at least one of",
  unconfigured: "impossible without a usable Redis; for",
};

export function invalidationError(why: NotApplied, keys: readonly string[]): InvalidationError {
  const count = `${keys.length} ${keys.length === 1 ? "key" : "keys"}`;
  const error = branded<InvalidationError>(`invalidation ${MESSAGES[why]} ${count}`, {
    name: "InvalidationError",
    code: why === "unconfigured" ? "unconfigured" : `invalidation-${why}`,
    kind: why === "unconfigured" ? "config" : "invalidation",
    retryable: why === "pending",
    state: why === "pending" ? "pending" : "refused",
    keys,
  });
  // For programs, not for logs: a logger that prints an error's fields would print keys.
  Object.defineProperty(error, "keys", { enumerable: false });
  return error;
}
