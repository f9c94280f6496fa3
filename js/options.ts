/** Options, taken apart for the core, which knows their names, ranges and messages. */
import type { Core } from "leeward-glue";
import type { CacheOptions } from "./index.d.ts";
import type { Exports } from "./isolate.ts";

/** What only the driver can use. */
const HOST_OPTIONS: Readonly<Record<string, string>> = {
  url: "string",
  token: "string",
  onEvent: "function",
};

/** Gives the core a cache's options. Throws what is wrong with them: an Error, or a text of the core's. */
export function giveOptions(core: Core, options: CacheOptions): void {
  if (typeof options !== "object" || options === null) throw new TypeError("options must be an object");
  give(core, "", options);
}

function give(core: Core, prefix: string, options: object): void {
  for (const [name, value] of Object.entries(options)) {
    const option = prefix + name;
    if (value === undefined || (prefix === "" && typeof value === HOST_OPTIONS[name])) continue;
    if (typeof value === "number") core.optionNumber(option, value, String(value));
    else if (typeof value === "string") core.optionText(option, value);
    else if (typeof value === "boolean") core.optionBool(option, value);
    else if (option === "timeout" && typeof value === "object" && value !== null)
      give(core, "timeout.", value);
    else core.optionOther(option, typeName(value));
  }
}

/** The options of one read or `set`, checked. */
export interface CallOptions {
  /** NaN: the cache's own. */
  readonly ttl: number;
  readonly signal: AbortSignal | undefined;
}

const DEFAULTS: CallOptions = { ttl: Number.NaN, signal: undefined };

/** Throws a TypeError that names option, value and what is allowed. */
export function callOptions(exports: Exports, options: unknown): CallOptions {
  if (options === undefined) return DEFAULTS;
  if (typeof options !== "object" || options === null) throw new TypeError("options must be an object");
  let ttl = Number.NaN;
  let signal: AbortSignal | undefined;
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined) continue;
    if (name === "signal" && isSignal(value)) signal = value;
    else ttl = callOption(exports, name, value);
  }
  return { ttl, signal };
}

/** The signal among the options, if it is one. */
export function signalOf(options: unknown): AbortSignal | undefined {
  const signal: unknown = (options as { signal?: unknown } | undefined | null)?.signal;
  return isSignal(signal) ? signal : undefined;
}

/** One option that is a duration, in milliseconds. */
export function callOption({ Core }: Exports, name: string, value: unknown): number {
  try {
    if (typeof value === "number") return Core.readOptionNumber(name, value, String(value));
    if (typeof value === "string") return Core.readOptionText(name, value);
    return Core.readOptionOther(name, typeof value === "boolean" ? String(value) : typeName(value));
  } catch (message) {
    throw typeof message === "string" ? new TypeError(message) : message;
  }
}

function isSignal(value: unknown): value is AbortSignal {
  return (
    typeof value === "object" &&
    value !== null &&
    typeof (value as AbortSignal).aborted === "boolean" &&
    typeof (value as AbortSignal).addEventListener === "function"
  );
}

export function typeName(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "an array" : typeof value;
}
