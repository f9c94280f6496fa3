/** Values that many share: frozen through and through, and how much memory they take. */

/** Bytes that an engine takes for things, rounded up; the sum is more than what V8 takes (tests/node/l1-memory.test.ts). */
const OBJECT = 64;
const PROPERTY = 48;
const ITEM = 16;
const TEXT = 32;
const NUMBER = 16;

/** Freezes a value that JSON.parse has made, and gives the bytes of memory that it takes at most. */
export function freeze(value: unknown): number {
  let size = 0;
  const left: unknown[] = [value];
  while (left.length > 0) {
    const next = left.pop();
    if (typeof next !== "object" || next === null) {
      size += weigh(next);
    } else if (Array.isArray(next)) {
      size += OBJECT + ITEM * next.length;
      for (const item of Object.freeze(next)) left.push(item);
    } else {
      size += OBJECT;
      for (const [name, item] of Object.entries(Object.freeze(next))) {
        size += PROPERTY + weighText(name);
        left.push(item);
      }
    }
  }
  return size;
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
