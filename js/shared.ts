/**
 * Promises that one request makes and others wait for. The request that makes one anchors it before its first await, and is
 * the only one that settles it (DESIGN.md, "The isolate's rules"). What it stands for, and who may take what, the core knows;
 * the text of a value is kept here.
 */
import type { Text } from "./value.ts";

/**
 * A promise that other requests may wait for. Not by `new Promise`: once the engine has compiled that for being called often, workerd no
 * longer knows which request such a promise is of, and runs what others wait for in the request that settles it.
 */
function promise(): [Promise<void>, () => void] {
  if (typeof Promise.withResolvers === "function") {
    const { promise, resolve } = Promise.withResolvers<void>();
    return [promise, resolve];
  }
  let settle: () => void = () => {};
  const promise = new Promise<void>((resolve) => {
    settle = resolve;
  });
  return [promise, settle];
}

export class Shared {
  /** What others wait for. */
  readonly promise: Promise<void>;
  /** What the request that made it is kept alive for. */
  readonly kept: Promise<void>;
  /** The value that the followers of a flight may take; each decodes a copy of his own. */
  text: Text | undefined;
  readonly #settle: () => void;
  readonly #release: () => void;

  constructor() {
    [this.promise, this.#settle] = promise();
    [this.kept, this.#release] = promise();
  }

  settle(): void {
    this.#settle();
    this.#release();
  }

  /** Nobody waits any more: workerd warns of each request that is woken after its end. */
  abandon(): void {
    this.#release();
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
  settle(id: number): Shared | undefined {
    const shared = this.#all.get(id);
    this.#all.delete(id);
    shared?.settle();
    return shared;
  }

  abandon(id: number): Shared | undefined {
    const shared = this.#all.get(id);
    this.#all.delete(id);
    shared?.abandon();
    return shared;
  }
}
