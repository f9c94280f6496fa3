/**
 * Where things are, and looking whether they are there.
 *
 * @module
 */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The repository. */
export const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
/** What the scripts keep for themselves: downloads and stamps. May be deleted at any time. */
export const STATE = join(ROOT, ".leeward");
export const MODULES = join(ROOT, "node_modules");

/**
 * @param {string} path
 * @returns {string | undefined} what is in the file, if it can be read
 */
export function textOf(path) {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

/**
 * @param {string} folder
 * @returns {string[]} the names in it; none if it cannot be read
 */
export function namesIn(folder) {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
