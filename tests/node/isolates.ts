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

const DIST = fileURLToPath(new URL("../../dist", import.meta.url));
const PRESENT = JSON.parse(readFileSync(join(DIST, "../package.json"), "utf8")) as { version: string };

const folder = mkdtempSync(join(tmpdir(), "leeward-isolates-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let made = 0;

export interface Isolate {
  readonly cache: Cache;
  readonly events: CacheEvent[];
}

/** So many new isolates, each with a cache of these options. */
export async function isolates(count: number, options: CacheOptions): Promise<Isolate[]> {
  return Promise.all(Array.from({ length: count }, () => isolate(options)));
}

/** A new isolate with a cache. */
export async function isolate(options: CacheOptions): Promise<Isolate> {
  const { createCache } = await load();
  const events: CacheEvent[] = [];
  return { cache: createCache({ onEvent: (event) => void events.push(event), ...options }), events };
}

async function load(): Promise<Leeward> {
  made += 1;
  const to = join(folder, `isolate-${made}`);
  cpSync(DIST, to, { recursive: true });
  writeFileSync(join(to, "package.json"), '{ "type": "module" }\n');
  const entry = join(to, "node.js");
  const source = readFileSync(entry, "utf8");
  const version = JSON.stringify(PRESENT.version);
  if (!source.includes(version)) throw new Error(`the bundle does not name its version ${version}`);
  writeFileSync(entry, source.replaceAll(version, JSON.stringify(`0.0.0-isolate-${made}`)));
  return (await import(/* @vite-ignore */ pathToFileURL(entry).href)) as Leeward;
}
