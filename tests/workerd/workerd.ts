/** A `workerd` with workers in it that have the built package, each an isolate with a socket of its own. */
import { readFileSync } from "node:fs";
import { transformSync } from "esbuild";
import { type Served, serve } from "./serve.mjs";
import { visitorOf } from "./visitor.ts";

export { NEWEST } from "./serve.mjs";

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

export interface Worker extends Omit<Served, "modules"> {
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
export async function startWorkerd(workers: readonly Worker[], binary?: string): Promise<Workerd> {
  const served = workers.map(({ handler = "worker.ts", files, ...worker }) => {
    const source = readFileSync(new URL(handler, import.meta.url), "utf8");
    const code = transformSync(source, { loader: "ts", format: "esm", target: "es2022" }).code;
    const { "leeward.js": leeward, "leeward.wasm": wasm } = { ...PACKAGE, ...files };
    const modules = { "main.js": MAIN, "worker.js": code, leeward, "leeward.wasm": wasm };
    return { ...worker, modules };
  });
  const { url, child } = await serve(served, binary);
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
