/** What the tarball holds, and what it does not. */
import { execFile } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, test } from "vitest";
import { makeProject, type Project, ROOT } from "./project.ts";

let project: Project;
beforeAll(async () => {
  project = await makeProject();
});
afterAll(() => project?.remove());

const EXPECTED = [
  ...["LICENSE-APACHE", "LICENSE-MIT", "package.json"],
  ...["dist/index.d.ts", "dist/index.js", "dist/leeward.wasm", "dist/node.js"],
  ...["dist/testing.d.ts", "dist/testing.js"],
  // As soon as the repository has them.
  ...["CHANGELOG.md", "LICENSE", "README.md"].filter((name) => existsSync(join(ROOT, name))),
];

const read = (name: string) => readFileSync(join(project.leeward, name));

test("holds exactly the files that are meant to be published", () => {
  const files = readdirSync(project.leeward, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) =>
      join(entry.parentPath, entry.name)
        .slice(project.leeward.length + 1)
        .replaceAll("\\", "/"),
    );
  expect(files.sort()).toEqual(EXPECTED.sort());
});

test("depends on nothing and runs nothing when it is installed", () => {
  const manifest = JSON.parse(read("package.json").toString()) as Record<string, Record<string, unknown>>;
  for (const kind of ["dependencies", "peerDependencies", "optionalDependencies", "bundleDependencies"]) {
    expect(Object.keys(manifest[kind] ?? {}), kind).toEqual([]);
  }
  for (const script of ["preinstall", "install", "postinstall"]) {
    expect(Object.keys(manifest.scripts ?? {})).not.toContain(script);
  }
  const installed = readdirSync(join(project.folder, "node_modules")).filter((name) => !name.startsWith("."));
  expect(installed).toEqual(["leeward"]);
});

test("names files that are there in its exports, and lets nothing else be imported", async () => {
  const manifest = JSON.parse(read("package.json").toString()) as { exports: Record<string, object> };
  expect(Object.keys(manifest.exports)).toEqual([".", "./testing"]);
  expect(manifest.exports["."]).toEqual({
    types: "./dist/index.d.ts",
    workerd: "./dist/index.js",
    default: "./dist/node.js",
  });
  expect(manifest.exports["./testing"]).toEqual({
    types: "./dist/testing.d.ts",
    default: "./dist/testing.js",
  });
  const paths = Object.values(manifest.exports).flatMap((conditions) => Object.values(conditions));
  for (const path of paths) expect(read(path).length).toBeGreaterThan(0);

  const resolve = async (specifier: string, ...conditions: string[]) => {
    const program = `process.stdout.write(import.meta.resolve(${JSON.stringify(specifier)}))`;
    const args = [...conditions.map((name) => `--conditions=${name}`), "--input-type=module", "-e", program];
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: project.folder });
    return stdout.slice(stdout.indexOf("node_modules/"));
  };
  expect(await resolve("leeward")).toBe("node_modules/leeward/dist/node.js");
  expect(await resolve("leeward", "workerd")).toBe("node_modules/leeward/dist/index.js");
  expect(await resolve("leeward/testing")).toBe("node_modules/leeward/dist/testing.js");
  expect(await resolve("leeward/testing", "workerd")).toBe("node_modules/leeward/dist/testing.js");
  await expect(resolve("leeward/dist/node.js")).rejects.toThrow("ERR_PACKAGE_PATH_NOT_EXPORTED");
});

test("imports nothing but the wasm file and what the runtime has", () => {
  const imports = (name: string) =>
    [
      ...read(name)
        .toString()
        // Comments may name the types of other files.
        .replace(/\/\*.*?\*\//gs, "")
        .matchAll(/\bimport\s*(?:[\w*{}\s,]+from\s*)?\(?\s*["']([^"']+)["']/g),
    ].map(([, specifier]) => specifier);
  expect(new Set(imports("dist/index.js"))).toEqual(new Set(["cloudflare:workers", "./leeward.wasm"]));
  expect(imports("dist/node.js")).toEqual([]);
  expect(imports("dist/index.d.ts")).toEqual([]);
  expect(imports("dist/testing.js")).toEqual([]);
  expect(imports("dist/testing.d.ts")).toEqual(["./index.js"]);
});

test("keeps what is for tests out of what is deployed", () => {
  for (const name of ["dist/index.js", "dist/node.js"])
    expect(read(name).includes("createTestRedis"), name).toBe(false);
  // What it shares with the gateway must not bring node with it.
  expect(/\bBuffer\b|\brequire\(/.exec(read("dist/testing.js").toString())?.[0]).toBeUndefined();
});

test("names no package registry and no place on the machine that built it", () => {
  const places =
    /registry\.|\.cargo\b|crates\.io|npmjs|\/index\.[a-z-]+\.[a-z]+-[0-9a-f]{8,}|\/(?:root|home|Users)\//;
  for (const name of EXPECTED) {
    const text = read(name).toString("latin1");
    expect(places.exec(text)?.[0], name).toBeUndefined();
    for (const place of [ROOT, homedir()]) {
      if (place.length > 1) expect(text.includes(place), `${name} names ${place}`).toBe(false);
    }
  }
});

test("is no larger than what it does explains", () => {
  const packed = (name: string) => gzipSync(read(name), { level: 9 }).length;
  // Alarms, well above today's sizes; the budgets are the benchmark's.
  expect(packed("dist/index.js")).toBeLessThan(40_000);
  expect(packed("dist/node.js")).toBeLessThan(40_000);
  expect(packed("dist/leeward.wasm")).toBeLessThan(220_000);
  expect(packed("dist/testing.js")).toBeLessThan(30_000);
  expect(statSync(project.tarball).size).toBeLessThan(400_000);
});
