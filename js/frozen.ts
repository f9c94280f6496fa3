/** Values that many share: frozen through and through, and how much memory they take. */

/** Bytes that an engine takes for things, rounded up; the sum is more than what V8 takes (tests/node/l1-memory.test.ts). */
const OBJECT = 64;
/** Objects with the same names in the same order share what describes them. */
const PROPERTY = 16;
const NEW_PROPERTY = 144;
const ITEM = 16;
const TEXT = 32;
const NUMBER = 16;
/** Properties whose names are whole numbers lie in a list with a place for each up to the last, unless most would be empty. */
const PLACE = 8;
const MANY_PLACES = 64;
const PLACES_FOR_ONE = 3;

/** Freezes a value that JSON.parse has made, and gives the bytes of memory that it takes at most. */
export function freeze(value: unknown): number {
  let size = 0;
  const shapes = new Set<string>();
  const left: unknown[] = [value];
  while (left.length > 0) {
    const next = left.pop();
    if (typeof next !== "object" || next === null) {
      size += weigh(next);
    } else if (Array.isArray(next)) {
      size += OBJECT + ITEM * next.length;
      for (const item of Object.freeze(next)) left.push(item);
    } else {
      const entries = Object.entries(Object.freeze(next));
      for (const [, item] of entries) left.push(item);
      size += weighNames(
        entries.map(([name]) => name),
        shapes,
      );
    }
  }
  return size;
}

/** Bytes of an object with these names, without what they stand for; `shapes`: the ones before, to which it is added. */
function weighNames(names: readonly string[], shapes: Set<string>): number {
  const shape = JSON.stringify(names);
  const isNew = !shapes.has(shape);
  shapes.add(shape);
  let size = OBJECT;
  let places = 0;
  for (const name of names) {
    // They come first, the largest of them last.
    const place = Number(name);
    if (Number.isInteger(place) && String(place) === name) places = place + 1;
    size += isNew ? NEW_PROPERTY + weighText(name) : PROPERTY;
  }
  return size + PLACE * Math.min(places, Math.max(MANY_PLACES, PLACES_FOR_ONE * names.length));
}

/** Bytes of memory that a primitive takes, or bytes do. */
export function weigh(value: unknown): number {
  if (typeof value === "string") return weighText(value);
  if (typeof value === "number") return NUMBER;
  if (value instanceof Uint8Array || value instanceof ArrayBuffer) return 2 * OBJECT + value.byteLength;
  return 0;
}

/** Bytes of memory that a text takes: a character is one byte or two. */
export function weighText(text: string): number {
  return TEXT + (/[^\0-\xff]/.test(text) ? 2 * text.length : text.length);
}

/** The same with what says of which kind it is. */
export function weighPair(text: string): number {
  return OBJECT + weighText(text);
}
