/**
 * The node that runs the local Workers runtime: 22.12 or later, whatever node the scripts were started with.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { delimiter, join } from "node:path";
import { isatty } from "node:tty";
import { fileURLToPath } from "node:url";
import { isProgram, run } from "./command.mjs";
import { MODULES } from "./folders.mjs";
import { ScriptError } from "./report.mjs";

const NEEDED = { major: 22, minor: 12 };
const BIN = join(MODULES, ".bin");
/** Tells the second process that the first has done the set-up. */
const AGAIN = "LEEWARD_UNDER_NODE_22";

/** Whether this process was started by `underNode22`. */
export const startedAgain = process.env[AGAIN] !== undefined;
if (startedAgain) {
  delete process.env[AGAIN];
  // Nobody would wait for this process, nor stop it, if the first were killed.
  process.once("disconnect", () => process.kill(process.pid, "SIGTERM"));
  process.channel?.unref();
}

/** @param {string} version such as "v22.12.0" */
function isEnough(version) {
  const [major = 0, minor = 0] = version.replace(/^v/, "").split(".").map(Number);
  return major > NEEDED.major || (major === NEEDED.major && minor >= NEEDED.minor);
}

/**
 * Returns at once when this process' node will do. Else runs the same script with the same arguments under the node
 * that came with the packages, ends with its exit code, and never returns.
 * @param {string} script the `import.meta.url` of the script
 */
export async function underNode22(script) {
  if (isEnough(process.version)) return;
  const node = join(BIN, "node");
  const version = isProgram(node) ? await run(node, ["--version"]) : undefined;
  if (!version?.ok || !isEnough(version.output.trim())) {
    throw new ScriptError(
      `node ${NEEDED.major}.${NEEDED.minor} or later is needed (wrangler asks for it); this is ${process.version}`,
      {
        tried: [
          `the node that comes as a package: ${version ? `${version.output.trim()} ${version.reason}` : "none"} for ${process.platform} ${process.arch}`,
        ],
        ways: ["nvm install 22", "macOS: brew install node", "any other node 22 or later, first on the PATH"],
      },
    );
  }
  const child = spawn(node, [...process.execArgv, fileURLToPath(script), ...process.argv.slice(2)], {
    stdio: ["inherit", "inherit", "inherit", "ipc"],
    // Programs that begin with "env node" shall find this node, too.
    env: { ...process.env, PATH: `${BIN}${delimiter}${process.env.PATH ?? ""}`, [AGAIN]: "1" },
  });
  for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"])) {
    process.on(signal, () => {
      // A terminal has sent Ctrl-C to both already, and twice means "at once".
      if (signal !== "SIGINT" || !isatty(0)) child.kill(signal);
    });
  }
  await new Promise((_, reject) => {
    child.once("error", reject);
    child.once("exit", (code, signal) => {
      if (!signal) process.exit(code ?? 1);
      process.removeAllListeners(signal);
      process.kill(process.pid, signal);
    });
  });
}
