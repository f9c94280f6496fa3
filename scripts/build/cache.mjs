/**
 * Steps of the build that need not be done again: a step is skipped when its inputs and its outputs are, byte for byte,
 * those of its last success. Comparing the outputs, too, finds one that has been truncated or edited.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT, STATE, textOf } from "../setup/folders.mjs";

const FOLDER = join(STATE, "build");

/**
 * @typedef {object} Step
 * @property {string} name
 * @property {readonly string[]} inputs files and folders, relative to the repository
 * @property {readonly string[]} outputs files, relative to the repository
 * @property {string} [also] what else decides about the outputs, e.g. the version of a compiler
 */

/**
 * Does the step unless it has been done.
 * @param {Step} step
 * @param {() => Promise<void>} work
 * @returns {Promise<boolean>} whether it was done now
 */
export async function once(step, work) {
  const stamp = join(FOLDER, step.name);
  const before = hash(step.inputs, step.also);
  if (textOf(stamp) === `${before} ${hash(step.outputs)}`) return false;
  rmSync(stamp, { force: true });
  await work();
  mkdirSync(FOLDER, { recursive: true });
  // The inputs as they were before the work: an edit made meanwhile must not pass as built.
  writeFileSync(stamp, `${before} ${hash(step.outputs)}`);
  return true;
}

/**
 * @param {readonly string[]} paths
 * @param {string} [also]
 */
function hash(paths, also = "") {
  const sum = createHash("sha256").update(also);
  for (const path of paths.flatMap(filesOf)) {
    const bytes = readFileSync(join(ROOT, path));
    sum.update(`\n${path} ${bytes.length}\n`).update(bytes);
  }
  return sum.digest("hex");
}

/**
 * @param {string} path
 * @returns {string[]} the path itself, or the files in the folder; nothing if it does not exist
 */
function filesOf(path) {
  const status = statSync(join(ROOT, path), { throwIfNoEntry: false });
  if (!status) return [];
  if (!status.isDirectory()) return [path];
  return readdirSync(join(ROOT, path))
    .sort()
    .flatMap((name) => filesOf(join(path, name)));
}
