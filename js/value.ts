/**
 * Values and the texts that they are stored as. JSON as JSON, bytes in base64 (bodies travel as JSON texts), `undefined` as
 * an empty text of its own kind. What would come back as something else is not stored, and the place in it is named.
 */

/** j: JSON, u: undefined, b: Uint8Array, a: ArrayBuffer. */
export type PlainKind = "j" | "u" | "b" | "a";
/** The same, compressed. */
export type CompressedKind = "J" | "B" | "A";
export type Kind = PlainKind | CompressedKind;

/** A value as it is stored. */
export interface Text {
  readonly kind: Kind;
  readonly text: string;
}

/** Where in a value, and why it cannot be stored. */
export interface Flaw {
  readonly path: string;
  readonly reason: string;
}

/** `toBase64` and `fromBase64` are in newer engines only; both are many times faster than what stands in for them. */
interface Base64Bytes extends Uint8Array<ArrayBuffer> {
  toBase64?(): string;
}
const Bytes = Uint8Array as typeof Uint8Array & { fromBase64?(text: string): Uint8Array<ArrayBuffer> };

/** So many characters at a time: `String.fromCharCode` takes its bytes as arguments. */
const CHUNK = 8192;

/** Names in a value may be data; a path tells where, not all. */
const MAX_PATH = 100;

export function encode(value: unknown): Text | Flaw {
  if (value === undefined) return { kind: "u", text: "" };
  try {
    return encodeBytes(value) ?? flawOf(value, []) ?? { kind: "j", text: JSON.stringify(value) };
  } catch (error) {
    // A cycle runs out of stack before JSON.stringify gets to see it; a getter may throw anything, a detached buffer does.
    return {
      path: "$",
      reason: error instanceof RangeError ? "nested too deep, or a cycle" : "it cannot be read",
    };
  }
}

/** Exactly these two: a subclass, such as node's Buffer, would come back without what makes it one. */
function encodeBytes(value: unknown): Text | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === Uint8Array.prototype) return { kind: "b", text: toBase64(value as Base64Bytes) };
  if (prototype === ArrayBuffer.prototype) {
    return { kind: "a", text: toBase64(new Uint8Array(value as ArrayBuffer)) };
  }
  return undefined;
}

export function isFlaw(encoded: Text | Flaw): encoded is Flaw {
  return "reason" in encoded;
}

/** A new value at each call: nobody sees what another caller does to his. Throws on a text that `encode` did not make. */
export function decode({ kind, text }: Text): unknown {
  switch (kind) {
    case "j":
      return JSON.parse(text);
    case "u":
      return undefined;
    case "b":
      return fromBase64(text);
    case "a":
      return fromBase64(text).buffer;
    default:
      throw new TypeError("unknown kind of value");
  }
}

export function isCompressed(kind: Kind): kind is CompressedKind {
  return kind === "J" || kind === "B" || kind === "A";
}

/** What there is to compress of a text: the bytes of a value of bytes, not those of their base64. */
export function bytesOf({ kind, text }: Text): Uint8Array<ArrayBuffer> {
  return kind === "j" ? new TextEncoder().encode(text) : fromBase64(text);
}

/** The text that such bytes stand for. */
export function fromBytes(kind: PlainKind, bytes: Uint8Array<ArrayBuffer>): Text {
  const text = kind === "j" ? new TextDecoder("utf-8", { fatal: true }).decode(bytes) : toBase64(bytes);
  return { kind, text };
}

/** The text in a JSON text literal, as bytes of UTF-8. */
export function textOf(literal: Uint8Array, base64: boolean): string {
  const text: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(literal));
  if (typeof text !== "string") throw new TypeError("not a text");
  return base64 ? new TextDecoder("utf-8", { fatal: true }).decode(fromBase64(text)) : text;
}

/** Bytes of a text in UTF-8. */
export function sizeOf(text: string): number {
  return new TextEncoder().encode(text).byteLength;
}

/** Whether a text has more bytes than that; it is encoded only where its length alone does not tell. */
export function isLonger(text: string, limit: number): boolean {
  return text.length > limit || (text.length * 3 > limit && sizeOf(text) > limit);
}

/** The first place in a value that JSON would not give back as it is. */
function flawOf(value: unknown, path: (string | number)[]): Flaw | undefined {
  switch (typeof value) {
    case "string":
    case "boolean":
      return undefined;
    case "number":
      return Number.isFinite(value) ? undefined : flaw(path, `${value} has no JSON`);
    case "object":
      return value === null ? undefined : flawOfObject(value, path);
    case "bigint":
      return flaw(path, "a bigint has no JSON: store it as a text");
    default:
      return flaw(
        path,
        `${typeof value === "undefined" ? "undefined in a list" : `a ${typeof value}`} has no JSON`,
      );
  }
}

function flawOfObject(value: object, path: (string | number)[]): Flaw | undefined {
  if (Array.isArray(value)) {
    const prototype: unknown = Object.getPrototypeOf(value);
    // A realm's own is a list itself, a class's is not.
    if (!Array.isArray(prototype)) return flaw(path, "a list of a class would come back as a plain one");
    if (Object.keys(value).length !== value.length) return flaw(path, "a list with gaps or names");
    for (let i = 0; i < value.length; i++) {
      path.push(i);
      const found = flawOf(value[i], path);
      if (found !== undefined) return found;
      path.pop();
    }
    return undefined;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== null && prototype !== Object.prototype && !isPlainOfAnotherRealm(prototype)) {
    return flaw(path, `a ${nameOf(prototype)} would come back as something else`);
  }
  if (Object.getOwnPropertySymbols(value).length > 0) return flaw(path, "a symbol as name has no JSON");
  for (const [name, item] of Object.entries(value)) {
    if (item === undefined) continue;
    path.push(name);
    const found = flawOf(item, path);
    if (found !== undefined) return found;
    path.pop();
  }
  return undefined;
}

/** Test runners and `node:vm` have several `Object.prototype`s. */
function isPlainOfAnotherRealm(prototype: unknown): boolean {
  const candidate = prototype as object;
  return Object.getPrototypeOf(candidate) === null && Object.hasOwn(candidate, "isPrototypeOf");
}

function nameOf(prototype: unknown): string {
  const name: unknown = (prototype as { constructor?: { name?: unknown } }).constructor?.name;
  return typeof name === "string" && name !== "" ? name : "class instance";
}

function flaw(path: readonly (string | number)[], reason: string): Flaw {
  return { path: pathOf(path), reason };
}

/** A place in a value. */
export function pathOf(path: readonly (string | number)[]): string {
  const parts = path.map((part) => {
    if (typeof part === "number") return `[${part}]`;
    return /^[A-Za-z_$][\w$]*$/.test(part) ? `.${part}` : `[${JSON.stringify(part)}]`;
  });
  const whole = `$${parts.join("")}`;
  return whole.length > MAX_PATH ? `${whole.slice(0, MAX_PATH)}...` : whole;
}

export function toBase64(bytes: Base64Bytes): string {
  if (bytes.toBase64 !== undefined) return bytes.toBase64();
  let binary = "";
  for (let i = 0; i < bytes.length; i += CHUNK) {
    binary += String.fromCharCode(...bytes.subarray(i, i + CHUNK));
  }
  return btoa(binary);
}

export function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  if (Bytes.fromBase64 !== undefined) return Bytes.fromBase64(text);
  return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
}

/** The text in a JSON text literal; `undefined`: it holds none, or one that is too long. */
export function textIn(literal: Uint8Array, kind: Kind, base64: boolean, limit: number): Text | undefined {
  try {
    const text = textOf(literal, base64);
    // A literal is never shorter than its text.
    return literal.byteLength > limit && isLonger(text, limit) ? undefined : { kind, text };
  } catch {
    return undefined;
  }
}
