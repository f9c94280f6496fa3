/** What the package exports; the types are in index.d.ts. */
export { createCache } from "./cache.ts";
export { createCacheKey, invalidateCache, redisCache } from "./compat.ts";
export { isLeewardError } from "./errors.ts";
