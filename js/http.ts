/** One HTTP request to Redis. */

/** A reply is at most this long; values are limited to 4 MiB, and texts grow when they are written as JSON. */
const MAX_REPLY = 16 * 1024 * 1024;

export class ReplyTooLarge extends Error {}

export interface Answer {
  readonly status: number;
  readonly body: Uint8Array;
}

/**
 * By POST: workerd silently repeats a GET whose connection is reset. Redirects are answers: following one would carry the
 * token wherever it points.
 */
export async function post(url: string, token: string, body: string, signal: AbortSignal): Promise<Answer> {
  const response = await fetch(url, {
    method: "POST",
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
    body,
    signal,
    redirect: "manual",
  });
  return { status: response.status, body: await bounded(response) };
}

async function bounded(response: Response): Promise<Uint8Array> {
  const announced = Number(response.headers.get("content-length") ?? Number.NaN);
  if (announced > MAX_REPLY) {
    await response.body?.cancel();
    throw new ReplyTooLarge();
  }
  // What is announced is what comes, unless it is packed.
  if (announced >= 0 && !response.headers.has("content-encoding")) {
    return new Uint8Array(await response.arrayBuffer());
  }
  const chunks: Uint8Array[] = [];
  let length = 0;
  const reader = response.body?.getReader();
  for (;;) {
    const chunk = await reader?.read();
    if (chunk === undefined || chunk.done) break;
    length += chunk.value.byteLength;
    if (length > MAX_REPLY) {
      await reader?.cancel();
      throw new ReplyTooLarge();
    }
    chunks.push(chunk.value);
  }
  const body = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    body.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return body;
}
