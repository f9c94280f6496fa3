/** Guards the wire format: what is written is what the golden files hold, and what they hold is read. */
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import type { createCache } from "leeward";
import { beforeEach, describe, expect, test } from "vitest";
import { type Stage, startStage, until } from "../node/stage.ts";

interface Hash {
  [field: string]: string;
}

interface Golden {
  /** An entry of each kind: what is asked for, and the hashes that lie in Redis then. */
  entries: { [kind: string]: { gzip?: string; hashes: { [key: string]: Hash } } };
  /** An entry while a mutate runs and another isolate has the lease. */
  marked: { [key: string]: Hash };
}

const file = new URL("v1/entries.json", import.meta.url);
const golden = JSON.parse(readFileSync(file, "utf8")) as Golden;

const PREFIX = "wi:re";
const OPTIONS = {
  prefix: PREFIX,
  version: "b1",
  ttl: "1h",
  swr: "2m",
  staleIfError: "3m",
  compress: 1024,
} as const;
const TAGS = ["plain", "with space, % and :"];

const VALUES: { [kind: string]: () => unknown } = {
  j: () => ({ text: 'Grüße, "世界" \\ \n', list: [1, null, true, { a: [] }] }),
  u: () => undefined,
  b: () => Uint8Array.of(0, 1, 127, 128, 254, 255),
  a: () => Uint8Array.of(1, 2, 3).buffer,
  J: () => ({ text: "Grüße, ".repeat(300) }),
  B: () => new Uint8Array(3000).fill(7),
  A: () => new Uint8Array(3000).fill(8).buffer,
};
const keyOf = (kind: string) => (kind === "A" ? `long ${"k".repeat(600)}` : `key:${kind}`);
const place = (cache: ReturnType<typeof createCache>) => cache.namespace("eu/1").namespace("ü");

let stage: Stage;
beforeEach(async () => {
  stage = await startStage();
});

/** `<instance>.<random>.<count>`, in hexadecimal; of a generation or version with Redis' time in s and microseconds. */
const NONCE = /[0-9a-f]+\.[0-9a-f]+\.[0-9a-f]+(?:@\d+\.\d+)?/g;
const TIME = /\b1[6-9]\d{11}\b/g;

/** Names what differs each time, in the order in which it comes up. */
class Names {
  readonly #names = new Map<string, string>();
  readonly #counts = { n: 0, t: 0 };

  in(text: string): string {
    return text
      .replaceAll(NONCE, (nonce) => this.#of(nonce, "n"))
      .replaceAll(TIME, (time) => this.#of(time, "t"));
  }

  #of(text: string, kind: "n" | "t"): string {
    let name = this.#names.get(text);
    if (name === undefined) {
      this.#counts[kind] += 1;
      name = `<${kind}${this.#counts[kind]}>`;
      this.#names.set(text, name);
    }
    return name;
  }
}

/** Every hash in Redis. */
async function lying(): Promise<{ [key: string]: Hash }> {
  const names = new Names();
  const hashes: { [key: string]: Hash } = {};
  for (const key of ((await stage.redis.command("KEYS", "*")) as string[]).sort()) {
    const fields = Object.entries(await hashOf(key)).map(([field, text]) => {
      const named = names.in(text);
      return [field, field.startsWith("h:") ? named.replace(/^((?:\S+ ){8})\d+/, "$1<cost>") : named];
    });
    hashes[key] = Object.fromEntries(fields);
  }
  return hashes;
}

async function hashOf(key: string): Promise<Hash> {
  const flat = (await stage.redis.command("HGETALL", key)) as string[];
  const pairs = Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i] ?? "", flat[2 * i + 1] ?? ""]);
  return Object.fromEntries(pairs.sort(([a = ""], [b = ""]) => (a < b ? -1 : 1)));
}

/** Takes out what a compressed body is: no two runtimes need give the same bytes. */
function unpack(hashes: { [key: string]: Hash }): string | undefined {
  const hash = Object.values(hashes).find((fields) => /^(\S+ ){7}[JBA] /.test(fields["h:b1"] ?? ""));
  const packed = hash?.["b:b1"];
  if (hash !== undefined) hash["b:b1"] = "<gzip>";
  return packed;
}

describe.each(Object.keys(VALUES))("an entry of kind %s", (kind) => {
  const make = VALUES[kind] as () => string;
  const held = golden.entries[kind] as Golden["entries"][string];

  test("is written as ever", async () => {
    const { cache } = stage.cache(OPTIONS);
    await place(cache).getOrSet(keyOf(kind), make, { tags: TAGS });
    await stage.filled(cache, 1);
    const hashes = await lying();
    const packed = unpack(hashes);
    expect(hashes).toEqual(held.hashes);
    expect(unzipped(packed)).toEqual(unzipped(held.gzip));
  });

  test("is read as ever", async () => {
    const now = Date.now();
    for (const [key, hash] of Object.entries(held.hashes)) {
      const filled = Object.entries(hash).flatMap(([field, text]) => [
        field,
        text
          .replaceAll(/<t\d+>/g, `${now}`)
          .replaceAll(/<n(\d+)>/g, "a.b.$1@1795557167.98752")
          .replace("<cost>", "5")
          .replace("<gzip>", held.gzip ?? ""),
      ]);
      await stage.redis.command("HSET", key, ...filled);
    }
    const { cache } = stage.cache(OPTIONS);
    const found = await place(cache).lookup(keyOf(kind), () => "none" as string, { tags: TAGS });
    expect(found).toMatchObject({ outcome: "hit" });
    expect(found.value).toEqual(make());
  });
});

/** The bytes that were compressed. */
function unzipped(gzip: string | undefined): Buffer | undefined {
  return gzip === undefined ? undefined : gunzipSync(Buffer.from(gzip, "base64"));
}

test("marks and leases are written as ever", async () => {
  const inside = place(stage.cache(OPTIONS).cache);
  const other = place(stage.cache({ ...OPTIONS, version: "b2" }).cache);
  let end = () => {};
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  let running = 0;
  const callback = async () => {
    running += 1;
    await ended;
    return 1;
  };
  const leased = other.getOrSet("leased", callback);
  await until(() => running === 1);
  const mutated = inside.mutate({ keys: ["key"], tags: ["plain"] }, callback);
  await until(() => running === 2);
  const found = await lying();
  end();
  await Promise.all([mutated, leased]);
  expect(found).toEqual(golden.marked);
});
