/**
 * Several isolates in one process: copies of the package that are of different versions share nothing, as isolates do.
 * Each has an instance of the core of its own, a connection, journal and remembered tags.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { Cache, CacheEvent, CacheOptions } from "leeward";
import { afterAll } from "vitest";

type Leeward = typeof import("leeward");

const folderAt = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const PRESENT = JSON.parse(readFileSync(folderAt("package.json"), "utf8")) as { version: string };

/** What an isolate runs: the package as it is published, or one whose core can be told to fail. */
export const PUBLISHED = folderAt("dist");
export const TRAPPING = folderAt("target/trapping/dist");

const folder = mkdtempSync(join(tmpdir(), "leeward-isolates-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
/** Made once for each file of tests: a test has a gateway, and so connections, of its own. */
const loaded: Promise<Leeward>[] = [];

export interface Isolate {
  /** The symbol under which it keeps what it has once. */
  readonly symbol: symbol;
  readonly cache: Cache;
  readonly events: CacheEvent[];
}

/** Caches of these options in so many isolates: the same ones at each call, and so of one kind in a file of tests. */
export async function isolates(count: number, options: CacheOptions, kind = PUBLISHED): Promise<Isolate[]> {
  while (loaded.length < count) loaded.push(load(loaded.length + 1, kind));
  const copies = await Promise.all(loaded.slice(0, count));
  return copies.map(({ createCache }, i) => {
    const events: CacheEvent[] = [];
    const cache = createCache({ onEvent: (event) => void events.push(event), ...options });
    return { symbol: Symbol.for(`leeward@${versionOf(i + 1)}`), cache, events };
  });
}

const versionOf = (number: number) => `0.0.0-isolate-${number}`;

async function load(number: number, kind: string): Promise<Leeward> {
  const to = join(folder, `isolate-${number}`);
  cpSync(kind, to, { recursive: true });
  writeFileSync(join(to, "package.json"), '{ "type": "module" }\n');
  const entry = join(to, "node.js");
  const source = readFileSync(entry, "utf8");
  const version = JSON.stringify(PRESENT.version);
  if (!source.includes(version)) throw new Error(`the bundle does not name its version ${version}`);
  writeFileSync(entry, source.replaceAll(version, JSON.stringify(versionOf(number))));
  return (await import(/* @vite-ignore */ pathToFileURL(entry).href)) as Leeward;
}
