/** The entry for node and everything else: the module is read from the file beside this one, on first use. */
import { provide } from "./host.ts";

interface NodeLike {
  env?: unknown;
  getBuiltinModule?(name: string): { readFileSync(path: URL): Uint8Array<ArrayBuffer> } | undefined;
}

const node = (): NodeLike | undefined => (globalThis as { process?: NodeLike }).process;

const REMEDY = "a bundler must leave the package external (Next.js: serverExternalPackages)";

provide({
  module() {
    // Not imported: bundlers for browsers and edge runtimes would stumble over "node:fs" before anything runs.
    const fs = node()?.getBuiltinModule?.("node:fs");
    if (fs === undefined) {
      throw new Error(
        'the wasm file cannot be read here: on Workers resolve "leeward" with the condition "workerd", on node use 20.16 or ' +
          `later; ${REMEDY}`,
      );
    }
    let bytes: Uint8Array<ArrayBuffer>;
    try {
      bytes = fs.readFileSync(new URL("./leeward.wasm", import.meta.url));
    } catch (error) {
      const code = (error as { code?: unknown }).code ?? "no such place";
      throw new Error(
        `leeward.wasm cannot be read (${code}), it belongs beside the package's node.js: install the package again; ${REMEDY}`,
        { cause: error },
      );
    }
    return new WebAssembly.Module(bytes);
  },
  env: () => node()?.env,
  // A process outlives its requests, and knows no request contexts: there is nothing to keep alive.
  waitUntil: () => () => {},
});

export * from "./api.ts";
