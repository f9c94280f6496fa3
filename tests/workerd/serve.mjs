/**
 * A `workerd` that serves one worker, with the network, on a port of its own.
 *
 * @module
 */
import { mkdtempSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startChild } from "../../dev/child.mjs";

const workerd = createRequire(import.meta.url)("workerd");

/** @type {string} */
export const NEWEST = workerd.compatibilityDate;

/**
 * @typedef {object} Served
 * @property {Record<string, string | Uint8Array>} modules by name; the first is the worker, and `*.wasm` is what it says
 * @property {string | undefined} [compatibilityDate] default the newest
 * @property {readonly string[] | undefined} [flags]
 * @property {Record<string, string> | undefined} [env]
 * @property {string | undefined} [binary] the runtime, default the newest
 */

/**
 * @param {Served} options
 * @returns {Promise<{ url: string, child: import("../../dev/child.mjs").Child }>} when it listens
 */
export async function serve(options) {
  const folder = mkdtempSync(join(tmpdir(), "leeward-isolate-"));
  for (const [index, content] of Object.values(options.modules).entries()) {
    writeFileSync(join(folder, `module-${index}`), content);
  }
  const config = join(folder, "config.capnp");
  writeFileSync(config, configOf(options));
  const args = ["serve", config, "--control-fd=1", "--verbose"];
  const child = await startChild(options.binary ?? workerd.default, args, { temporaryFolder: folder });
  const line = await child.line(/"event":\s*"listen"/);
  /** @type {{ port: number }} */
  const { port } = JSON.parse(line.slice(line.indexOf("{")));
  return { url: `http://127.0.0.1:${port}`, child };
}

/** @param {Served} options */
function configOf({ modules, compatibilityDate = NEWEST, flags = [], env = {} }) {
  const text = (/** @type {string} */ value) => JSON.stringify(value);
  const files = Object.keys(modules).map((name, index) => {
    const kind = name.endsWith(".wasm") ? "wasm" : "esModule";
    return `(name = ${text(name)}, ${kind} = embed "module-${index}")`;
  });
  const bindings = Object.entries(env).map(
    ([name, value]) => `(name = ${text(name)}, text = ${text(value)})`,
  );
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = .w),
    (name = "internet", network = (allow = ["public", "private"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
const w :Workerd.Worker = (
  modules = [${files.join(", ")}],
  compatibilityDate = ${text(compatibilityDate)},
  compatibilityFlags = [${flags.map(text).join(", ")}],
  bindings = [${bindings.join(", ")}],
);
`;
}
