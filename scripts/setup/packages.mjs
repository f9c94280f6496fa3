/**
 * The node packages of package-lock.json.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { find, lastLines, run } from "./command.mjs";
import { MODULES, ROOT, textOf } from "./folders.mjs";
import { ScriptError, say } from "./report.mjs";

/** Lies in node_modules, so that it goes when they go. */
const STAMP = join(MODULES, ".leeward-installed");

/**
 * @typedef {{ version?: string, optional?: boolean, link?: boolean, os?: string[], cpu?: string[], libc?: string[] }} Locked
 * @typedef {{ packages?: Record<string, Locked> }} Lock
 */

/** Installs what package-lock.json says, if it is not there yet. */
export async function ensurePackages() {
  const lock = readFileSync(join(ROOT, "package-lock.json"), "utf8");
  const wanted = createHash("sha256").update(`${process.platform} ${process.arch}\n${lock}`).digest("hex");
  if (textOf(STAMP) === wanted) return;
  if (!isInstalled(JSON.parse(lock), JSON.parse(textOf(join(MODULES, ".package-lock.json")) ?? "{}")))
    await install();
  writeFileSync(STAMP, wanted);
}

async function install() {
  say(
    "setup: installing node packages (npm ci): compiler for the driver, test runner, local Workers runtime, node 22",
  );
  // npm replaces the folder from which it would otherwise take its own node.
  const path = (process.env.PATH ?? "").split(delimiter).filter((folder) => !folder.startsWith(MODULES));
  const args = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
  const npm = find("npm");
  if (!npm)
    throw new ScriptError("npm is missing; it installs the node packages", {
      ways: ["install node with npm"],
    });
  const result = await run(npm, args, { cwd: ROOT, env: { PATH: path.join(delimiter) } });
  if (result.ok) return;
  throw new ScriptError("the node packages of package-lock.json cannot be installed", {
    tried: [`npm ${args.join(" ")}: ${result.reason}\n${lastLines(result.output)}`],
    ways: [
      "a connection to the npm registry",
      "a mirror of it: npm config set registry <url>",
      "if package.json has been edited by hand: npm install --ignore-scripts, which renews package-lock.json",
    ],
  });
}

/**
 * Whether somebody has already installed it by hand: then it need not be done again.
 * @param {Lock} lock
 * @param {Lock} installed what npm noted about the node_modules folder
 */
function isInstalled(lock, installed) {
  return Object.entries(lock.packages ?? {}).every(([path, entry]) => {
    if (!path.startsWith("node_modules/")) return true;
    const there = installed.packages?.[path];
    if (there) return there.version === entry.version && there.link === entry.link;
    return entry.optional === true && !isForThisMachine(entry);
  });
}

/**
 * Whether it holds programs for this machine. An optional package that names no machine comes with one that does.
 * @param {Locked} entry
 */
function isForThisMachine({ os, cpu, libc }) {
  if (!os && !cpu) return false;
  const allows = (/** @type {string[] | undefined} */ list, /** @type {string} */ own) =>
    !list || list.includes(own);
  return allows(os, process.platform) && allows(cpu, process.arch) && allows(libc, "glibc");
}
