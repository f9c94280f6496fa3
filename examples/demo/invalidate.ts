/** An invalidation as the visitor is told of it: never an error page, and never a silent failure either. */
import { type CacheClient, type InvalidationError, isLeewardError } from "leeward";

export interface Told {
  /** `pending`: Redis has not acknowledged it yet; this isolate serves nothing stored for the key until it has. */
  state: "applied" | "pending" | "refused";
  code?: string;
  message?: string;
}

export async function invalidate(client: CacheClient, key: string): Promise<Told> {
  try {
    return await client.invalidate({ keys: [key] });
  } catch (error) {
    if (!isInvalidationError(error)) throw error;
    return { state: error.state, code: error.code, message: error.message };
  }
}

function isInvalidationError(error: unknown): error is InvalidationError {
  return isLeewardError(error) && error.name === "InvalidationError";
}
