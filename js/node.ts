/** The entry for node and everything else: the module is read from the file beside this one, on first use. */
import { provide } from "./host.ts";

interface NodeLike {
  env?: unknown;
  getBuiltinModule?(name: string): { readFileSync(path: URL): Uint8Array<ArrayBuffer> } | undefined;
}

const node = (): NodeLike | undefined => (globalThis as { process?: NodeLike }).process;

provide({
  module() {
    // Not imported: bundlers for browsers and edge runtimes would stumble over "node:fs" before anything runs.
    const fs = node()?.getBuiltinModule?.("node:fs");
    if (fs === undefined) {
      throw new Error(
        'the wasm file cannot be read here: on Workers resolve "leeward" with the condition "workerd", on node use 20.16 or later; ' +
          "a bundler must leave the package external (Next.js: serverExternalPackages)",
      );
    }
    return new WebAssembly.Module(fs.readFileSync(new URL("./leeward.wasm", import.meta.url)));
  },
  env: () => node()?.env,
  // A process outlives its requests, and knows no request contexts: there is nothing to keep alive.
  waitUntil: () => () => {},
});

export * from "./api.ts";
