/** What the worker is given. */
import type { ExecutionContextLike } from "leeward";
import type { Plan } from "./burst.js";

export interface Env {
  UPSTREAM_URL?: string;
  // The cache finds these by itself; without them every read is a bypass.
  UPSTASH_REDIS_REST_URL?: string;
  UPSTASH_REDIS_REST_TOKEN?: string;
  /** "1": the page may break Redis and send bursts. Set by `npm start` alone, and not to be deployed. */
  DEMO?: string;
  /** The control port of the development gateway; with DEMO. */
  GATEWAY_CONTROL_URL?: string;
}

/** An entry point of this worker, as the worker itself calls it. */
export interface Entry {
  fetch(request: Request): Promise<Response>;
}

export interface Context extends ExecutionContextLike {
  /** This worker's own entry points: each call is a request of its own, with a context of its own. */
  readonly exports: { visitor(options: { props: Plan }): Entry };
  /** What the caller of the entry point gave it; nobody outside can. */
  readonly props: unknown;
}
