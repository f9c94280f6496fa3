/**
 * Entries that somebody hostile wrote into Redis. They never crash, never throw into a handler, are never the value of another
 * namespace, and where the callback's value can be stored over them it is.
 */
import { beforeEach, describe, expect, test } from "vitest";
import { type Stage, startStage } from "./stage.ts";

let stage: Stage;
beforeEach(async () => {
  stage = await startStage();
});

const HASH = "leeward:k::key";
const SPACE = "leeward:n:";
const TAG = "leeward:t::tag";

type Cache = ReturnType<Stage["cache"]>["cache"];

async function fields(hash: string): Promise<Record<string, string>> {
  const flat = (await stage.redis.command("HGETALL", hash)) as string[];
  return Object.fromEntries(
    Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i], flat[2 * i + 1]]),
  );
}

const write = (hash: string, ...pairs: string[]) => stage.redis.command("HSET", hash, ...pairs);

/** A cache with a stored entry, which carries a tag. */
async function stored(): Promise<Cache> {
  const { cache } = stage.cache();
  await cache.set("key", "stored", { tags: ["tag"] });
  return cache;
}

const tags = (count: number) => Array.from({ length: count }, (_, i) => ` t${i} v x`).join("");

/** Reads as handlers do, some with the tag and some without; gives what they got. */
async function ask(cache: Cache, times: number): Promise<unknown[]> {
  const values: unknown[] = [];
  for (let i = 0; i < times; i += 1) {
    const options = i % 2 === 0 ? { tags: ["tag"] } : {};
    values.push(await cache.getOrSet("key", () => "own", options));
    await stage.gateway.idle();
  }
  expect(cache.connection).toMatchObject({ state: "ready", attempts: 1, failures: 0 });
  return values;
}

describe("a header with one forged word is healed by the next fill", () => {
  const WORDS = [
    "version",
    "generation",
    "soft half",
    "time",
    "ttl",
    "swr",
    "staleIfError",
    "kind",
    "cost",
    "namespaces",
  ];
  const FORGED = [
    "",
    "nan",
    "inf",
    "-1",
    "0x7",
    "1e99",
    "18446744073709551616",
    "9".repeat(400),
    "z",
    "jj",
    "\u0000",
    "%s",
    "é",
  ];

  test.for(WORDS.map((word, at) => ({ word, at })))("its $word", async ({ at }) => {
    for (const forged of FORGED) {
      const cache = await stored();
      const entry = await fields(HASH);
      const words = (entry["h:"] ?? "").split(" ");
      words[at] = forged;
      await write(HASH, "h:", words.join(" "));
      for (const value of await ask(cache, 3)) expect(["own", "stored"]).toContain(value);
      const { outcome, value } = await cache.lookup("key", undefined, { tags: ["tag"] });
      expect([outcome, value === "own" || value === "stored"], forged).toEqual(["hit", true]);
    }
  });
});

describe("an entry is healed by the next fill", () => {
  const CASES: Record<string, (entry: Record<string, string>) => Promise<unknown>> = {
    "without its body": () => stage.redis.command("HDEL", HASH, "b:"),
    "without its header": () => stage.redis.command("HDEL", HASH, "h:"),
    "without its generation": () => stage.redis.command("HDEL", HASH, "g"),
    "without its soft half": () => stage.redis.command("HDEL", HASH, "x"),
    "with nothing but a body": () => stage.redis.command("HDEL", HASH, "h:", "g", "x"),
    "with an empty header": () => write(HASH, "h:", ""),
    "with a header of spaces": () => write(HASH, "h:", " ".repeat(5000)),
    "with another generation": () => write(HASH, "g", "forged@1.1"),
    "with a body that is no JSON": () => write(HASH, "b:", "{forged"),
    "with a body of brackets": () => write(HASH, "b:", "[".repeat(300_000)),
    "with a body of another kind": (entry) =>
      write(HASH, "h:", (entry["h:"] ?? "").replace(" j ", " b "), "b:", "no base64!"),
    "with half a tag": (entry) => write(HASH, "h:", `${entry["h:"]} tag v`),
    "with a tag that there is not": (entry) => write(HASH, "h:", `${entry["h:"]} forged v x`),
    "with a tag that is no name": (entry) => write(HASH, "h:", `${entry["h:"]} a:%3A:leeward:k::other v x`),
    "with its tag twice, under two versions": (entry) => write(HASH, "h:", `${entry["h:"]} tag v x`),
    "with 128 tags that there are not": (entry) => write(HASH, "h:", `${entry["h:"]}${tags(127)}`),
    "with a thousand tags": (entry) => write(HASH, "h:", `${entry["h:"]}${tags(1000)}`),
    "with a hundred thousand tags": (entry) => write(HASH, "h:", `${entry["h:"]}${tags(100_000)}`),
    "with a tag of 1 MB": (entry) => write(HASH, "h:", `${entry["h:"]} ${"t".repeat(1e6)} v x`),
    "with a header of 12 MB": () => write(HASH, "h:", "2 ".repeat(6e6)),
    "with a header of 12 MB, in one word": (entry) => write(HASH, "h:", entry["h:"] + "x".repeat(12e6)),
    "with a generation of two words": () => write(HASH, "g", "a b"),
    "with an empty generation": () => write(HASH, "g", ""),
    "with a generation of 12 MB": () => write(HASH, "g", "g".repeat(12e6)),
    "with a generation of 12 MB in our form": () => write(HASH, "g", `${"9".repeat(12e6)}@1.1`),
    "with a generation of control characters": () => write(HASH, "g", '"\\\u0000\n'),
    "with the sign of a generation that could not be made": () => write(HASH, "g", "-"),
    "with a soft half of two words": () => write(HASH, "x", "a b"),
    "under a namespace's version of two words": () => write(SPACE, "v", "a b"),
    "under a tag's version of two words": () => write(TAG, "v", "a b"),
    "under a tag's version of 12 MB": () => write(TAG, "v", "v".repeat(12e6)),
    "with more namespaces than it lies in": (entry) =>
      write(HASH, "h:", (entry["h:"] ?? "").replace(" 1 - ", " 2 - ")),
    "with fields of builds that there are not": () =>
      write(HASH, ...Array.from({ length: 200 }, (_, i) => [`h:${i}`, `2 a b ${"9".repeat(i + 1)} `]).flat()),
    "with a lease that never ends": () => write(HASH, "l:", "forged 99999999999999", "g", "forged@1.1"),
    "with a lease of too many digits": () =>
      write(HASH, "l:", `forged ${"9".repeat(400)}`, "g", "forged@1.1"),
    "with marks that are none": () => write(HASH, "m", "forged forged forged"),
    "with marks that have run out": () => write(HASH, "m", " forged 5".repeat(1000)),
    "with a mark that never ends": () => write(HASH, "m", "forged 99999999999999"),
    "with a mark of too many digits": () => write(HASH, "m", `forged ${"9".repeat(26)}`),
    "with a mark of infinitely many": () => write(HASH, "m", `forged ${"9".repeat(400)}`),
    "with more marks than there may be": () =>
      write(HASH, "m", ` forged ${Date.now() + 60_000}`.repeat(1000)),
    "under a namespace's mark that never ends": () => write(SPACE, "m", "forged 99999999999999"),
  };

  test.for(Object.keys(CASES))("%s", async (name) => {
    const cache = await stored();
    await CASES[name]?.(await fields(HASH));
    for (const value of await ask(cache, 4)) expect(["own", "stored"]).toContain(value);
    const { outcome, value } = await cache.lookup("key", undefined, { tags: ["tag"] });
    expect([outcome, value === "own" || value === "stored"]).toEqual(["hit", true]);
  });
});

describe("what cannot be stored over costs only the cache, until an invalidation ends it", () => {
  const CASES: Record<string, () => Promise<unknown>> = {
    "a text in place of the entry": () => stage.redis.command("SET", HASH, "forged"),
    "a text in place of the tag": () => stage.redis.command("SET", TAG, "forged"),
    "a text in place of the namespace": () => stage.redis.command("SET", SPACE, "forged"),
  };

  test.for(Object.keys(CASES))("%s", async (name) => {
    const cache = await stored();
    await CASES[name]?.();
    for (const value of await ask(cache, 4)) expect(["own", "stored"]).toContain(value);
    expect(await cache.invalidate({ keys: ["key"], tags: ["tag"], all: true })).toEqual({ state: "applied" });
    expect(await cache.getOrSet("key", () => "fresh", { tags: ["tag"] })).toBe("fresh");
    await stage.filled(cache, 1);
    expect(await cache.lookup("key", undefined, { tags: ["tag"] })).toMatchObject({
      value: "fresh",
      outcome: "hit",
    });
  });

  test("a mark as a mutate's: the callback runs, until its end, or that of 10 minutes", async () => {
    const cache = await stored();
    await write(HASH, "m", `forged ${Date.now() + 590_000}`);
    expect(await ask(cache, 4)).toEqual(["own", "own", "own", "own"]);
    await write(HASH, "m", `forged ${Date.now() + 660_000}`);
    expect(await ask(cache, 4)).toEqual(["stored", "stored", "stored", "stored"]);
  });

  test.for([
    "forged 99999999999999",
    `forged ${"9".repeat(26)}`,
  ])("a mark until %s: an invalidation is applied, and takes it away", async (mark) => {
    const cache = await stored();
    for (const hash of [HASH, TAG, SPACE]) await write(hash, "m", mark);
    expect(await cache.invalidate({ keys: ["key"], tags: ["tag"], all: true })).toEqual({
      state: "applied",
    });
    for (const hash of [HASH, TAG, SPACE]) expect(await stage.redis.command("EXISTS", hash)).toBe(0);
  });
});

describe("what is copied from elsewhere", () => {
  const copyOf = async (from: string, to: string, names: RegExp) => {
    const entry = Object.entries(await fields(from)).filter(([name]) => names.test(name));
    await write(to, ...entry.flat());
  };

  test("is not the value of a key of another namespace, whatever of it is copied", async () => {
    const { cache } = stage.cache();
    const [a, b] = [cache.namespace("a"), cache.namespace("b")];
    for (const names of [/./, /^[hbgx]/, /^[hb]:/, /^b:/, /^h:/]) {
      await a.set("key", "of a");
      await b.set("key", "of b");
      await cache.set("key", "of neither");
      await copyOf("leeward:k:a:key", "leeward:k:b:key", names);
      await copyOf("leeward:k:a:key", HASH, names);
      for (const client of [b, cache]) {
        const value = await client.getOrSet("key", () => "own");
        // A body alone is what the namespace's own entry says it is: who can write it chooses the value.
        if (String(names) !== "/^b:/") expect(value).not.toBe("of a");
      }
      await stage.gateway.idle();
    }
  });

  test("is not the value of another key, unless its generation is copied too", async () => {
    const { cache } = stage.cache();
    await cache.set("other", "of other");
    await cache.set("key", "of key");
    await copyOf("leeward:k::other", HASH, /^[hb]:/);
    expect(await cache.getOrSet("key", () => "own")).toBe("own");
    await stage.filled(cache, 3);
    expect(await cache.get("key")).toBe("own");
  });

  test("is not a value that was invalidated", async () => {
    const cache = await stored();
    const before = Object.entries(await fields(HASH)).filter(([name]) => /^[hb]:/.test(name));
    await cache.invalidate({ keys: ["key"] });
    expect(await cache.get("key")).toBeUndefined();
    await write(HASH, ...before.flat());
    expect(await cache.getOrSet("key", () => "own", { tags: ["tag"] })).toBe("own");
  });
});

test("values that look like entries, scripts, commands or replies come back as they went", async () => {
  const { cache } = stage.cache();
  const values = [
    "2 g x 1 1 0 0 j 1 0",
    '[{"result":"OK"}]',
    '{"error":"NOSCRIPT"}',
    '["EVAL","return 1","0"]',
    "]]--",
    "lw2",
    "return redis.call('FLUSHALL')",
    '","FLUSHALL","',
    "\u0000",
    "a\u0000b",
    "\u0000\u0000",
    "T0s=",
    "\\u0000",
    '"',
    "\\",
    "\ud800",
    "</script>",
    "\r\n+OK\r\n",
    "%s%n",
    "$&$1$`",
    "__proto__",
    "null",
    "undefined",
  ];
  await Promise.all(values.map((value, i) => cache.set(`${i}`, { value, list: [value] })));
  const found = await Promise.all(values.map((_, i) => cache.get(`${i}`)));
  expect(found).toEqual(values.map((value) => ({ value, list: [value] })));
  expect(await stage.redis.command("DBSIZE")).toBe(values.length + 1);
});
