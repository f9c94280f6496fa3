/**
 * Compressed texts: gzip, which carries a checksum, in base64. What is decompressed may be anybody's making, so it is counted
 * while it comes, and no more of it is asked for than may be thrown away.
 */
import type { Operation } from "./operation.ts";
import type { Text } from "./value.ts";
import {
  bytesOf,
  type CompressedKind,
  fromBase64,
  fromBytes,
  isCompressed,
  type PlainKind,
  toBase64,
} from "./value.ts";

const FORMAT = "gzip";

/**
 * So many bytes go in before all that came of them has been taken out. Deflate makes at most 1,032 bytes of one, and workerd, for
 * one, holds what nobody has read yet without a limit.
 */
const STEP = 16_384;

const COMPRESSED: Readonly<Partial<Record<PlainKind, CompressedKind>>> = { j: "J", b: "B", a: "A" };
export const PLAIN: Readonly<Record<CompressedKind, PlainKind>> = { J: "j", B: "b", A: "a" };

/** The same value, compressed; `undefined`: it cannot be here. */
async function compress(text: Text): Promise<Text | undefined> {
  const kind = COMPRESSED[text.kind as PlainKind];
  if (kind === undefined || typeof CompressionStream !== "function") return undefined;
  const { readable, writable } = new CompressionStream(FORMAT);
  const writer = writable.getWriter();
  // How it goes is told by the other end.
  writer.write(bytesOf(text)).catch(ignore);
  writer.close().catch(ignore);
  const bytes = new Uint8Array(await new Response(readable).arrayBuffer());
  return { kind, text: toBase64(bytes) };
}

/** Compresses what operations store. Those of one turn have an end together, so that what they send then is one batch. */
export class Compressor {
  readonly #done: (operations: readonly Operation[]) => void;
  /** Those of this turn. */
  #turn: Operation[] | undefined;

  constructor(done: (operations: readonly Operation[]) => void) {
    this.#done = done;
  }

  add(operation: Operation): void {
    if (this.#turn !== undefined) {
      this.#turn.push(operation);
      return;
    }
    const turn = [operation];
    this.#turn = turn;
    queueMicrotask(() => {
      this.#turn = undefined;
      Promise.all(turn.map(compressed)).then(() => this.#done(turn));
    });
  }
}

async function compressed(operation: Operation): Promise<void> {
  const { text } = operation;
  // What cannot be compressed is stored as it is.
  operation.compressed = text && (await compress(text).catch(() => undefined));
}

/** The same value, as it was before it was compressed. Rejects for what is none, or is over so many bytes. */
export async function decompress({ kind, text }: Text, limit: number): Promise<Text> {
  if (!isCompressed(kind)) throw new TypeError("it is not compressed");
  return fromBytes(PLAIN[kind], await inflate(fromBase64(text), limit));
}

async function inflate(bytes: Uint8Array<ArrayBuffer>, limit: number): Promise<Uint8Array<ArrayBuffer>> {
  const { readable, writable } = new DecompressionStream(FORMAT);
  const writer = writable.getWriter();
  const reader = readable.getReader();
  const chunks: Uint8Array[] = [];
  let size = 0;
  let next: ReturnType<typeof reader.read> | undefined;
  try {
    for (let at = 0; ; at += STEP) {
      const written = writer.write(bytes.subarray(at, at + STEP));
      const last = at + STEP >= bytes.length;
      const emptied = last ? undefined : written.then(nextTurn);
      emptied?.catch(ignore);
      written.catch(ignore);
      if (last) writer.close().catch(ignore);
      for (;;) {
        next ??= reader.read();
        const chunk = await (emptied === undefined ? next : Promise.race([next, emptied]));
        // There is nothing to take before more goes in.
        if (chunk === undefined) break;
        next = undefined;
        if (chunk.done) return joined(chunks, size);
        size += chunk.value.byteLength;
        if (size > limit) throw new RangeError("too large");
        chunks.push(chunk.value);
      }
    }
  } catch (error) {
    reader.cancel().catch(ignore);
    writer.abort().catch(ignore);
    next?.catch(ignore);
    throw error;
  }
}

function nextTurn(): Promise<undefined> {
  return new Promise((resolve) => {
    setTimeout(() => resolve(undefined), 0);
  });
}

function joined(chunks: readonly Uint8Array[], size: number): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.byteLength;
  }
  return all;
}

function ignore(): void {}
