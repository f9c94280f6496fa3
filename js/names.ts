/** What keys, tags and namespaces may be called. A bad name is a TypeError before any work. */
import type { Exports } from "./isolate.ts";
import { typeName } from "./type-name.ts";
import { isLonger, sizeOf } from "./value.ts";

/** A longer key is a mistake rather than a name. What is over 512 bytes is stored under its hash. */
const MAX_KEY_BYTES = 1_048_576;
/** Each read of an entry names its tags, and each entry carries them. */
export const MAX_TAGS = 64;
const MAX_TAG_BYTES = 512;
const MAX_NAME_CHARACTERS = 64;
/** What one call ends: all of it is in the core's memory at once. */
const MAX_TARGETS = 65_536;
const MAX_TARGET_BYTES = 4_194_304;
/** A unit of UTF-16 takes so many in UTF-8 at most. */
const BYTES_FOR_ONE = 3;
/** Each read names the namespaces around its key. */
const MAX_DEPTH = 4;

export function checkKey(key: unknown): asserts key is string {
  if (typeof key !== "string") throw new TypeError(`a key must be a string, got ${typeName(key)}`);
  // Two keys with different lone surrogates would be the same in UTF-8.
  if (!key.isWellFormed())
    throw new TypeError("a key must be well-formed Unicode, got one with a lone surrogate");
  if (isLonger(key, MAX_KEY_BYTES)) {
    throw new TypeError(`a key must be at most ${MAX_KEY_BYTES} bytes of UTF-8, got ${sizeOf(key)}`);
  }
}

/** Keys of a call for many. */
export function checkKeys(keys: unknown): string[] {
  if (!Array.isArray(keys)) throw new TypeError(`keys must be a list of strings, got ${typeName(keys)}`);
  for (const key of keys as unknown[]) checkKey(key);
  return [...(keys as string[])];
}

/** The tags of an option; `max`: how many there may be. */
export function checkTags(tags: unknown, max: number): string[] {
  const flaw = flawOfTags(tags, max);
  if (flaw === undefined) return [...(tags as string[])];
  const count = Number.isFinite(max) ? ` at most ${max}` : "";
  const expected = `a list of${count} texts of 1 to ${MAX_TAG_BYTES} bytes of UTF-8`;
  throw new TypeError(`option "tags" must be ${expected}, got ${flaw}`);
}

function flawOfTags(tags: unknown, max: number): string | undefined {
  if (!Array.isArray(tags)) return typeof tags === "string" ? "a text" : typeName(tags);
  if (tags.length > max) return `${tags.length}`;
  for (const tag of tags as unknown[]) {
    if (typeof tag !== "string") return `a list with ${typeName(tag)}`;
    if (tag === "") return "an empty text";
    if (!tag.isWellFormed()) return "one with a lone surrogate";
    if (isLonger(tag, MAX_TAG_BYTES)) return `one of ${sizeOf(tag)} bytes`;
  }
  return undefined;
}

/** What an invalidation, an expiry or a mutate is about. */
export interface Named {
  readonly keys: readonly string[];
  readonly tags: readonly string[];
  readonly all: boolean;
}

const TARGETS = ["keys", "tags", "all"];

export function checkTargets(what: unknown): Named {
  if (typeof what !== "object" || what === null) {
    throw new TypeError(`what it is about must be an object with keys, tags or all, got ${typeName(what)}`);
  }
  for (const name of Object.keys(what)) {
    if (!TARGETS.includes(name)) {
      throw new TypeError(
        `unknown option ${JSON.stringify(name.slice(0, 40))}: known are ${TARGETS.join(", ")}`,
      );
    }
  }
  const { keys = [], tags = [], all = false } = what as { keys?: unknown; tags?: unknown; all?: unknown };
  if (!Array.isArray(keys))
    throw new TypeError(`option "keys" must be a list of keys, got ${typeName(keys)}`);
  for (const key of keys) checkKey(key);
  const named = checkTags(tags, Number.POSITIVE_INFINITY);
  if (typeof all !== "boolean")
    throw new TypeError(`option "all" must be true or false, got ${typeName(all)}`);
  if (keys.length === 0 && named.length === 0 && !all) {
    throw new TypeError("what it is about must be at least one key, one tag, or all, got nothing");
  }
  checkSize([...(keys as string[]), ...named]);
  return { keys: [...(keys as string[])], tags: named, all };
}

function checkSize(names: readonly string[]): void {
  if (names.length > MAX_TARGETS) {
    throw new TypeError(`what it is about must be at most ${MAX_TARGETS} keys and tags, got ${names.length}`);
  }
  const units = names.reduce((sum, { length }) => sum + length, 0);
  if (units * BYTES_FOR_ONE <= MAX_TARGET_BYTES) return;
  const bytes = names.reduce((sum, name) => sum + sizeOf(name), 0);
  if (bytes > MAX_TARGET_BYTES) {
    throw new TypeError(
      `the keys and tags that it is about must be at most ${MAX_TARGET_BYTES} bytes of UTF-8 in all, got ${bytes}`,
    );
  }
}

/** A namespace: the names on the way to it. Its path is the core's business, and asked for at first use. */
export class Place {
  readonly #names: readonly string[];
  #path: string | undefined;

  constructor(names: readonly string[] = []) {
    this.#names = names;
  }

  within(name: unknown): Place {
    if (typeof name !== "string") {
      throw new TypeError(`a namespace must be named by a string, got ${typeName(name)}`);
    }
    const characters = [...name].length;
    if (characters < 1 || characters > MAX_NAME_CHARACTERS) {
      throw new TypeError(
        `the name of a namespace must have 1 to ${MAX_NAME_CHARACTERS} characters, got ${characters}`,
      );
    }
    if (!name.isWellFormed() || /\p{Cc}/u.test(name)) {
      throw new TypeError(
        "the name of a namespace must be well-formed Unicode without control characters, got others",
      );
    }
    if (this.#names.length >= MAX_DEPTH) {
      throw new TypeError(
        `namespaces must be nested at most ${MAX_DEPTH} deep, got ${this.#names.length + 1}`,
      );
    }
    return new Place([...this.#names, name]);
  }

  path({ Core }: Exports): string {
    this.#path ??= this.#names.reduce((space, name) => Core.nest(space, name), "");
    return this.#path;
  }
}
