/**
 * What the hashes in Redis mean: the entries that a reader could be given. The layout is that of src/core/key.rs and of
 * the scripts.
 */
import { fromLatin1, textOf } from "../../dev/bytes.mjs";
import { PLAIN } from "../compress.ts";
import type { TestEntry } from "../testing.d.ts";
import { decode, fromBase64, fromBytes, isCompressed, type Kind, type Text } from "../value.ts";
import { number, words } from "./lua.ts";
import { isMarked } from "./marks.ts";
import type { Hash, Store } from "./store.ts";

/** `<prefix>:k:<namespace>:<key>`, or `h` and the key's hash; prefix and namespace hold no ":". */
const ENTRY = /^([^:]*):[kh]:([^:]*):(.*)$/s;

/** The words of a header before those of namespaces and tags. */
const FIXED = 10;

interface Place {
  readonly redisKey: string;
  readonly prefix: string;
  /** The path of its namespace, encoded. */
  readonly space: string;
  readonly key: string;
}

export function entriesIn(store: Store, now: number): TestEntry[] {
  return store.keys.flatMap((redisKey) => {
    const [, prefix, space, key] = ENTRY.exec(redisKey) ?? [];
    if (prefix === undefined || space === undefined || key === undefined) return [];
    const hash = hashOf(store, redisKey);
    const builds = [...(hash?.keys() ?? [])]
      .filter((field) => field.startsWith("h:"))
      .map((field) => field.slice(2));
    return builds
      .sort()
      .flatMap((build) => entryOf(store, { redisKey, prefix, space, key }, build, now) ?? []);
  });
}

/** The entry of a build, if it is valid. */
function entryOf(store: Store, place: Place, build: string, now: number): TestEntry | undefined {
  const { redisKey, prefix, space } = place;
  const own = hashOf(store, redisKey);
  const parts = words(own?.get(`h:${build}`));
  const body = own?.get(`b:${build}`);
  const spaces = spacesOf(space);
  if (parts[0] !== "2" || body === undefined || number(parts[9]) !== spaces.length) return undefined;

  const tags: string[] = [];
  const hashes = [{ hash: own, id: parts[1], half: parts[2], field: "g" }];
  for (let part = FIXED; part < parts.length; part += 3) {
    const path = spaces[(part - FIXED) / 3];
    const tag = parts[part] ?? "";
    if (path === undefined) tags.push(text(decoded(tag)));
    const name = path === undefined ? `${prefix}:t:${space}:${tag}` : `${prefix}:n:${path}`;
    hashes.push({ hash: hashOf(store, name), id: parts[part + 1], half: parts[part + 2], field: "v" });
  }
  const valid = hashes.every(
    ({ hash, id, field }) => hash?.get(field) === id && !isMarked(hash?.get("m"), now),
  );
  const [age, ttl, swr, error] = [Math.abs(now - number(parts[3])), ...parts.slice(4, 7).map(number)];
  if (!valid || ttl === undefined || !(age < ttl + Math.max(swr ?? 0, error ?? 0))) return undefined;

  const fresh = age < ttl && hashes.every(({ hash, half }) => hash?.get("x") === half);
  return {
    key: text(place.key),
    namespace: space === "" ? [] : space.split("/").map((name) => text(decoded(name))),
    prefix: text(decoded(prefix)),
    version: text(build),
    ...valueIn({ kind: parts[7] as Kind, text: text(body) }),
    tags,
    state: fresh ? "fresh" : "stale",
    ttl: fresh ? ttl - age : 0,
    age,
    redisKey: text(redisKey),
  };
}

/** Node can decompress at once, and so can workerd with `nodejs_compat`. */
interface Zlib {
  gunzipSync(bytes: Uint8Array): Uint8Array<ArrayBuffer>;
}

function valueIn(stored: Text): Pick<TestEntry, "value" | "compressed"> {
  const { kind } = stored;
  if (!isCompressed(kind)) return { value: decode(stored), compressed: false };
  const { process } = globalThis as { process?: { getBuiltinModule?(name: string): Zlib | undefined } };
  const zlib = process?.getBuiltinModule?.("node:zlib");
  if (zlib === undefined) return { value: undefined, compressed: true };
  const bytes = Uint8Array.from(zlib.gunzipSync(fromBase64(stored.text)));
  return { value: decode(fromBytes(PLAIN[kind], bytes)), compressed: true };
}

/** The paths of the namespaces that it lies in, the widest first. */
function spacesOf(space: string): string[] {
  const names = space === "" ? [] : space.split("/");
  return ["", ...names.map((_, index) => names.slice(0, index + 1).join("/"))];
}

/** Someone else's key may hold anything. */
function hashOf(store: Store, key: string): Hash | undefined {
  try {
    return store.hash(key);
  } catch {
    return undefined;
  }
}

function decoded(name: string): string {
  return name.replace(/%([0-9A-F]{2})/g, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)));
}

/** A text of bytes as a text. */
function text(raw: string): string {
  return textOf(fromLatin1(raw));
}
