/**
 * The list of what Leeward did, newest first. A line that has happened again comes to the top, and counts.
 *
 * @module
 */

/** What can be taken in at once; the worker keeps more. */
const MAX_LINES = 14;

export class EventList {
  #element;
  /** @type {Map<number, HTMLLIElement>} */
  #items = new Map();

  /** @param {HTMLElement} element */
  constructor(element) {
    this.#element = element;
  }

  /** @param {readonly import("./server.js").Line[]} lines in the order of what happened; known ones have happened again */
  show(lines) {
    for (const line of lines) {
      const item = this.#items.get(line.id) ?? document.createElement("li");
      item.className = line.tone;
      item.replaceChildren(timeOf(line.at), textOf(line));
      this.#items.delete(line.id);
      this.#items.set(line.id, item);
      this.#element.prepend(item);
    }
    for (const id of [...this.#items.keys()].slice(0, -MAX_LINES)) {
      this.#items.get(id)?.remove();
      this.#items.delete(id);
    }
  }

  /** Another isolate has begun another list. */
  clear() {
    this.#items.clear();
    this.#element.replaceChildren();
  }
}

/** @param {number} at */
function timeOf(at) {
  const date = new Date(at);
  const time = document.createElement("time");
  time.dateTime = date.toISOString();
  time.textContent = date.toLocaleTimeString("en-GB");
  return time;
}

/** @param {import("./server.js").Line} line */
function textOf({ text, times }) {
  const span = document.createElement("span");
  span.textContent = text;
  if (times > 1) {
    const count = document.createElement("b");
    count.textContent = ` ×${times}`;
    span.append(count);
  }
  return span;
}
