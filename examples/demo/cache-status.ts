/** How a lookup was answered, as a `Cache-Status` header: RFC 9211, section 2. */
import type { Lookup } from "leeward";

/**
 * - `hit`: from Redis.
 * - `fwd=miss`, `fwd=bypass`: the callback ran; `collapsed` when it was another request's.
 * - `stored`, `stored=?0`: whether Redis keeps the value. While the fill is under way in the background nobody knows yet:
 *   `detail=storing`.
 * - `detail`: why Redis was passed by.
 */
export function cacheStatus({ outcome, stored, shared, reason }: Lookup<unknown>): string {
  if (outcome === "hit") return "leeward; hit";
  const parts = ["leeward", `fwd=${outcome}`];
  if (outcome === "miss")
    parts.push(stored === undefined ? "detail=storing" : stored ? "stored" : "stored=?0");
  if (shared) parts.push("collapsed");
  if (reason) parts.push(`detail=${reason}`);
  return parts.join("; ");
}
