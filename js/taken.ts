/** Which keys a caller has got from what its isolate holds: a `set` of one may follow from a value that Redis knows nothing of. */
import type { Spot } from "./l1.ts";

/** So many keys at most; beyond, it may have been any. */
const MAX = 4096;

export class Taken {
  /** By namespace. */
  readonly #keys = new Map<string, Set<string>>();
  #size = 0;
  #any = false;

  add({ path, key }: Spot): void {
    let keys = this.#keys.get(path);
    if (keys === undefined) {
      keys = new Set();
      this.#keys.set(path, keys);
    }
    if (keys.has(key) || this.#any) return;
    keys.add(key);
    this.#size += 1;
    this.#any = this.#size > MAX;
  }

  has(path: string, key: string): boolean {
    return this.#any || this.#keys.get(path)?.has(key) === true;
  }

  delete(path: string, key: string): void {
    if (this.#keys.get(path)?.delete(key)) this.#size -= 1;
  }
}
