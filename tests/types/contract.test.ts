/** The expectations of the files beside this one must be able to fail: each loosening of the contract below is noticed. */
import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const HERE = fileURLToPath(new URL(".", import.meta.url));
const FILES = [
  "values.test-d.ts",
  "options.test-d.ts",
  "many.test-d.ts",
  "wrap.test-d.ts",
  "schemas.test-d.ts",
];

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "leeward-types-"));
  for (const file of FILES) cpSync(join(HERE, file), join(folder, file));
  const modules = join(folder, "node_modules");
  mkdirSync(join(modules, "leeward"), { recursive: true });
  for (const name of ["vitest", "@types", "zod", "valibot"]) {
    symlinkSync(join(ROOT, "node_modules", name), join(modules, name), "junction");
  }
  const manifest = { name: "leeward", types: "./index.d.ts" };
  writeFileSync(join(modules, "leeward/package.json"), JSON.stringify(manifest));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What the compiler says about the expectations, given this contract. */
async function problems(contract: string): Promise<string> {
  writeFileSync(join(folder, "node_modules/leeward/index.d.ts"), contract);
  const options = JSON.parse(readFileSync(join(ROOT, "tsconfig.json"), "utf8")) as {
    compilerOptions: object;
  };
  const compilerOptions = { ...options.compilerOptions, paths: {} };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, files: FILES }));
  const tsc = join(ROOT, "node_modules/typescript/bin/tsc");
  return promisify(execFile)(process.execPath, [tsc, "--noEmit"], { cwd: folder }).then(
    ({ stdout }) => stdout,
    (error: { stdout: string }) => error.stdout,
  );
}

const contract = readFileSync(join(ROOT, "js/index.d.ts"), "utf8");

test("the contract meets its expectations", async () => {
  expect(await problems(contract)).toBe("");
});

test.for([
  [
    "any values of many",
    /loadMissing: LoadMissing<T> & LoadMissing<Storable<T>>,/,
    "loadMissing: LoadMissing<T>,",
  ],
  ["any argument of a command", /args: readonly \(string \| number\)\[\]/, "args: readonly unknown[]"],
  ["anything may be stored", /export type Storable<T> = .*?;/, "export type Storable<T> = T;"],
  ["bytes may not be stored", "T extends Uint8Array | ArrayBuffer ? T : StorableJson<T>", "StorableJson<T>"],
  ["a bigint may be stored", "T extends string | number", "T extends bigint | string | number"],
  ["a union loses its arms", "Load<T> & Load<Storable<T>>", "Load<T & Storable<T>>"],
  [
    "a schema need not fit",
    "options?: ReadOptions & Checked<NoInfer<T>>,",
    "options?: ReadOptions & Checked<unknown>,",
  ],
  [
    "a schema says what it makes",
    "schema?: StandardSchemaV1<T> |",
    "schema?: StandardSchemaV1<unknown, T> |",
  ],
  ["a duration is any text", /export type Duration = .*?;/, "export type Duration = number | string;"],
  ["a lookup always finds", "Promise<Lookup<T | undefined>>", "Promise<Lookup<T>>"],
  [
    "options may have any name",
    "export interface ReadOptions extends LifeOptions, LookOptions {",
    "export interface ReadOptions extends LifeOptions, LookOptions {\n  [x: string]: unknown;",
  ],
  [
    "there is another event",
    "export type CacheEvent =",
    'export type CacheEvent = (EventBase & { type: "hit" })',
  ],
  [
    "nothing may be invalidated",
    "export type Invalidation = Targets &",
    "export type Invalidation = Targets |",
  ],
  ["a mutate loses its value", "Promise<Mutated<T>>", "Promise<Mutated<unknown>>"],
  ["a namespace cannot be bound", "namespace(name: string): Cache;", "namespace(name: string): CacheClient;"],
  ["a value that is not modified is of any type", "notModified(): never;", "notModified(): unknown;"],
  ["a look has bounds on callbacks", "timeout?: LookTimeouts", "timeout?: ReadTimeouts"],
  ["a wrapped function takes anything", "(...args: A): Promise<T>;", "(...args: never[]): Promise<T>;"],
  ["a wrapped function may give anything", "((...args: A) => Storable<T> | Promise<Storable<T>>)", "unknown"],
  ["an error is any value", "error is LeewardError", "error is any"],
] as const)("a contract by which %s does not", async ([, part, loosened]) => {
  const changed = contract.replaceAll(typeof part === "string" ? part : new RegExp(part, "gs"), loosened);
  expect(changed).not.toBe(contract);
  expect(await problems(changed)).toMatch(/error TS/);
});
