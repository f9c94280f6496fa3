/** The package, installed from its tarball, on plain node: every version of it that is at hand. */
import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { CacheEvent } from "leeward";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { type Servers, startServers } from "../gateway/client.ts";
import { makeProject, nodes, type Project, type Ran } from "./project.ts";

let servers: Servers;
let project: Project;
beforeAll(async () => {
  [servers, project] = await Promise.all([startServers(), makeProject()]);
});
afterAll(async () => {
  project?.remove();
  await servers?.stop();
});

function told<T>({ stdout }: Ran): T {
  return JSON.parse(stdout) as T;
}

describe.for(await nodes())("node $version", ({ node, version }) => {
  test("finds, stores and invalidates with credentials from the environment", async () => {
    await servers.redis.command("FLUSHALL");
    const env = {
      UPSTASH_REDIS_REST_URL: servers.gateway.url,
      UPSTASH_REDIS_REST_TOKEN: servers.gateway.token,
    };
    const ran = await project.run(node, "cache.mjs", [], env);
    expect(ran.stderr).toBe("");
    expect(told(ran)).toMatchObject({
      node: version,
      outcomes: ["miss", "hit", "miss"],
      values: [{ calls: 1 }, { calls: 1 }, { calls: 2 }],
      invalidated: { state: "applied" },
      old: "old contract",
      oldInvalidated: { state: "applied" },
      error: "unconfigured",
      state: "ready",
      // The old contract uses the same connection.
      attempts: 1,
      events: [...["attempt", "connection", "read", "fill", "read", "invalidation", "read", "fill"]],
    });
  });

  test("has a Redis for tests, which needs no server", async () => {
    const ran = await project.run(node, "testing.mjs");
    expect(ran.stderr).toBe("");
    expect(told(ran)).toEqual({
      outcomes: ["miss", "hit", "miss", "bypass"],
      stored: { calls: 1 },
      requests: 6,
    });
  });

  const bypass = { outcome: "bypass", age: 0, stored: false, shared: false, l1: false };
  const ANSWERED = {
    values: ["a", "a", "b", "c", "d"].map((key) => `value of ${key}`),
    thrown: true,
    got: true,
    codes: ["unconfigured", "unconfigured"],
    old: "old",
    requests: 0,
  };

  test("runs callbacks without configuration, and warns once for each cache", async () => {
    const ran = await project.run(node, "without.mjs");
    const lookup = { value: false, ...bypass, reason: "disabled" };
    expect(told(ran)).toEqual({ ...ANSWERED, lookup, state: "disabled", events: [] });
    const warnings = ran.stderr.split("\n").filter(Boolean);
    // One by the program's own cache, one by redisCache.
    expect(warnings).toEqual(
      Array.from({ length: 2 }, () =>
        expect.stringMatching(/^leeward: .*callbacks run.*UPSTASH_REDIS_REST_URL/),
      ),
    );
  });

  test("gives the warning to an observer, in place of the console", async () => {
    const ran = await project.run(node, "without.mjs", ["--observed"]);
    expect(ran.stderr).toBe("");
    const { events } = told<{ events: CacheEvent[] }>(ran);
    expect(events.filter(({ type }) => type === "warning")).toEqual([
      expect.objectContaining({
        code: "disabled",
        message: expect.stringContaining("no Redis is configured"),
      }),
    ]);
  });

  test("runs callbacks without the wasm file, with one warning that says what to do", async () => {
    const kept = join(project.folder, "leeward.wasm");
    const wasm = join(project.leeward, "dist/leeward.wasm");
    cpSync(wasm, kept);
    onTestFinished(() => cpSync(kept, wasm));
    rmSync(wasm);
    // Credentials do not help here.
    const env = { UPSTASH_REDIS_REST_URL: servers.gateway.url, UPSTASH_REDIS_REST_TOKEN: "t" };
    const ran = await project.run(node, "without.mjs", ["--observed"], env);
    expect(ran.stderr).toBe("");
    const { events, ...rest } = told<{ events: CacheEvent[] }>(ran);
    const lookup = { value: false, ...bypass, reason: "unavailable" };
    expect(rest).toEqual({ ...ANSWERED, lookup, state: "idle" });
    expect(events).toEqual([expect.objectContaining({ type: "warning", code: "unavailable" })]);
    const message = String(events[0]?.type === "warning" && events[0].message);
    expect(message).toMatch(/leeward\.wasm/);
    expect(message).toMatch(/serverExternalPackages|external|beside/);
  });
});
