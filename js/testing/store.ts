/** Keys, what they hold, and when that ends. Keys and values are strings with one character for each byte. */

export type Hash = Map<string, string>;

export interface Entry {
  /** A plain string, or a hash, which is never empty. */
  value: string | Hash;
  /** The last millisecond (Unix time) at which it is there; `undefined`: for good. */
  expires: number | undefined;
}

/** The key holds something else. */
export class WrongType extends Error {}

export class Store {
  readonly #entries = new Map<string, Entry>();
  readonly #clock: { readonly now: number };

  constructor(clock: { readonly now: number }) {
    this.#clock = clock;
  }

  /** Keys expire by whole milliseconds. */
  get #now(): number {
    return Math.floor(this.#clock.now);
  }

  /** Keys that live, in order. */
  get keys(): string[] {
    return [...this.#entries.keys()].filter((key) => this.#live(key)).sort();
  }

  hash(key: string): Hash | undefined {
    const value = this.#live(key)?.value;
    if (typeof value === "string") throw new WrongType();
    return value;
  }

  /** The hash at a key, made if there is nothing; the caller puts a field in. */
  hashToFill(key: string): Hash {
    const known = this.hash(key);
    if (known) return known;
    const made: Hash = new Map();
    this.#entries.set(key, { value: made, expires: undefined });
    return made;
  }

  text(key: string): string | undefined {
    const value = this.#live(key)?.value;
    if (typeof value === "object") throw new WrongType();
    return value;
  }

  setText(key: string, text: string): void {
    this.#entries.set(key, { value: text, expires: undefined });
  }

  has(key: string): boolean {
    return this.#live(key) !== undefined;
  }

  /** Whether there was such a key. */
  remove(key: string): boolean {
    return this.has(key) && this.#entries.delete(key);
  }

  /** Milliseconds; -1: for good, -2: there is no such key. */
  life(key: string): number {
    const entry = this.#live(key);
    if (!entry) return -2;
    return entry.expires === undefined ? -1 : Math.max(0, entry.expires - this.#now);
  }

  /** Whether there was such a key. A time that is not in the future ends it at once. */
  expireAt(key: string, at: number): boolean {
    const entry = this.#live(key);
    if (!entry) return false;
    if (at <= this.#now) this.#entries.delete(key);
    else entry.expires = at;
    return true;
  }

  clear(): void {
    this.#entries.clear();
  }

  /** As in Redis, an expired key goes when it is next looked at. */
  #live(key: string): Entry | undefined {
    const entry = this.#entries.get(key);
    if (entry?.expires === undefined || this.#now <= entry.expires) return entry;
    this.#entries.delete(key);
    return undefined;
  }
}
