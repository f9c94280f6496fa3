/** What differs between the hosts. Each entry of the package provides its own. */
export interface Host {
  /** The compiled core. Called on first use; may throw. */
  module(): WebAssembly.Module;
  /** The environment of calls that name none. */
  env(): unknown;
  /**
   * Keeps work of the present request alive, for calls that bring no `ctx`. `undefined`: nothing does, so nothing is shared
   * between requests.
   */
  waitUntil(): ((promise: Promise<unknown>) => void) | undefined;
}

let host: Host | undefined;

/** Called by an entry while it loads: an assignment, nothing else happens. */
export function provide(provided: Host): void {
  host = provided;
}

export function currentHost(): Host {
  if (host === undefined) throw new Error("leeward was loaded without an entry point");
  return host;
}
