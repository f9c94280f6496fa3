/** In workerd: the Redis in memory beside the runtime, as where its requests go, and in the isolate. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { transformSync } from "esbuild";
import { createTestRedis } from "leeward/testing";
import { convertV4MiniflareOptions, Miniflare, type V4WorkerOptions } from "miniflare";
import { expect, onTestFinished, test } from "vitest";

const { compatibilityDate } = createRequire(import.meta.url)("workerd") as { compatibilityDate: string };

const dist = (name: string) => readFileSync(new URL(`../../dist/${name}`, import.meta.url));

async function start(handler: string, options: Partial<V4WorkerOptions> = {}): Promise<Miniflare> {
  const source = readFileSync(new URL(handler, import.meta.url), "utf8");
  const { code } = transformSync(source, { loader: "ts", format: "esm", target: "es2022" });
  const worker = {
    compatibilityDate,
    modules: [
      {
        type: "ESModule",
        path: "worker.js",
        contents: code.replaceAll(/from "(leeward[/\w]*)"/g, 'from "./$1.js"'),
      },
      { type: "ESModule", path: "leeward.js", contents: dist("index.js").toString() },
      { type: "CompiledWasm", path: "leeward.wasm", contents: dist("leeward.wasm") },
      { type: "ESModule", path: "leeward/testing.js", contents: dist("testing.js").toString() },
    ],
    ...options,
  };
  // The names that people know; those of the next major version are still being made.
  const miniflare = new Miniflare(convertV4MiniflareOptions(worker as V4WorkerOptions));
  onTestFinished(() => miniflare.dispose());
  return miniflare;
}

test("a worker under Miniflare sends its requests to the Redis of its test", async () => {
  const redis = createTestRedis();
  const miniflare = await start("cached-worker.ts", {
    bindings: redis.env,
    outboundService: (request: Request) => redis.fetch(request),
  } as object);
  const get = async (path: string) => (await miniflare.dispatchFetch(`http://worker${path}`)).json();

  expect(await get("/a")).toEqual({ calls: 1, outcome: "miss" });
  await expect
    .poll(() => redis.entries())
    .toMatchObject([{ key: "/a", prefix: "worker", tags: ["t"], value: { calls: 1 } }]);
  expect(await get("/a")).toEqual({ calls: 1, outcome: "hit" });
  expect(await get("/invalidate")).toEqual({ state: "applied" });
  expect(redis.entries()).toEqual([]);

  redis.fault("status", { code: 503 });
  expect(await get("/a")).toEqual({ calls: 2, outcome: "bypass" });
  expect(await get("/invalidate")).toBe("invalidation-pending");
});

test("in the isolate it works as beside it, with every kind of failure", async () => {
  const miniflare = await start("inside-worker.ts");
  const response = await miniflare.dispatchFetch("http://worker/");
  const failed = (fault: string, reason: string) => ({
    fault,
    outcome: "bypass",
    reason,
    told: "invalidation-pending",
  });
  expect(await response.json()).toEqual([
    { calls: 1, outcome: "miss" },
    { calls: 1, outcome: "hit" },
    [{ key: "k", tags: ["t"], value: { calls: 1 } }],
    { calls: 2, outcome: "miss" },
    failed("refuse", "failed"),
    failed("resetBeforeHeaders", "failed"),
    failed("resetMidBody", "failed"),
    failed("hang", "timeout"),
    failed("truncated", "failed"),
  ]);
});
