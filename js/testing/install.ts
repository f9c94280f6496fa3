/**
 * The global `fetch`, as far as Redises in memory have taken it over: each lays a layer over what is there, which takes
 * the requests for its own address and passes on all others. Layers are taken off in any order: one that lies under
 * others only passes on, until those are gone.
 */

export type Fetch = typeof globalThis.fetch;

interface Layer {
  readonly under: Fetch;
  removed: boolean;
}

const layers = new WeakMap<Fetch, Layer>();

/** @returns what undoes it */
export function install(origin: string, own: Fetch): () => void {
  const layer: Layer = { under: globalThis.fetch, removed: false };
  const fetch: Fetch = (input, init) => {
    const next = !layer.removed && originOf(input) === origin ? own : layer.under;
    // Not as a method of the layer: the runtime's own insists on its `this`.
    return next(input, init);
  };
  layers.set(fetch, layer);
  globalThis.fetch = fetch;
  return () => {
    layer.removed = true;
    for (let top = layers.get(globalThis.fetch); top?.removed; top = layers.get(globalThis.fetch)) {
      globalThis.fetch = top.under;
    }
  };
}

/** "" for what has none. */
export function originOf(input: Parameters<Fetch>[0]): string {
  const url = typeof input === "object" && "url" in input ? input.url : String(input);
  return URL.canParse(url) ? new URL(url).origin : "";
}
