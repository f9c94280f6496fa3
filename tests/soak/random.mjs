/**
 * Random choices from a seed (mulberry32), so that a run can be repeated as far as timing allows.
 *
 * @module
 */

export class Random {
  #state;

  /** @param {number} seed */
  constructor(seed) {
    this.#state = seed >>> 0;
  }

  /** @returns {number} from 0 up to, not with, 1 */
  next() {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  /** @param {number} share */
  chance(share) {
    return this.next() < share;
  }

  /**
   * @param {number} from
   * @param {number} below
   */
  integer(from, below) {
    return from + Math.floor(this.next() * (below - from));
  }

  /**
   * @template T
   * @param {readonly T[]} list not empty
   * @returns {T}
   */
  one(list) {
    return /** @type {T} */ (list[this.integer(0, list.length)]);
  }
}
