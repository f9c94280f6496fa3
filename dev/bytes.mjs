/**
 * Bytes and texts, by what every JavaScript runtime has: the protocol and the faults also run where there is no
 * Buffer, in the endpoint of `leeward/testing`.
 *
 * @module
 */

const encoder = new TextEncoder();
/** A byte order mark is a part of a value like any other. */
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** How many characters are made at a time: `String.fromCharCode` takes its bytes as arguments. */
const CHUNK = 8192;

/** @param {string} text */
export function utf8(text) {
  return encoder.encode(text);
}

/**
 * Bytes that are not UTF-8 become U+FFFD.
 * @param {Uint8Array} bytes
 */
export function textOf(bytes) {
  return decoder.decode(bytes);
}

/**
 * One character for each byte.
 * @param {Uint8Array} bytes
 */
export function latin1(bytes) {
  let text = "";
  for (let start = 0; start < bytes.length; start += CHUNK) {
    text += String.fromCharCode(...bytes.subarray(start, start + CHUNK));
  }
  return text;
}

/**
 * The inverse: one byte for each character.
 * @param {string} text
 */
export function fromLatin1(text) {
  const bytes = new Uint8Array(text.length);
  for (let index = 0; index < text.length; index += 1) bytes[index] = text.charCodeAt(index);
  return bytes;
}

/** @param {Uint8Array} bytes */
export function base64(bytes) {
  return btoa(latin1(bytes));
}

/** @param {readonly Uint8Array[]} parts */
export function concat(parts) {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
