/** Which keys there are, and that no two of them meet. */
import { createHash } from "node:crypto";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { rejection, type Stage, startStage } from "./stage.ts";

let stage: Stage;
beforeEach(async () => {
  stage = await startStage();
});

/** A key of so many bytes of UTF-8, some of them of characters that take three. */
const long = (bytes: number) => "€".repeat(10) + "x".repeat(bytes - 30);

const GOOD: Record<string, string> = {
  "the empty key": "",
  "white space": " \t\n\r ",
  "control characters": "\u0000\u0001\u001b\u007f\u0085",
  "a zero byte between others": "a\u0000b",
  "quotes, backslashes and braces": "\"'`\\{}[]%00%",
  "what looks like the separators": "leeward:k::x:y",
  "characters of many bytes": "héllo Ωμέγα 漢字 👩‍👩‍👧 \u{10ffff}",
  "a composed letter": "\u00e9",
  "the same letter, decomposed": "e\u0301",
  "right to left": "\u202eشجرة\u202c",
  "a byte order mark": "\ufeffkey",
  "line separators": "\u2028\u2029",
  __proto__: "__proto__",
  "names that objects have": "constructor",
  "numbers as text": "7",
  "as long as is stored as it is": long(512),
  "a little longer": long(513),
  "as long as may be": long(1_048_576),
};

test("every well-formed text is a key of its own", async () => {
  const { cache } = stage.cache({ prefix: "keys" });
  const keys = Object.values(GOOD);
  await Promise.all(keys.map((key, i) => cache.getOrSet(key, () => ({ i }))));
  await stage.filled(cache, keys.length);
  const looked = await Promise.all(keys.map((key) => cache.lookup<{ i: number }>(key)));
  expect(looked.map(({ outcome, value }) => ({ outcome, value }))).toEqual(
    keys.map((_, i) => ({ outcome: "hit", value: { i } })),
  );
  const stored = (await stage.redis.command("KEYS", "*")) as string[];
  // Besides them there is the namespace that they all lie in.
  const named = keys.map((key) => {
    const short = Buffer.byteLength(key) <= 512;
    return short ? `keys:k::${key}` : `keys:h::${createHash("sha256").update(key).digest("base64url")}`;
  });
  expect([...stored].sort()).toEqual([...named, "keys:n:"].sort());
});

test.for(Object.entries(GOOD))("%s can be set, found, invalidated and is then gone", async ([, key]) => {
  const { cache } = stage.cache();
  expect(await cache.set(key, "value")).toEqual({ state: "applied", stored: true });
  expect(await cache.get(key)).toBe("value");
  expect(await cache.invalidate({ keys: [key] })).toEqual({ state: "applied" });
  expect(await cache.lookup(key)).toMatchObject({ outcome: "miss", stored: false });
});

test("caches whose prefixes and keys look alike when they are joined do not meet", async () => {
  const caches = ["a", "a:k", "a:k:", "a%3Ak"].map((prefix) => stage.cache({ prefix }).cache);
  const all = caches.flatMap((cache, i) => ["", ":", "k::b", ":b", "b"].map((key) => ({ cache, key, i })));
  for (const { cache, key, i } of all) await cache.set(key, `${i} ${key}`);
  const found = await Promise.all(all.map(({ cache, key }) => cache.get(key)));
  expect(found).toEqual(all.map(({ key, i }) => `${i} ${key}`));
});

describe("a long key", () => {
  const key = long(5000);
  const hash = createHash("sha256").update(key).digest("base64url");

  test("and the text of its hash are two keys", async () => {
    const { cache } = stage.cache();
    for (const [i, name] of [key, hash, `h::${hash}`, `:${hash}`, `${key}x`].entries())
      await cache.set(name, i);
    expect(await cache.get(key)).toBe(0);
    expect(await cache.get(hash)).toBe(1);
    await cache.delete(hash);
    expect(await cache.get(key)).toBe(0);
    await cache.namespace("eu").set(key, "eu");
    expect(await cache.get(key)).toBe(0);
    await cache.delete(key);
    expect([await cache.get(key), await cache.namespace("eu").get(key)]).toEqual([undefined, "eu"]);
  });

  test("is named by how it begins with debug, by a short hash without, and in errors as it was given", async () => {
    const { cache, events } = stage.cache({ debug: true });
    const other = stage.cache();
    await cache.getOrSet(key, () => 1);
    await other.cache.getOrSet(key, () => 1);
    const shown = `${[...key].slice(0, 64).join("")}...`;
    expect(events.flatMap((event) => (event.type === "read" ? [event.key] : []))).toEqual([shown]);
    const [read] = other.events.flatMap((event) => (event.type === "read" ? [event.key] : []));
    expect(read).toMatch(/^[0-9a-f]{12}$/);
    await stage.gateway.idle();
    await stage.gateway.fault("redisError", { error: "ERR not now", match: hash });
    const error = await rejection(cache.invalidate({ keys: ["short", key] }));
    expect(error).toMatchObject({ state: "pending", keys: [key] });
  });
});

describe("what is no key is refused before any work", () => {
  const BAD: [name: string, key: unknown, message: RegExp][] = [
    ["a number", 7, /a key must be a string, got number/],
    ["undefined", undefined, /a key must be a string, got undefined/],
    ["null", null, /a key must be a string, got null/],
    ["a list", ["key"], /a key must be a string, got an array/],
    ["an object", { toString: () => "key" }, /a key must be a string, got object/],
    ["a boxed string", new String("key"), /a key must be a string, got object/],
    ["a symbol", Symbol("key"), /a key must be a string, got symbol/],
    ["a lone high surrogate", "a\ud800b", /lone surrogate/],
    ["a lone low surrogate", "\udc00", /lone surrogate/],
    ["surrogates in the wrong order", "\udc00\ud800", /lone surrogate/],
    ["one byte too many", long(1_048_577), /at most 1048576 bytes of UTF-8, got 1048577/],
  ];

  test.for(BAD)("%s", async ([, bad, message]) => {
    const { cache, events } = stage.cache();
    const key = bad as string;
    let calls = 0;
    const load = () => {
      calls += 1;
      return 1;
    };
    const refused = await Promise.all([
      rejection(cache.getOrSet(key, load)),
      rejection(cache.lookup(key, load)),
      rejection(cache.lookup(key)),
      rejection(cache.get(key)),
      rejection(cache.set(key, 1)),
      rejection(cache.delete(key)),
      rejection(cache.invalidate({ keys: ["good", key] })),
    ]);
    for (const error of refused) {
      expect(error).toBeInstanceOf(TypeError);
      expect((error as TypeError).message).toMatch(message);
      expect((error as TypeError).message.length).toBeLessThan(200);
    }
    expect({ calls, events, requests: stage.gateway.counters().httpRequests }).toEqual({
      calls: 0,
      events: [],
      requests: 0,
    });
  });

  test("an invalidation, an expiry or a mutate of more names than the core has room for, and of as many", async () => {
    const { cache, events } = stage.cache();
    const tags = (count: number) => ({ tags: Array.from({ length: count }, (_, n) => `tag-${n}`) });
    const keys = (count: number) => ({
      keys: Array.from({ length: count }, (_, n) => `${n}`.padStart(1 << 20, "k")),
    });
    const fn = vi.fn();
    for (const [what, message] of [
      [tags(65_537), /at most 65536 keys and tags, got 65537/],
      [keys(5), /at most 4194304 bytes of UTF-8 in all, got 5242880/],
    ] as const) {
      for (const call of [cache.invalidate(what), cache.expire(what), cache.mutate(what, fn)]) {
        const error = await rejection(call);
        expect(error).toBeInstanceOf(TypeError);
        expect((error as TypeError).message).toMatch(message);
      }
    }
    expect(fn).not.toHaveBeenCalled();
    expect(events).toEqual([]);
    // The rest is for the request's budget, and is sent later.
    expect(await rejection(cache.invalidate(tags(65_536)))).toMatchObject({ state: "pending" });
    await cache.invalidate(keys(4)).catch(() => {});
    expect(events.filter(({ type }) => type === "warning").map((event) => event.type && event)).toEqual([
      expect.objectContaining({ code: "budget" }),
    ]);
  });

  test.for([
    [undefined, /must be an object with keys, tags or all, got undefined/],
    ["key", /must be an object with keys, tags or all, got string/],
    [["key"], /unknown option "0": known are keys, tags, all/],
    [{}, /must be at least one key, one tag, or all, got nothing/],
    [{ keys: [], tags: [], all: false }, /must be at least one key, one tag, or all, got nothing/],
    [{ keys: "key" }, /"keys" must be a list of keys, got string/],
    [{ tags: "tag" }, /"tags" must be a list of texts of 1 to 512 bytes of UTF-8, got a text/],
    [{ keys: ["key"], tags: ["a", 7] }, /"tags" must be a list of texts .*, got a list with number/],
    [{ tags: [""] }, /"tags" must be a list of texts .*, got an empty text/],
    [{ tags: ["x".repeat(513)] }, /"tags" must be a list of texts .*, got one of 513 bytes/],
    [{ tags: ["\ud800"] }, /"tags" must be a list of texts .*, got one with a lone surrogate/],
    [{ all: "yes" }, /"all" must be true or false, got string/],
    [{ keys: ["key"], tag: "x" }, /unknown option "tag": known are keys, tags, all/],
  ] as const)("an invalidation, an expiry or a mutate of %j", async ([given, message]) => {
    const { cache } = stage.cache();
    const what = given as { keys: string[] };
    const fn = vi.fn();
    for (const call of [cache.invalidate(what), cache.expire(what), cache.mutate(what, fn)]) {
      const error = await rejection(call);
      expect(error).toBeInstanceOf(TypeError);
      expect((error as TypeError).message).toMatch(message);
    }
    expect(fn).not.toHaveBeenCalled();
    expect(stage.gateway.counters().httpRequests).toBe(0);
  });
});
