/**
 * Debian's packages, where this process may install them.
 *
 * @module
 */
import { find, lastLines, run } from "./command.mjs";
import { say } from "./report.mjs";

let updated = false;

/** Whether this is a Debian or a relative of it, and this process is root. Nobody is asked for a password. */
export function canInstall() {
  return process.getuid?.() === 0 && find("apt-get") !== undefined;
}

/**
 * @param {readonly string[]} packages
 * @param {string} why for the progress line
 * @returns {Promise<string | undefined>} what went wrong, or nothing
 */
export async function install(packages, why) {
  say(`setup: installing ${packages.join(", ")} (apt-get): ${why}`);
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  // Another apt may be running on a machine that has just started.
  const wait = ["-o", "DPkg::Lock::Timeout=120"];
  if (!updated) {
    // A list that is missing or old names packages that are gone. If it cannot be renewed, the old one may still do.
    await run("apt-get", ["update", "-q", ...wait], { env });
    updated = true;
  }
  const result = await run(
    "apt-get",
    ["install", "-q", "-y", "--no-install-recommends", ...wait, ...packages],
    { env },
  );
  return result.ok
    ? undefined
    : `apt-get install ${packages.join(" ")}: ${result.reason}\n${lastLines(result.output, 5)}`;
}
