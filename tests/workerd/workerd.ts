/** A `workerd` with workers in it, each an isolate with a socket of its own. */
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { transformSync } from "esbuild";
import { startChild } from "../../dev/child.mjs";
import { visitorOf } from "./visitor.ts";

const workerd = createRequire(import.meta.url)("workerd") as { default: string; compatibilityDate: string };
export const NEWEST = workerd.compatibilityDate;

/** Read once: a build that is made meanwhile must not mix with this one. */
const file = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url));
const PACKAGE = { "leeward.js": file("dist/index.js"), "leeward.wasm": file("dist/leeward.wasm") };
/** The package with a core that can be told to fail. */
const TRAPPING = "target/trapping/dist";
export const TRAPPING_PACKAGE = {
  "leeward.js": file(`${TRAPPING}/index.js`),
  "leeward.wasm": file(`${TRAPPING}/leeward.wasm`),
};

/** Around every handler: marks in the log, which comes by another way than the answers, and later. */
const MAIN = `import handler from "./worker.js";
export default {
  fetch(request, env, ctx) {
    const { pathname, search } = new URL(request.url);
    if (pathname !== "/mark") return handler.fetch(request, env, ctx);
    console.error("mark" + search);
    return new Response("marked");
  },
};
`;

export interface Worker {
  name: string;
  compatibilityDate?: string;
  flags?: readonly string[];
  env?: Record<string, string>;
  /** Names of other workers, by which it reaches them. */
  calls?: readonly string[];
  /** The handler's file beside this one. Default the worker that does what a `Visit` says. */
  handler?: string;
  /** Files of the package, in place of those that are published. */
  files?: Partial<Record<keyof typeof PACKAGE, Uint8Array>>;
}

export interface Workerd {
  /** Where a worker listens. */
  url(name: string): string;
  /** What workerd has written so far, all of it that belongs to requests already answered. */
  log(): Promise<string>;
  stop(): Promise<void>;
}

/** @param binary the runtime; default the newest */
export async function startWorkerd(workers: readonly Worker[], binary = workerd.default): Promise<Workerd> {
  const folder = mkdtempSync(join(tmpdir(), "leeward-isolate-"));
  for (const { name, handler = "worker.ts", files } of workers) {
    const source = readFileSync(new URL(handler, import.meta.url), "utf8");
    const code = transformSync(source, { loader: "ts", format: "esm", target: "es2022" }).code;
    mkdirSync(join(folder, name));
    for (const [part, content] of Object.entries({
      ...PACKAGE,
      ...files,
      "main.js": MAIN,
      "worker.js": code,
    })) {
      writeFileSync(join(folder, name, part), content);
    }
  }
  const config = join(folder, "config.capnp");
  writeFileSync(config, configOf(workers));
  const args = ["serve", config, "--control-fd=1", "--verbose"];
  const child = await startChild(binary, args, { temporaryFolder: folder, keptLines: 50_000 });
  const urls = new Map<string, string>();
  for (const { name } of workers) {
    const line = await child.line(new RegExp(`"event":\\s*"listen".*"socket":\\s*"${name}"`));
    const { port } = JSON.parse(line.slice(line.indexOf("{"))) as { port: number };
    urls.set(name, `http://127.0.0.1:${port}`);
  }
  const url = (name: string) => urls.get(name) ?? "";
  let marks = 0;
  return {
    url,
    async log() {
      marks += 1;
      await visitorOf(url(workers[0]?.name ?? "")).send(`/mark?${marks}.`, {}).answer;
      await child.line(new RegExp(`mark\\?${marks}\\.`));
      return child.output().replaceAll(/^.*mark\?.*$\n?/gm, "");
    },
    // workerd drains on SIGTERM, and stays while a request hangs.
    stop: () => child.kill(),
  };
}

const text = (value: string) => JSON.stringify(value);

function configOf(workers: readonly Worker[]): string {
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

function workerOf({ name, compatibilityDate = NEWEST, flags = [], env = {}, calls = [] }: Worker): string {
  const bindings = [
    ...Object.entries(env).map(([key, value]) => `(name = ${text(key)}, text = ${text(value)})`),
    ...calls.map((other) => `(name = ${text(other)}, service = ${text(other)})`),
  ];
  return `(
  modules = [
    (name = "main.js", esModule = embed ${text(`${name}/main.js`)}),
    (name = "worker.js", esModule = embed ${text(`${name}/worker.js`)}),
    (name = "leeward", esModule = embed ${text(`${name}/leeward.js`)}),
    (name = "leeward.wasm", wasm = embed ${text(`${name}/leeward.wasm`)}),
  ],
  compatibilityDate = ${text(compatibilityDate)},
  compatibilityFlags = [${flags.map(text).join(", ")}],
  bindings = [${bindings.join(", ")}],
)`;
}
