/** A worker in raw workerd, from the built package as the module "leeward" and from fixtures as they are in tests/workerd/import. */
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { transform } from "esbuild";
import { type Child, startChild } from "../../dev/child.mjs";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const FIXTURES = fileURLToPath(new URL("import/", import.meta.url));

const require = createRequire(import.meta.url) as (name: string) => {
  default: string;
  compatibilityDate: string;
};

/** The workerd that is pinned, and one of early 2025, whose "cloudflare:workers" exports `env` and no `waitUntil`. */
const WORKERD = { now: require("workerd"), "2025-03": require("workerd-2025-03") } as const;

export interface IsolateOptions {
  workerd?: keyof typeof WORKERD;
  /** Files of tests/workerd/import, the main one first; each is a module under its name. */
  modules: readonly [string, ...string[]];
  /** More modules, by name. */
  sources?: Record<string, string>;
  compatibilityDate?: string;
  flags?: readonly string[];
  bindings?: Record<string, string>;
}

export interface Isolate {
  url: string;
  /** What it has written, `console.*` among it. */
  output(): string;
  /** GET, and the JSON that comes back. */
  get<T>(path?: string): Promise<T>;
  stop(): Promise<void>;
}

export async function startIsolate(options: IsolateOptions): Promise<Isolate> {
  const folder = mkdtempSync(join(tmpdir(), "leeward-isolate-"));
  const modules: string[] = [];
  const add = (name: string, kind: "esModule" | "wasm", content: string | Uint8Array) => {
    const file = `module-${modules.length}`;
    writeFileSync(join(folder, file), content);
    modules.push(`(name = ${capnp(name)}, ${kind} = embed ${capnp(file)})`);
  };
  for (const name of options.modules) add(name, "esModule", await compiled(name));
  for (const [name, source] of Object.entries(options.sources ?? {})) add(name, "esModule", source);
  add("leeward", "esModule", readFileSync(join(ROOT, "dist/index.js")));
  add("leeward.wasm", "wasm", readFileSync(join(ROOT, "dist/leeward.wasm")));

  const workerd = WORKERD[options.workerd ?? "now"];
  const bindings = Object.entries(options.bindings ?? {});
  writeFileSync(
    join(folder, "config.capnp"),
    `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = .main),
    (name = "network", network = (allow = ["public", "private", "local"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
const main :Workerd.Worker = (
  modules = [${modules.join(", ")}],
  compatibilityDate = ${capnp(options.compatibilityDate ?? workerd.compatibilityDate)},
  compatibilityFlags = [${(options.flags ?? []).map(capnp).join(", ")}],
  bindings = [${bindings.map(([name, value]) => `(name = ${capnp(name)}, text = ${capnp(value)})`).join(", ")}],
  globalOutbound = "network",
);
`,
  );
  const args = ["serve", "config.capnp", "--control-fd=1", "--verbose"];
  const child = await startChild(workerd.default, args, {
    cwd: folder,
    temporaryFolder: folder,
  });
  const url = `http://127.0.0.1:${await portOf(child)}`;
  return {
    url,
    output: child.output,
    async get<T>(path = "/") {
      const response = await fetch(new URL(path, url));
      const text = await response.text();
      if (!response.ok)
        throw new Error(`${path}: ${response.status} ${text}\n${child.output().slice(0, 2000)}`);
      return JSON.parse(text) as T;
    },
    // It drains on SIGTERM, and stays while a request hangs.
    stop: () => child.kill(),
  };
}

/** What it says on its control pipe when it listens; rejects with its output when the worker does not start. */
async function portOf(child: Child): Promise<number> {
  const line = await child.line(/"event":"listen"/);
  return (JSON.parse(line) as { port: number }).port;
}

async function compiled(name: string): Promise<string> {
  const source = readFileSync(join(FIXTURES, name), "utf8");
  // File by file: a bundle would evaluate "leeward" before the modules that are to watch it.
  const { code } = await transform(source, { loader: "ts", format: "esm", target: "es2022" });
  return code;
}

function capnp(text: string): string {
  return JSON.stringify(text);
}
