/** Uses the package where it cannot cache: every call below must be answered all the same. */
import { createCache, isLeewardError, redisCache } from "leeward";

const own = new Error("the callback's own");
/** @type {import("leeward").CacheEvent[]} */
const events = [];
// With `--observed` warnings are events, else they go to the console.
const observed = process.argv.includes("--observed");
const cache = createCache(observed ? { onEvent: (event) => events.push(event) } : {});
/** @param {unknown} reason */
const caught = (reason) => reason;

const values = [];
for (const key of ["a", "a", "b"]) values.push(await cache.getOrSet(key, async () => `value of ${key}`));
values.push(...(await Promise.all(["c", "d"].map((key) => cache.getOrSet(key, () => `value of ${key}`)))));
const lookup = await cache.lookup("a", ({ signal }) => signal.aborted);
const thrown = await cache.getOrSet("e", () => Promise.reject(own)).catch(caught);
const got = await cache.get("a");
const refused = await cache.invalidate({ keys: ["a"] }).catch(caught);
const set = await cache.set("a", 1).catch(caught);
const old = observed ? "old" : await redisCache(() => "old", ["a"], { revalidate: false });

console.log(
  JSON.stringify({
    values,
    lookup,
    thrown: thrown === own,
    got: got === undefined,
    codes: [refused, set].map((error) => isLeewardError(error) && error.code),
    old,
    state: cache.connection.state,
    requests: cache.stats().requests,
    events,
  }),
);
