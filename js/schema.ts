/** A read's `schema` (Standard Schema, version 1), and whether a stored value will do by it. */
import { isThenable } from "./callback.ts";
import type { StandardSchemaV1 } from "./index.d.ts";
import { pathOf } from "./value.ts";

/** A value will not do. */
export interface Rejection {
  /** Where in it, if the schema says so. */
  readonly path: string | undefined;
  /** The schema has failed over it. */
  readonly failed: boolean;
}

const FAILED: Rejection = { path: undefined, failed: true };

export function isSchema(value: unknown): value is StandardSchemaV1 {
  if ((typeof value !== "object" && typeof value !== "function") || value === null) return false;
  const standard: unknown = (value as { "~standard"?: unknown })["~standard"];
  return (
    typeof standard === "object" &&
    standard !== null &&
    (standard as { version?: unknown }).version === 1 &&
    typeof (standard as { validate?: unknown }).validate === "function"
  );
}

/**
 * Whether the value will do: `undefined`, or why not; then or at once, and never a rejection. The schema's own output is of no
 * interest: it would be given for hits and not for misses.
 */
export function judge(
  schema: StandardSchemaV1,
  value: unknown,
): Rejection | undefined | PromiseLike<Rejection | undefined> {
  try {
    const result: unknown = schema["~standard"].validate(value);
    if (!isThenable(result)) return verdict(result);
    // Whatever a thenable does, it has an end in a promise.
    return Promise.resolve(result)
      .then(verdict)
      .catch(() => FAILED);
  } catch {
    return FAILED;
  }
}

function verdict(result: unknown): Rejection | undefined {
  if (typeof result !== "object" || result === null) return FAILED;
  const { issues } = result as { issues?: unknown };
  if (issues === undefined) return undefined;
  return { path: placeOf(issues), failed: false };
}

/** Where the first issue lies. Its message may quote the value. */
function placeOf(issues: unknown): string | undefined {
  try {
    const path: unknown = (issues as { path?: unknown }[])[0]?.path;
    if (!Array.isArray(path)) return undefined;
    return pathOf(
      path.map((part: unknown) => {
        const key: unknown =
          typeof part === "object" && part !== null ? (part as { key?: unknown }).key : part;
        return typeof key === "number" ? key : String(key);
      }),
    );
  } catch {
    return undefined;
  }
}
