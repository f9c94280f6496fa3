/** Uses the package as anybody would: with credentials in the environment. Prints what happens. */
import { createCache, createCacheKey, invalidateCache, isLeewardError, redisCache } from "leeward";

/** @type {string[]} */
const events = [];
const cache = createCache({
  prefix: "consumer",
  timeout: { read: "15s", write: "15s" },
  onEvent: ({ type }) => events.push(type),
});
let calls = 0;
const load = async () => {
  calls += 1;
  return { calls };
};
const look = () => cache.lookup("key", load);
/** Fills happen behind the answer. */
const filled = async () => {
  const before = cache.stats().fills;
  for (const end = Date.now() + 10_000; cache.stats().fills === before && Date.now() < end; ) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
};

const first = look();
await Promise.all([first, filled()]);
const second = await look();
const invalidated = await cache.invalidate({ keys: ["key"] });
const third = look();
await Promise.all([third, filled()]);
const old = await redisCache(() => "old contract", ["user", 7], { revalidate: 60 });
const oldInvalidated = await invalidateCache(createCacheKey(["user", 7]));
const error = await createCache({ url: "nonsense", token: "t", onEvent() {} })
  .invalidate({ keys: ["key"] })
  .catch((reason) => reason);

console.log(
  JSON.stringify({
    node: process.versions.node,
    outcomes: [(await first).outcome, second.outcome, (await third).outcome],
    values: [(await first).value, second.value, (await third).value],
    invalidated,
    old,
    oldInvalidated,
    error: isLeewardError(error) && error.code,
    state: cache.connection.state,
    attempts: cache.connection.attempts,
    events,
  }),
);
