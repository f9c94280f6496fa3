/**
 * Promises that one request makes and others wait for. The request that makes one anchors it before its first await, and is
 * the only one that settles it (DESIGN.md, "The isolate's rules"). What it stands for, and who may take what, the core knows;
 * the text of a value is kept here.
 */
import type { Text } from "./value.ts";

export class Shared {
  readonly promise: Promise<void>;
  readonly settle: () => void;
  /** The value that the followers of a flight may take; each decodes a copy of his own. */
  text: Text | undefined;

  constructor() {
    let settle: () => void = () => {};
    this.promise = new Promise<void>((resolve) => {
      settle = resolve;
    });
    this.settle = settle;
  }
}

/** At most so many; the oldest belong to requests that were ended, and those who wait for them have timers of their own. */
const MAX_SHARED = 8192;

export class SharedTable {
  readonly #all = new Map<number, Shared>();

  add(id: number): Shared {
    if (this.#all.size >= MAX_SHARED) {
      for (const oldest of this.#all.keys()) {
        this.#all.delete(oldest);
        break;
      }
    }
    const shared = new Shared();
    this.#all.set(id, shared);
    return shared;
  }

  get(id: number): Shared | undefined {
    return this.#all.get(id);
  }

  /** Those who wait for it hold it themselves. */
  settle(id: number): void {
    const shared = this.#all.get(id);
    this.#all.delete(id);
    shared?.settle();
  }
}
