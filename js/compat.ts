/** The contract of the service that Leeward comes from, for code that is written against it. */
import { createCache } from "./cache.ts";
import type { Cache, CacheEvent, Invalidated, Load, RedisCacheOptions } from "./index.d.ts";
import { typeName } from "./type-name.ts";

/** Made on first use: at module scope this file does nothing. */
let cache: Cache | undefined;

function defaultCache(): Cache {
  cache ??= createCache({ onEvent: log });
  return cache;
}

/** The old contract warns when Redis is not there. */
function log(event: CacheEvent): void {
  if (event.type === "warning") console.warn(`leeward: ${event.message}`);
  else if (event.type === "connection" && event.to === "down") {
    console.warn(`leeward: Redis is not there, callbacks run (${event.message ?? event.error ?? "unknown"})`);
  }
}

const LONGEST = "30d";

export async function redisCache<T>(
  callback: () => T | Promise<T>,
  keyParts: readonly (string | number)[],
  options: RedisCacheOptions = {},
): Promise<T> {
  const { revalidate } = options;
  // The old contract says nothing about what can be stored; what cannot is returned all the same.
  const load = callback as Load<never>;
  const key = createCacheKey(keyParts);
  if (revalidate === undefined) return await defaultCache().getOrSet(key, load);
  // As ever: no life at all means not cached.
  if (revalidate === 0) return await callback();
  if (revalidate === false) return await defaultCache().getOrSet(key, load, { ttl: LONGEST });
  if (typeof revalidate !== "number" || !(revalidate > 0 && revalidate <= 30 * 86_400)) {
    const got = typeof revalidate === "number" ? revalidate : typeName(revalidate);
    throw new TypeError(
      `option "revalidate" must be a number of seconds from 0 to 2592000, or false, got ${got}`,
    );
  }
  return await defaultCache().getOrSet(key, load, { ttl: Math.max(1, Math.round(revalidate * 1000)) });
}

export function createCacheKey(keyParts: readonly (string | number)[]): string {
  if (!Array.isArray(keyParts) || keyParts.length === 0) {
    throw new TypeError(
      `the parts of a key must be a list of at least one string or number, got ${typeName(keyParts)}`,
    );
  }
  return keyParts.map(escapePart).join(":");
}

/** Numbers and strings that look alike meet, as they always have; nothing else does. */
function escapePart(part: unknown): string {
  if (typeof part !== "string" && typeof part !== "number") {
    throw new TypeError(`a part of a key must be a string or a number, got ${typeName(part)}`);
  }
  return String(part).replace(/[\s%:]/gu, (c) => encodeURIComponent(c));
}

export async function invalidateCache(keys: string | readonly string[]): Promise<Invalidated> {
  return await defaultCache().invalidate({ keys: typeof keys === "string" ? [keys] : keys });
}
