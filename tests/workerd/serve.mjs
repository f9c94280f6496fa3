/**
 * A `workerd` that serves workers, each an isolate with the network and a port of its own.
 *
 * @module
 */
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startChild } from "../../dev/child.mjs";

const workerd = createRequire(import.meta.url)("workerd");

/** @type {string} */
export const NEWEST = workerd.compatibilityDate;

/** Far more than workerd writes of a test. */
const KEPT_LINES = 50_000;

/**
 * @typedef {object} Served
 * @property {string} name
 * @property {Record<string, string | Uint8Array>} modules by name; the first is the worker, and `*.wasm` is what it says
 * @property {string | undefined} [compatibilityDate] default the newest
 * @property {readonly string[] | undefined} [flags]
 * @property {Record<string, string> | undefined} [env]
 * @property {readonly string[] | undefined} [calls] names of other workers, by which it reaches them
 */

/**
 * @param {readonly Served[]} workers
 * @param {string} [binary] the runtime, default the newest
 * @returns {Promise<{ url: (name: string) => string, child: import("../../dev/child.mjs").Child }>} when they listen
 */
export async function serve(workers, binary = workerd.default) {
  const folder = mkdtempSync(join(tmpdir(), "leeward-isolate-"));
  for (const { name, modules } of workers) {
    mkdirSync(join(folder, name));
    for (const [index, content] of Object.values(modules).entries()) {
      writeFileSync(join(folder, name, `module-${index}`), content);
    }
  }
  const config = join(folder, "config.capnp");
  writeFileSync(config, configOf(workers));
  const args = ["serve", config, "--control-fd=1", "--verbose"];
  const child = await startChild(binary, args, { temporaryFolder: folder, keptLines: KEPT_LINES });
  /** @type {Map<string, string>} */
  const urls = new Map();
  for (const { name } of workers) {
    const line = await child.line(new RegExp(`"event":\\s*"listen".*"socket":\\s*"${name}"`));
    /** @type {{ port: number }} */
    const { port } = JSON.parse(line.slice(line.indexOf("{")));
    urls.set(name, `http://127.0.0.1:${port}`);
  }
  return { url: (name) => urls.get(name) ?? "", child };
}

/** @param {string} value */
const text = (value) => JSON.stringify(value);

/** @param {readonly Served[]} workers */
function configOf(workers) {
  const services = workers.map(({ name }, i) => `    (name = ${text(name)}, worker = .w${i}),`);
  const sockets = workers.map(
    ({ name }) => `    (name = ${text(name)}, address = "127.0.0.1:0", http = (), service = ${text(name)}),`,
  );
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
${services.join("\n")}
    (name = "internet", network = (allow = ["public", "private"])),
  ],
  sockets = [
${sockets.join("\n")}
  ],
);
${workers.map((worker, i) => `const w${i} :Workerd.Worker = ${workerOf(worker)};`).join("\n")}
`;
}

/** @param {Served} worker */
function workerOf({ name, modules, compatibilityDate = NEWEST, flags = [], env = {}, calls = [] }) {
  const files = Object.keys(modules).map((module, index) => {
    const kind = module.endsWith(".wasm") ? "wasm" : "esModule";
    return `    (name = ${text(module)}, ${kind} = embed ${text(`${name}/module-${index}`)}),`;
  });
  const bindings = [
    ...Object.entries(env).map(([key, value]) => `(name = ${text(key)}, text = ${text(value)})`),
    ...calls.map((other) => `(name = ${text(other)}, service = ${text(other)})`),
  ];
  return `(
  modules = [
${files.join("\n")}
  ],
  compatibilityDate = ${text(compatibilityDate)},
  compatibilityFlags = [${flags.map(text).join(", ")}],
  bindings = [${bindings.join(", ")}],
)`;
}
