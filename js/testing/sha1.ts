/** SHA-1 (RFC 3174), by which Redis knows scripts. At once, where the runtime's own would have to be waited for. */
import { utf8 } from "../../dev/bytes.mjs";

export function sha1(text: string): string {
  const bytes = utf8(text);
  const words = new Uint32Array(((bytes.length + 8) >> 6) * 16 + 16);
  for (const [index, byte] of bytes.entries()) put(words, index, byte);
  put(words, bytes.length, 0x80);
  words[words.length - 1] = bytes.length * 8;

  const sum = new Uint32Array([0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0]);
  for (let at = 0; at < words.length; at += 16) addBlock(sum, words.subarray(at, at + 16));
  return Array.from(sum, (word) => word.toString(16).padStart(8, "0")).join("");
}

function put(words: Uint32Array, index: number, byte: number): void {
  words[index >> 2] = (words[index >> 2] ?? 0) | (byte << (24 - 8 * (index & 3)));
}

function addBlock(sum: Uint32Array, block: Uint32Array): void {
  const w = new Uint32Array(80);
  w.set(block);
  for (let t = 16; t < 80; t += 1) {
    w[t] = rotate((w[t - 3] ?? 0) ^ (w[t - 8] ?? 0) ^ (w[t - 14] ?? 0) ^ (w[t - 16] ?? 0), 1);
  }
  let [a = 0, b = 0, c = 0, d = 0, e = 0] = sum;
  for (let t = 0; t < 80; t += 1) {
    const next = (rotate(a, 5) + mix(t, b, c, d) + e + (w[t] ?? 0)) >>> 0;
    [a, b, c, d, e] = [next, a, rotate(b, 30), c, d];
  }
  for (const [index, word] of [a, b, c, d, e].entries()) sum[index] = (sum[index] ?? 0) + word;
}

function mix(t: number, b: number, c: number, d: number): number {
  if (t < 20) return ((b & c) | (~b & d)) + 0x5a827999;
  if (t < 40) return (b ^ c ^ d) + 0x6ed9eba1;
  if (t < 60) return ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc;
  return (b ^ c ^ d) + 0xca62c1d6;
}

function rotate(word: number, by: number): number {
  return ((word << by) | (word >>> (32 - by))) >>> 0;
}
