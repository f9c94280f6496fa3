/** The entry for workerd: Cloudflare Workers, `wrangler dev`, miniflare. */
// As a namespace: a name that a build of workerd lacks (neither `env` nor `waitUntil` in 2024, `env` alone in early 2025) is
// `undefined` so, where a named import would keep the worker from starting.
import * as workers from "cloudflare:workers";
import { provide } from "./host.ts";
import module from "./leeward.wasm";

interface Workers {
  env?: unknown;
  waitUntil?: (promise: Promise<unknown>) => void;
}

provide({
  module: () => module,
  env: () => (workers as Workers).env,
  waitUntil: () => (workers as Workers).waitUntil,
});

export * from "./api.ts";
