/** Promise P1: importing the module does nothing. And: it can be imported wherever, and called whenever, a worker runs. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { CacheEvent, Lookup } from "leeward";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { type Servers, startServers } from "../gateway/client.ts";
import { type IsolateOptions, startIsolate } from "./import-isolate.ts";

let servers: Servers;
beforeAll(async () => {
  servers = await startServers();
});
afterAll(() => servers.stop());

async function isolate(options: IsolateOptions) {
  const { url, token } = servers.gateway;
  const bindings = { UPSTASH_REDIS_REST_URL: url, UPSTASH_REDIS_REST_TOKEN: token, ...options.bindings };
  const started = await startIsolate({ ...options, bindings });
  onTestFinished(async () => {
    await started.stop();
    const lines = started.output().split("\n");
    expect(
      lines.filter((line) => /^\S*\s*(error|uncaught|unhandled)|hang|hung/i.test(line)).slice(0, 3),
    ).toEqual([]);
  });
  return started;
}

describe("importing the package (P1)", () => {
  /** What nothing.ts says. */
  interface Nothing {
    report: Record<string, Record<string, number>>;
    watched: string[];
    states: string[];
    counted: number[];
    keys: string[];
    unusable: number;
  }
  interface Used {
    answers: number[];
    used: Record<string, number>;
  }

  /** What a first call uses, and so what the counters must be able to see. */
  const NEEDED = [
    ...["fetch", "setTimeout", "queueMicrotask", "AbortController", "crypto.getRandomValues", "Date.now"],
    ...["WebAssembly.Instance", "env"],
  ];
  const WATCHED = [
    ...["fetch", "setTimeout", "setInterval", "queueMicrotask", "Date", "Date.now", "performance.now"],
    ...["crypto.getRandomValues", "crypto.randomUUID", "Math.random", "AbortSignal.timeout"],
    ...["WebAssembly.Instance", "WebAssembly.Module", "WebAssembly.instantiate", "WebAssembly.compile"],
    ...["console.log", "console.info", "console.debug", "console.warn", "console.error"],
  ];

  function expectNothing(nothing: Nothing, used: Used): void {
    expect(nothing.watched).toEqual(expect.arrayContaining(WATCHED));
    expect(nothing.report).toEqual({ import: {}, createCache: {}, for: {}, look: {}, wrap: {}, rest: {} });
    expect(nothing.keys).toEqual(['user:["7"]']);
    expect(nothing.unusable).toBeGreaterThan(0);
    expect(new Set(nothing.states)).toEqual(new Set(["idle"]));
    expect(new Set(nothing.counted)).toEqual(new Set([0]));
    expect(used.answers).toEqual([1, 2]);
    expect(Object.keys(used.used)).toEqual(expect.arrayContaining(NEEDED));
  }

  /** Stands in for the built-in module, so that a look at the imported env, or a use of `waitUntil`, is seen. */
  const WORKERS = `
    import { watchedEnv } from "./counters.ts";
    export const env = watchedEnv({});
    const calls = watchedEnv({ waitUntil() {} });
    export const waitUntil = (promise) => calls.waitUntil(promise);
  `;

  test("uses no I/O, timer, chance, clock, env or wasm in workerd, nor do createCache, for, connection, stats, wrap", async () => {
    const sources = { "cloudflare:workers": WORKERS };
    const worker = await isolate({ modules: ["nothing.ts", "counters.ts"], sources });
    expectNothing(await worker.get<Nothing>(), await worker.get<Used>("/used"));
  });

  test("uses none of them on node", async () => {
    const program = fileURLToPath(new URL("import/node.ts", import.meta.url));
    const { url, token } = servers.gateway;
    const env = { ...process.env, UPSTASH_REDIS_REST_URL: url, UPSTASH_REDIS_REST_TOKEN: token };
    const { stdout } = await promisify(execFile)(process.execPath, [program], { env });
    const [nothing, used] = JSON.parse(stdout) as [Nothing, Used];
    expectNothing(nothing, used);
  });
});

describe.for([
  { name: "the workerd of March 2025", workerd: "2025-03", exports: ["env"], lacks: ["waitUntil"] },
  { name: "compatibility date 2024-09-01", compatibilityDate: "2024-09-01", exports: [], lacks: [] },
  { name: "the newest compatibility date", exports: ["env", "waitUntil"], lacks: [] },
] as const)("a worker with $name", ({ name: _, exports, lacks, ...options }) => {
  test("finds what it asks for, bound to its requests", async () => {
    const worker = await isolate({ ...options, modules: ["calls.ts"] });
    const known = await worker.get<{ exports: string[] }>();
    expect(known.exports).toEqual(expect.arrayContaining([...exports]));
    for (const name of lacks) expect(known.exports).not.toContain(name);

    const key = `bound-${crypto.randomUUID()}`;
    const miss = await worker.get<Lookup<string>>(`/bound/${key}`);
    expect(miss).toMatchObject({ value: `value of ${key}`, outcome: "miss" });
    await servers.gateway.seen(key, 2);
    await servers.gateway.idle();
    const hit = await worker.get<Lookup<string>>(`/bound/${key}`);
    expect(hit).toMatchObject({ value: `value of ${key}`, outcome: "hit", stored: true });
  });

  // "of-isolate" guards against a client that was bound to an env alone and kept what it began in one request for all
  // that came after it, which were then cut by the runtime.
  test.for(["unbound", "no-context", "of-isolate"])("answers %s calls, many at once, too", async (kind) => {
    await servers.gateway.fault("slow", { delayMs: 20 });
    onTestFinished(() => servers.gateway.fault("healthy"));
    const worker = await isolate({ ...options, modules: ["calls.ts"] });
    for (let wave = 1; wave <= 3; wave += 1) {
      const keys = Array.from({ length: 20 }, (_, i) => `${kind}-${wave}-${i % 5}`);
      const lookups = await Promise.all(keys.map((key) => worker.get<Lookup<string>>(`/${kind}/${key}`)));
      expect(lookups.map(({ value }) => value)).toEqual(keys.map((key) => `value of ${key}`));
    }
  });
});

describe("calls while the module loads", () => {
  test("run their callbacks, with one warning for the cache and no throw", async () => {
    const worker = await isolate({ modules: ["module-scope.ts"] });
    const said = await worker.get<{
      answers: unknown;
      code: string;
      loaded: CacheEvent[];
      lookup: unknown;
    }>();
    const bypass = {
      outcome: "bypass",
      age: 0,
      stored: false,
      shared: false,
      l1: false,
      reason: "unavailable",
    };
    expect(said.answers).toEqual({
      sync: "sync",
      async: "async",
      bound: "bound",
      lookup: { value: { aborted: false }, ...bypass },
      get: true,
      look: bypass,
      together: ["a", "b", "c"],
      error: true,
      key: "TypeError: a key must be a string, got number",
      old: "old",
    });
    expect(said.code).toBe("unconfigured");
    expect(said.loaded).toEqual([expect.objectContaining({ type: "warning", code: "module-scope" })]);
    // redisCache has a cache, and a warning, of its own.
    expect(worker.output().match(/while a module loads/g)).toHaveLength(1);
    expect(said.lookup).toMatchObject({ value: "later", outcome: "miss" });
  });
});

describe("a worker that gives no ctx, where the runtime has no waitUntil to import", () => {
  test("stores before it answers", async () => {
    const worker = await isolate({ modules: ["calls.ts"], sources: { "cloudflare:workers": "export {};" } });
    const key = `alone-${crypto.randomUUID()}`;
    expect(await worker.get(`/no-context/${key}`)).toMatchObject({ outcome: "miss", stored: true });
    expect(servers.gateway.counters().openRequests).toBe(0);
    expect(await worker.get(`/no-context/${key}`)).toMatchObject({ outcome: "hit", stored: true });
  });

  test("shares nothing between requests", async () => {
    const worker = await isolate({ modules: ["calls.ts"], sources: { "cloudflare:workers": "export {};" } });
    const key = `alone-${crypto.randomUUID()}`;
    const lookups = await Promise.all(
      Array.from({ length: 20 }, () => worker.get<Lookup<string>>(`/no-context/${key}`)),
    );
    expect(lookups.map(({ value, shared }) => ({ value, shared }))).toEqual(
      Array.from({ length: 20 }, () => ({ value: `value of ${key}`, shared: false })),
    );
  });
});
