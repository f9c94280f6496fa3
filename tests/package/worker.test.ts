/** The package, installed from its tarball, in a TypeScript worker: type-checked, under `wrangler dev`, and as it is deployed. */
import { execFile } from "node:child_process";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { freePort } from "../../scripts/start/port.mjs";
import { spawnWrangler, startWrangler, untilAnswering } from "../../scripts/start/wrangler.mjs";
import { type Servers, startServers } from "../gateway/client.ts";
import { makeProject, type Project, ROOT } from "./project.ts";

const { compatibilityDate } = createRequire(import.meta.url)("workerd") as { compatibilityDate: string };

let servers: Servers;
let project: Project;
let config: string;
beforeAll(async () => {
  [servers, project] = await Promise.all([startServers(), makeProject()]);
  config = join(project.folder, "wrangler.toml");
  writeFileSync(
    config,
    `name = "consumer"\nmain = "worker.ts"\ncompatibility_date = "${compatibilityDate}"\n` +
      `[version_metadata]\nbinding = "CF_VERSION_METADATA"\n`,
  );
});
afterAll(async () => {
  project?.remove();
  await servers?.stop();
});

/** What the compiler says; empty when it finds nothing. */
async function problems(files: readonly string[], types: string, more: readonly string[]): Promise<string> {
  const args = [
    "--noEmit",
    "--strict",
    "--exactOptionalPropertyTypes",
    "--target",
    "es2024",
    "--types",
    types,
  ];
  const tsc = join(ROOT, "node_modules/typescript/bin/tsc");
  return promisify(execFile)(process.execPath, [tsc, ...args, ...more, ...files], {
    cwd: project.folder,
  }).then(
    ({ stdout }) => stdout,
    (error: { stdout: string }) => error.stdout,
  );
}

test("a worker is checked against the shipped types and Cloudflare's", async () => {
  project.link("@cloudflare/workers-types");
  const options = ["--lib", "es2024", "--module", "esnext", "--moduleResolution", "bundler"];
  expect(await problems(["worker.ts"], "@cloudflare/workers-types", options)).toBe("");
});

test("programs for node are checked against the shipped types, with node's module resolution", async () => {
  project.link("@types/node");
  project.link("undici-types");
  const options = ["--lib", "es2024", "--module", "nodenext", "--allowJs", "--checkJs"];
  expect(await problems(["node.ts", "cache.mjs", "without.mjs", "testing.mjs"], "node", options)).toBe("");
});

test("a worker under wrangler dev finds, stores and invalidates", { timeout: 90_000 }, async () => {
  const worker = startWrangler({
    port: await freePort(),
    config,
    vars: {
      UPSTASH_REDIS_REST_URL: servers.gateway.url,
      UPSTASH_REDIS_REST_TOKEN: servers.gateway.token,
    },
  });
  onTestFinished(worker.stop);
  await untilAnswering(worker, "/state");
  const get = async (path: string) => {
    const response = await fetch(new URL(path, worker.url));
    if (!response.ok)
      throw new Error(`${path}: ${response.status} ${await response.text()}\n${worker.output()}`);
    return (await response.json()) as unknown;
  };

  expect(await get("/user/7")).toEqual({ name: "user 7", outcome: "miss" });
  await servers.gateway.seen("consumer:k::7", 2);
  await servers.gateway.idle();
  expect(await get("/user/7")).toEqual({ name: "user 7", outcome: "hit" });
  expect(await get("/unbound/7")).toEqual({ name: "user 7" });
  // With an env of the handler's or the one of "cloudflare:workers", it is one build, and the binding names it.
  const fields = (await servers.redis.command("HKEYS", "consumer:k::7")) as string[];
  expect(fields.filter((field) => field.startsWith("h:"))).toEqual([
    expect.stringMatching(/^h:[\w-]{8,64}$/),
  ]);
  expect(await get("/invalidate/7")).toEqual({ state: "applied" });
  expect(await get("/user/7")).toEqual({ name: "user 7", outcome: "miss" });
  expect(await get("/state")).toMatchObject({ state: "ready", events: expect.arrayContaining(["attempt"]) });
  // `unbound` took the env that "cloudflare:workers" has: the same connection, so one attempt.
  const { events } = (await get("/state")) as { events: string[] };
  expect(events.filter((type) => type === "attempt")).toHaveLength(1);
});

test("wrangler deploy takes it as it is, with its wasm", { timeout: 60_000 }, async () => {
  const out = join(project.folder, "out");
  const child = spawnWrangler(["deploy", "--dry-run", "--config", config, "--outdir", out]);
  const ended = new Promise((resolve) => child.once("close", resolve));
  const output = (await Promise.all([text(child.stdout), text(child.stderr)])).join("\n");
  expect(await ended, output).toBe(0);
  expect(output).toContain("Total Upload");
  expect(output).not.toMatch(/warning|error/i);
  expect(existsSync(join(out, "worker.js"))).toBe(true);
  expect(readdirSync(out).filter((name) => name.endsWith("leeward.wasm"))).toHaveLength(1);
});
