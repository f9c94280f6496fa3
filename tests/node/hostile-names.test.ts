/** Names that somebody hostile chose: whatever keys, tags and namespaces are called, no two of them meet. */
import type { CacheClient } from "leeward";
import { beforeEach, describe, expect, test } from "vitest";
import { cost, rejection, type Stage, startStage } from "./stage.ts";

let stage: Stage;
beforeEach(async () => {
  stage = await startStage();
});

/** What parts names in Redis keys, in headers, in Lua, in HTTP and in objects. */
const NAMES = [
  ...[
    "a",
    "b",
    "A",
    "a/b",
    "a:b",
    "a%2Fb",
    "a%2fb",
    "a%252Fb",
    ":",
    "::",
    "/",
    "%",
    "%00",
    " ",
    "-",
    "*",
    "?",
  ],
  ...[
    "{}",
    "{a}",
    "}{",
    "k",
    "t",
    "n",
    "k::a",
    "t::a",
    "n:",
    "leeward:k::a",
    "..",
    "a\\b",
    "'",
    '"',
    "]]",
    "--",
  ],
  ...[
    "$1",
    "%s",
    "%d+",
    "KEYS[1]",
    "é",
    "e\u0301",
    "漢",
    "👩‍👩‍👧",
    "\u202ea",
    "\ufeffa",
    "\u2028",
    "ａ",
    "\u{10ffff}",
  ],
  ...[
    "__proto__",
    "constructor",
    "prototype",
    "toString",
    "hasOwnProperty",
    "then",
    "null",
    "undefined",
    "0",
  ],
];
/** Names of namespaces have none of these. */
const CONTROLS = [
  "\u0000",
  "a\u0000",
  "\u0000a",
  "\r\n",
  "a\r\nX: y",
  "\t",
  "\u001b[31m",
  "\u007f",
  "\u0085",
  "",
];

describe("no two that differ meet", () => {
  test("of any namespace and key, where each is called as the other might be", async () => {
    const { cache } = stage.cache({ prefix: "p:%{}" });
    const places: [string, CacheClient][] = [["", cache]];
    for (const name of NAMES) places.push([name, cache.namespace(name)]);
    for (const [outer, inner] of [...pairs(["a", "b", "a/b", ":", "%2F"])]) {
      places.push([`${outer} > ${inner}`, cache.namespace(outer).namespace(inner)]);
    }
    const keys = ["", "a", "b", ":a", "a:b", "b/a", "%3Aa", "__proto__", "\u0000", "k::a"];
    const all = places.flatMap(([place, client]) =>
      keys.map((key) => ({ client, key, says: `${place} | ${key}` })),
    );
    await Promise.all(all.map(({ client, key, says }) => client.set(key, says)));
    const found = await Promise.all(all.map(({ client, key }) => client.get(key)));
    expect(found).toEqual(all.map(({ says }) => says));
  });

  test("of any two keys", async () => {
    const { cache } = stage.cache();
    const keys = [...NAMES, ...CONTROLS];
    await Promise.all(keys.map((key) => cache.set(key, `of ${key}`)));
    expect(await Promise.all(keys.map((key) => cache.get(key)))).toEqual(keys.map((key) => `of ${key}`));
    await cache.invalidate({ keys: [":", "\u0000", "__proto__"] });
    const gone = [":", "\u0000", "__proto__"];
    expect(await Promise.all(keys.map((key) => cache.get(key)))).toEqual(
      keys.map((key) => (gone.includes(key) ? undefined : `of ${key}`)),
    );
  });

  test("of any two tags, whoever names them: each ends what carries it, and nothing else", async () => {
    const { cache } = stage.cache();
    const tags = [...NAMES, ...CONTROLS].filter((tag) => tag !== "");
    await Promise.all(tags.map((tag, i) => cache.set(`key ${i}`, tag, { tags: [tag] })));
    const left = async () => {
      const found = await Promise.all(tags.map((_, i) => cache.get(`key ${i}`)));
      return tags.filter((_, i) => found[i] !== undefined);
    };
    expect(await left()).toEqual(tags);
    // By readers that do not name the tag: they find it in the entry's header.
    const ended = ["%", " ", "\u0000", "a\r\nX: y", "-", "k::a", "漢", "constructor", "a:b"];
    for (const tag of ended) await cache.invalidate({ tags: [tag] });
    expect(await left()).toEqual(tags.filter((tag) => !ended.includes(tag)));
  });

  test("of a key, a tag and a namespace that are called the same", async () => {
    const { cache } = stage.cache();
    for (const name of ["a", ":", "k::a", "__proto__"]) {
      const space = cache.namespace(name);
      await cache.set(name, "key", { tags: ["other"] });
      await space.set("x", "in it", { tags: [name] });
      await cache.set("tagged", "tagged", { tags: [name] });
      await cache.invalidate({ keys: [name] });
      expect(await Promise.all([cache.get(name), space.get("x"), cache.get("tagged")])).toEqual([
        ...[undefined, "in it", "tagged"],
      ]);
      await cache.invalidate({ tags: [name] });
      expect(await Promise.all([space.get("x"), cache.get("tagged")])).toEqual(["in it", undefined]);
      await space.invalidate({ all: true });
      expect(await space.get("x")).toBeUndefined();
    }
  });
});

describe("what is no name is refused before any work", () => {
  const LONE = ["\ud800", "a\udfffb", "\udc00\ud800"];
  const HUGE = "x".repeat((1 << 20) + 1);

  test("a key of over 1 MiB, or with a lone surrogate, by every operation", async () => {
    const { cache } = stage.cache();
    for (const key of [...LONE, HUGE]) {
      const calls = [
        ...[cache.getOrSet(key, () => 1), cache.lookup(key, () => 1), cache.get(key), cache.set(key, 1)],
        ...[cache.delete(key), cache.invalidate({ keys: [key] }), cache.expire({ keys: [key] })],
        cache.mutate({ keys: [key] }, () => 1),
      ];
      for (const error of await Promise.all(calls.map(rejection))) expectShort(error);
    }
    expect(cost(stage.gateway)).toEqual([0, 0]);
  });

  test("a tag of 1 MB, or with a lone surrogate, wherever tags are given", async () => {
    const { cache } = stage.cache();
    for (const tag of [...LONE, HUGE, ""]) {
      const tags = [tag];
      const calls = [
        ...[
          cache.getOrSet("key", () => 1, { tags }),
          cache.get("key", { tags }),
          cache.set("key", 1, { tags }),
        ],
        ...[cache.invalidate({ tags }), cache.expire({ tags }), cache.mutate({ tags }, () => 1)],
      ];
      for (const error of await Promise.all(calls.map(rejection))) expectShort(error);
    }
    expect(cost(stage.gateway)).toEqual([0, 0]);
  });

  test("a namespace with control characters, a lone surrogate, 1 MB, or too deep", () => {
    const { cache } = stage.cache();
    for (const name of [...CONTROLS, ...LONE, HUGE]) expectShort(thrownBy(() => cache.namespace(name)));
    const deep = cache.namespace("a").namespace("b").namespace("c").namespace("d");
    expectShort(thrownBy(() => deep.namespace("e")));
  });
});

function* pairs(names: readonly string[]): Generator<[string, string]> {
  for (const one of names) for (const other of names) yield [one, other];
}

function thrownBy(call: () => unknown): unknown {
  try {
    call();
  } catch (error) {
    return error;
  }
  throw new Error("expected it to throw");
}

/** A message that a megabyte of somebody's does not get into. */
function expectShort(error: unknown): void {
  expect(error).toBeInstanceOf(TypeError);
  expect((error as TypeError).message.length).toBeLessThan(200);
}
