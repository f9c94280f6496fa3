/** The worker for what is stored: compressed values, and schemas that take their time or never answer. */
import { type CacheEvent, createCache } from "leeward";

interface Context {
  waitUntil(promise: Promise<unknown>): void;
}

const events: CacheEvent[] = [];
const onEvent = (event: CacheEvent) => void events.push(event);
const timeout = { read: "3s", write: "10s", flight: "2s" } as const;
const cache = createCache({ compress: 1024, timeout, onEvent });

/** What has gone into all decompressions. */
let decompressed = 0;
const Native = DecompressionStream;
globalThis.DecompressionStream = class extends Native {
  constructor(format: CompressionFormat) {
    super(format);
    const { writable } = this;
    const getWriter = writable.getWriter.bind(writable);
    writable.getWriter = () => {
      const writer = getWriter();
      const write = writer.write.bind(writer);
      writer.write = (chunk) => {
        decompressed += (chunk as Uint8Array).byteLength;
        return write(chunk);
      };
      return writer;
    };
  }
} as typeof DecompressionStream;

const VALUES: Record<string, () => unknown> = {
  json: () => ({ text: "Grüße, 世界 \u0000 ".repeat(20_000), list: [1, null] }),
  bytes: () => Uint8Array.from({ length: 3_000_000 }, (_, i) => (i >> 6) % 256),
  buffer: () => new Uint8Array(50_000).fill(7).buffer,
};

/** What a schema answers, and when. */
const TASTES: Record<string, () => unknown> = {
  takes: () => ({ value: null }),
  "takes later": () => new Promise((resolve) => setTimeout(() => resolve({ value: null }), 20)),
  refuses: () => ({ issues: [{ message: "no" }] }),
  "refuses later": () =>
    new Promise((resolve) => setTimeout(() => resolve({ issues: [{ message: "no" }] }), 20)),
  "never answers": () => new Promise(() => {}),
};

function digest(value: unknown): string {
  if (value instanceof ArrayBuffer) return `buffer ${digest(new Uint8Array(value))}`;
  if (value instanceof Uint8Array)
    return `${value.length} ${value.reduce((sum, byte) => (sum * 31 + byte) | 0, 7)}`;
  return JSON.stringify(value) ?? "undefined";
}

export default {
  async fetch(request: Request, env: unknown, ctx: Context): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    const client = cache.for(env, ctx);
    const key = searchParams.get("key") ?? "";
    if (pathname === "/state") return Response.json({ events, decompressed, stats: client.stats() });
    if (pathname === "/store") {
      const make = VALUES[key] as () => string;
      return Response.json({ value: digest(await client.getOrSet(key, make)) === digest(make()) });
    }
    const validate = TASTES[searchParams.get("taste") ?? "takes"];
    const schema = { "~standard": { version: 1, vendor: "test", validate } } as never;
    const { value, ...rest } = await client.lookup<unknown>(key, () => "own", { schema });
    const made = VALUES[key]?.();
    return Response.json({ ...rest, same: digest(value) === digest(made), own: value === "own" });
  },
};
