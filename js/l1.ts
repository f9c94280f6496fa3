/**
 * L1: values that this isolate holds itself. How long one may be served, to whom, and which have to go, the core decides; here
 * they are, by the name that the caller gives, so that no text crosses into the core on a hit.
 *
 * Nobody sees what another one does to a value: it is frozen, or each reader gets a copy.
 */
import type { Core } from "leeward-glue";
import { freeze, weigh, weighPair, weighText } from "./frozen.ts";
import { decode, type Text } from "./value.ts";

/** As the core numbers them. */
export const NONE = 0;
const COPIED = 2;
/** The core's answer: it is held no longer. */
export const GONE = -2;

/** What is to be held of what an operation reads or stores: of which cache, connection, namespace and key. */
export interface Spot {
  readonly cache: number;
  readonly link: number;
  readonly path: string;
  readonly key: string;
  /** Those that its reader names, which it carries, therefore. */
  readonly tags: readonly string[];
  /** As the core numbers them. */
  readonly values: number;
}

/** A value in the form in which it is held. */
export interface Form {
  readonly value: unknown;
  /** What each reader gets of it. */
  readonly give: (value: never) => unknown;
  /** Bytes of memory, at most. */
  readonly size: number;
}

/** Something that is held. */
export interface Held extends Form, Spot {
  readonly slot: number;
  readonly id: number;
}

const same = (value: unknown) => value;
const copyOfBytes = (value: Uint8Array) => value.slice();
const copyOfBuffer = (value: ArrayBuffer) => value.slice(0);

/** The form in which a value is held whose text is this; `decoded`: the value, which is frozen if that is its form. */
export function formOf(text: Text, values: number, decoded: unknown): Form {
  if (values === COPIED) return { value: text, give: decode, size: weighPair(text.text) };
  switch (text.kind) {
    // Bytes cannot be frozen.
    case "b": {
      const value = copyOfBytes(decoded as Uint8Array);
      return { value, give: copyOfBytes, size: weigh(value) };
    }
    case "a": {
      const value = copyOfBuffer(decoded as ArrayBuffer);
      return { value, give: copyOfBuffer, size: weigh(value) };
    }
    default:
      return { value: decoded, give: same, size: freeze(decoded) };
  }
}

/** A text of its own: what was cut out of a larger one keeps all of that. */
function copied(text: string): string {
  return JSON.parse(JSON.stringify(text)) as string;
}

/** Give a held value to a reader. */
export function giveOf({ value, give }: Held): unknown {
  return give(value as never);
}

/** What is held for a cache and a connection, by namespace and key. */
export class Spots {
  readonly #root = new Map<string, Held>();
  readonly #spaces = new Map<string, Map<string, Held>>();

  /** By key; `undefined`: nothing. */
  at(path: string): Map<string, Held> | undefined {
    return path === "" ? this.#root : this.#spaces.get(path);
  }

  set(path: string, key: string, held: Held): void {
    let keys = this.at(path);
    if (keys === undefined) {
      keys = new Map();
      this.#spaces.set(path, keys);
    }
    keys.set(key, held);
  }

  delete(path: string, key: string): void {
    const keys = this.at(path);
    keys?.delete(key);
    // Names of namespaces may be data: they do not pile up.
    if (keys?.size === 0) this.#spaces.delete(path);
  }
}

/** What an instance of the core lets its driver hold; it ends with the instance. At most what the core has room for. */
export class L1 {
  readonly #spots = new Map<number, Spots>();
  readonly #all = new Map<number, Held>();

  /** The same one at each call. */
  spots(cache: number, link: number): Spots {
    // Both are small numbers of the core's.
    const place = cache * 256 + link;
    let known = this.#spots.get(place);
    if (known === undefined) {
      known = new Spots();
      this.#spots.set(place, known);
    }
    return known;
  }

  /** Holds a value if the core, whose present effect offers it, has room for it; and no longer what has to go for it. */
  keep(core: Core, spot: Spot, form: Form): void {
    const names = spot.tags.reduce((sum, tag) => sum + weighPair(tag), weighText(spot.key));
    const [id = 0, slot = 0, ...gone] = core.keep(form.size + names);
    for (const other of gone) this.#drop(other);
    if (id === 0) return;
    const { cache, link, path } = spot;
    const key = copied(spot.key);
    const held: Held = { ...spot, ...form, key, tags: spot.tags.map(copied), slot, id };
    this.spots(cache, link).set(path, key, held);
    this.#all.set(id, held);
  }

  /** The core has no place for it any more. */
  drop({ id }: Held): void {
    this.#drop(id);
  }

  #drop(id: number): void {
    const held = this.#all.get(id);
    if (held === undefined) return;
    this.#all.delete(id);
    const { cache, link, path, key } = held;
    const spots = this.spots(cache, link);
    // The key may have a newer one by now.
    if (spots.at(path)?.get(key) === held) spots.delete(path, key);
  }
}
