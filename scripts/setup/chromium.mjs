/**
 * A Chromium for the tests of the demo page. They drive it themselves, with a profile of their own: no service is installed or
 * left running, and no browser that somebody uses is touched.
 *
 * @module
 */
import { join } from "node:path";
import * as apt from "./apt.mjs";
import { find, isProgram } from "./command.mjs";
import { ScriptError } from "./report.mjs";

const WHY = "the tests drive the demo page in it";
/** Google's own build does as well. */
const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];
const APPLICATIONS = [
  "/Applications/Chromium.app/Contents/MacOS/Chromium",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];

/**
 * Finds a browser: `LEEWARD_CHROMIUM` (a path or a name on the PATH, and then nothing else counts), the PATH, and the places
 * where macOS has them.
 *
 * @param {Record<string, string | undefined>} [env]
 * @returns {string | undefined} the path of the program
 */
export function findChromium(env = process.env) {
  const { LEEWARD_CHROMIUM: chosen, PATH = "", HOME = "" } = env;
  if (chosen) return chosen.includes("/") ? [chosen].find(isProgram) : find(chosen, PATH);
  const applications = [...APPLICATIONS, ...APPLICATIONS.map((path) => join(HOME, path))];
  return NAMES.map((name) => find(name, PATH)).find(Boolean) ?? applications.find(isProgram);
}

/** Gets a browser if there is none. */
export async function ensureChromium() {
  if (findChromium()) return;
  if (process.env.LEEWARD_CHROMIUM) {
    throw new ScriptError(
      `LEEWARD_CHROMIUM is ${JSON.stringify(process.env.LEEWARD_CHROMIUM)}, which is not an executable file`,
      {
        ways: [
          "the path of a Chromium or Google Chrome",
          "no LEEWARD_CHROMIUM: then one is looked for, and installed if need be",
        ],
      },
    );
  }
  const problem = await fromDebian();
  if (findChromium()) return;
  throw new ScriptError(`a Chromium is missing: ${WHY}`, {
    tried: problem ? [problem] : [],
    ways: [
      "macOS: brew install --cask chromium, or an installed Google Chrome",
      "Debian: sudo apt-get install chromium",
      "any other Chromium or Google Chrome: on the PATH, or its path in LEEWARD_CHROMIUM",
    ],
  });
}

async function fromDebian() {
  if (!apt.canInstall()) return undefined;
  return apt.install(["chromium"], WHY);
}
