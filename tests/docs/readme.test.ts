/** What the documents show compiles against the published types, and what they name exists. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const DOCUMENTS = ["README.md", "docs/MIGRATION.md"];
/** Those whose tables name the tests that hold what they say. */
const HELD = ["README.md", "SECURITY.md"];

/** What the examples take from their surroundings. */
const SURROUNDINGS = `
declare interface Env { UPSTASH_REDIS_REST_URL: string; UPSTASH_REDIS_REST_TOKEN: string }
declare interface ExecutionContext { waitUntil(promise: Promise<unknown>): void }
interface User { id: string; name: string; email?: string }
declare function loadUser(id: string): Promise<User>;
declare function saveUser(id: string, changes: Partial<User>): Promise<void>;
declare function loadNames(ids: readonly string[]): Promise<Map<string, string>>;
declare function computeXp(id: string): Promise<number>;
declare const id: string;
`;

mkdirSync(join(ROOT, ".leeward"), { recursive: true });
const folder = mkdtempSync(join(ROOT, ".leeward", "readme-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function examples(document: string): string[] {
  const text = readFileSync(join(ROOT, document), "utf8");
  return [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map((match) => match[1] ?? "");
}

function compile(sources: readonly string[]): string {
  for (const [i, source] of sources.entries()) writeFileSync(join(folder, `example-${i}.ts`), source);
  writeFileSync(join(folder, "surroundings.d.ts"), SURROUNDINGS);
  const compilerOptions = {
    strict: true,
    noEmit: true,
    target: "es2024",
    module: "esnext",
    moduleResolution: "bundler",
    lib: ["es2024", "webworker"],
    types: [],
    // Those of the test runner need more than an example does.
    skipLibCheck: true,
    paths: { leeward: [join(ROOT, "js/index.d.ts")], "leeward/testing": [join(ROOT, "js/testing.d.ts")] },
  };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["*.ts"] }));
  const tsc = join(ROOT, "node_modules", "typescript", "bin", "tsc");
  try {
    execFileSync(process.execPath, [tsc, "-p", folder], { encoding: "utf8" });
    return "";
  } catch (error) {
    return String((error as { stdout?: unknown }).stdout);
  }
}

describe("the documents", () => {
  it("show examples that compile", () => {
    const all = DOCUMENTS.flatMap(examples);
    expect(all.length).toBeGreaterThanOrEqual(3);
    expect(compile(all)).toBe("");
  });

  it("show a test as it is run", () => {
    const run = readFileSync(join(ROOT, "examples/testing/xp.test.ts"), "utf8");
    expect(examples("README.md")).toContain(run);
  });

  it("would be caught showing one that does not", () => {
    expect(compile(['import { createCache } from "leeward";\ncreateCache({ tll: 5 });\n'])).toContain("tll");
  });

  it("name files that exist", () => {
    for (const document of [...DOCUMENTS, "DESIGN.md", "CHANGELOG.md", "SECURITY.md"]) {
      const text = readFileSync(join(ROOT, document), "utf8");
      const links = [...text.matchAll(/\]\(([^)#:]+)\)/g)].map((match) => match[1] ?? "");
      const tests = [...text.matchAll(/`((?:tests|src|js|dev|scripts|examples)\/[\w./-]+\.\w+)`/g)].map(
        (match) => match[1] ?? "",
      );
      for (const link of links)
        expect(existsSync(join(ROOT, dirname(document), link)), `${document}: ${link}`).toBe(true);
      for (const file of tests) expect(existsSync(join(ROOT, file)), `${document}: ${file}`).toBe(true);
    }
  });

  it("show pictures that exist, say what is in them, and are quick to load", () => {
    const text = readFileSync(join(ROOT, "README.md"), "utf8");
    const pictures = [...text.matchAll(/(?:src|srcset)="([^"]+)"/g)].map((match) => match[1] ?? "");
    expect(pictures.length).toBeGreaterThanOrEqual(4);
    for (const picture of pictures) expect(statSync(join(ROOT, picture)).size, picture).toBeLessThan(200_000);
    const images = text.match(/<img [^>]*>/g) ?? [];
    for (const image of images) expect(image).toMatch(/ alt="[^"]{20,}"/);
  });

  it("name no test that is not there", () => {
    for (const document of HELD) {
      const text = readFileSync(join(ROOT, document), "utf8");
      const rows = [...text.matchAll(/`(tests\/[\w./-]+\.ts|src\/[\w./-]+\.rs)`: "([^"]+)"/g)];
      expect(rows.length, document).toBeGreaterThanOrEqual(8);
      for (const [, file = "", name = ""] of rows) {
        expect(readFileSync(join(ROOT, file), "utf8"), `${document}: ${file}: ${name}`).toContain(name);
      }
    }
  });
});
