/** Which keys a caller has got from what its isolate holds: a `set` of one may follow from a value that Redis knows nothing of. */
import type { Spot } from "./l1.ts";

/** So many keys at most; beyond, it may have been any. */
const MAX = 4096;

export class Taken {
  /** Of no namespace. */
  readonly #root = new Set<string>();
  /** By namespace. */
  #spaces: Map<string, Set<string>> | undefined;
  #size = 0;
  #any = false;

  add({ path, key }: Spot): void {
    if (this.#any) return;
    const keys = this.#at(path) ?? this.#make(path);
    const before = keys.size;
    keys.add(key);
    this.#size += keys.size - before;
    this.#any = this.#size > MAX;
  }

  has(path: string, key: string): boolean {
    return this.#any || this.#at(path)?.has(key) === true;
  }

  delete(path: string, key: string): void {
    if (this.#at(path)?.delete(key)) this.#size -= 1;
  }

  #at(path: string): Set<string> | undefined {
    return path === "" ? this.#root : this.#spaces?.get(path);
  }

  #make(path: string): Set<string> {
    const keys = new Set<string>();
    this.#spaces ??= new Map();
    this.#spaces.set(path, keys);
    return keys;
  }
}
