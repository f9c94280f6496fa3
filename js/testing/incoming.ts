/** A request, in whatever form `fetch` was given it. */
import { utf8 } from "../../dev/bytes.mjs";
import type { Fetch } from "./install.ts";

export interface Incoming {
  readonly url: URL;
  readonly method: string;
  /** Names in small letters. */
  readonly headers: Record<string, string>;
  readonly signal: AbortSignal | undefined;
  readonly body: () => Promise<Uint8Array>;
}

/** Whether it is a `Request` of another realm or copy of undici, as Miniflare gives: this runtime takes it for a text. */
export function isForeign(input: Parameters<Fetch>[0]): boolean {
  return typeof input === "object" && "url" in input && !(input instanceof Request);
}

/** The same request in a form that this runtime's own `fetch` takes. */
export async function rebuilt(input: Parameters<Fetch>[0], init?: RequestInit): Promise<Parameters<Fetch>> {
  const { url, method, headers, signal = null, body } = incoming(input, init);
  const bytes = await body();
  const sent = bytes.length > 0 ? { body: new Uint8Array(bytes) } : {};
  return [url, { method, headers, signal, redirect: "manual", ...sent }];
}

/** Read by its parts, so that a foreign one will do. */
export function incoming(input: Parameters<Fetch>[0], init: RequestInit = {}): Incoming {
  const request = typeof input === "object" && "url" in input ? input : undefined;
  const headers = new Headers([
    ...new Headers(init.headers),
    ...(init.headers ? [] : (request?.headers ?? [])),
  ]);
  return {
    url: new URL(request?.url ?? String(input)),
    method: (init.method ?? request?.method ?? "GET").toUpperCase(),
    headers: Object.fromEntries(headers),
    signal: init.signal ?? request?.signal ?? undefined,
    async body() {
      // A text is what Leeward sends; how to read anything else the runtime knows.
      if (typeof init.body === "string") return utf8(init.body);
      const source = init.body == null && request ? request : new Response(init.body ?? null);
      return new Uint8Array(await source.arrayBuffer());
    },
  };
}
