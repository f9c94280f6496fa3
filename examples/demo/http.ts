/** JSON answers, and the failures that become one. */

export class Failure extends Error {
  readonly status: number;
  readonly headers: Record<string, string>;

  constructor(status: number, message: string, headers: Record<string, string> = {}) {
    super(message);
    this.status = status;
    this.headers = headers;
  }
}

export function json(body: unknown, init: ResponseInit = {}): Response {
  const headers = new Headers(init.headers);
  headers.set("content-type", "application/json; charset=utf-8");
  // Leeward is the cache here; a browser that kept the answer would miss the invalidation.
  headers.set("cache-control", "no-store");
  return new Response(`${JSON.stringify(body)}\n`, { ...init, headers });
}

/** The answer to whatever a handler threw. What is not a `Failure` is a bug: logged, and not shown to the visitor. */
export function answerTo(error: unknown): Response {
  if (error instanceof Failure) {
    return json({ error: error.message }, { status: error.status, headers: error.headers });
  }
  console.log(`demo: unexpected ${String(error)}`);
  return json({ error: "internal error" }, { status: 500 });
}
