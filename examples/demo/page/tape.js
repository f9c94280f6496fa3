/**
 * The last reads as a row of bars: the height is the time, the colour and the foot say how the read was answered.
 *
 * @module
 */
import { plural } from "./words.js";

/** How many bars are kept; the oldest go first. */
const MAX_BARS = 60;
/** A read this slow is as high as it gets, ms. */
const FULL_MS = 800;

/** @typedef {{ outcome: import("./words.js").Outcome, ms: number }} Bar */

const NAMES = { hit: "from Redis", miss: "computed and stored", bypass: "computed without Redis" };

export class Tape {
  #element;
  /** @type {Bar[]} */
  #bars = [];

  /** @param {HTMLElement} element */
  constructor(element) {
    this.#element = element;
  }

  /** @param {Bar} bar */
  add(bar) {
    this.#bars.push(bar);
    const element = document.createElement("span");
    element.className = bar.outcome;
    element.title = `${NAMES[bar.outcome]}, ${bar.ms} ms`;
    element.style.height = `${heightOf(bar.ms)}%`;
    this.#element.append(element);
    if (this.#bars.length > MAX_BARS) {
      this.#bars.shift();
      this.#element.firstElementChild?.remove();
    }
    this.#element.setAttribute("aria-label", summaryOf(this.#bars));
  }
}

/** @param {number} ms */
function heightOf(ms) {
  return Math.max(5, Math.min(100, (ms / FULL_MS) * 100));
}

/** What the picture shows, for those who do not see it. @param {readonly Bar[]} bars */
export function summaryOf(bars) {
  const groups = /** @type {const} */ (["hit", "miss", "bypass"]).flatMap((outcome) => {
    const times = bars.filter((bar) => bar.outcome === outcome).map((bar) => bar.ms);
    if (times.length === 0) return [];
    const median = times.sort((a, b) => a - b)[times.length >> 1];
    return `${times.length} ${NAMES[outcome]} (about ${median} ms)`;
  });
  return `The last ${plural(bars.length, "read")}: ${groups.join(", ")}`;
}
