/** Options, taken apart for the core, which knows their names, ranges and messages. */
import type { Core } from "leeward-glue";
import type { CacheOptions, StandardSchemaV1 } from "./index.d.ts";
import type { Exports } from "./isolate.ts";
import { checkTags, MAX_TAGS } from "./names.ts";
import { isSchema } from "./schema.ts";
import { isTrap } from "./trap.ts";
import { checkRecord, isRecord, typeName } from "./type-name.ts";

/** What only the driver can use. */
const HOST_OPTIONS: Readonly<Record<string, string>> = {
  url: "string",
  token: "string",
  onEvent: "function",
};

/** Options that hold others. */
const GROUPS: readonly string[] = ["timeout", "budget", "l1"];

/**
 * Gives the core a cache's options, those that are named by variables as they stand in `env`. Throws what is wrong with them: an
 * Error, or a text of the core's.
 */
export function giveOptions(core: Core, options: CacheOptions, env: unknown): void {
  // All that are none share one warning.
  if (!isRecord(options)) throw new TypeError("options must be an object");
  const binding = bindingOf(options);
  give(core, "", binding === undefined ? options : { ...options, version: versionIn(env, binding) });
  core.checkOptions();
}

/** The variable that names the build, if the options say so. */
export function bindingOf(options: CacheOptions): string | undefined {
  const version: unknown = (options as CacheOptions | null)?.version;
  if (typeof version !== "object" || version === null) return undefined;
  const { binding } = version as { binding?: unknown };
  return typeof binding === "string" && binding !== "" ? binding : undefined;
}

/** The id of Cloudflare's version metadata, or a text. Never "": who asks for builds of their own must not share unawares. */
export function versionIn(env: unknown, binding: string): string {
  const bound: unknown = (env as Record<string, unknown> | undefined | null)?.[binding];
  const id: unknown = typeof bound === "object" && bound !== null ? (bound as { id?: unknown }).id : bound;
  if (typeof id === "string" && id !== "") return id;
  const name = JSON.stringify(binding.slice(0, 40));
  throw new TypeError(
    `option "version" names the binding ${name}, which must hold an object with an id, or a text, got ${nameOf(bound)}`,
  );
}

function nameOf(bound: unknown): string {
  if (bound === undefined) return "nothing";
  if (bound === "") return "an empty text";
  return typeof bound === "object" ? "one without an id" : typeName(bound);
}

function give(core: Core, prefix: string, options: object): void {
  for (const [name, value] of Object.entries(options)) {
    checkName(name);
    const option = prefix + name;
    if (value === undefined || (prefix === "" && typeof value === HOST_OPTIONS[name])) continue;
    if (typeof value === "number") core.optionNumber(option, value, String(value));
    else if (typeof value === "string") core.optionText(option, value);
    else if (typeof value === "boolean") core.optionBool(option, value);
    else if (GROUPS.includes(option) && isRecord(value) && !(option === "l1" && isEmpty(value)))
      give(core, `${option}.`, value);
    else core.optionOther(option, typeName(value));
  }
}

/** The core knows options in a group by names with a dot, which are nobody else's. */
function checkName(name: string): void {
  if (name.includes(".")) throw new TypeError(`unknown option ${JSON.stringify(name.slice(0, 40))}`);
}

function isEmpty(record: object): boolean {
  return Object.values(record).every((value) => value === undefined);
}

/** Which call options are given to. */
export type CallName = "Read" | "Many" | "Set" | "Mutate";

/** How fresh a read's value must be, as the core is told. */
const STRICT = 1;
const FORCED = 2;

/** The options of one call, checked. Durations in milliseconds; NaN, as for numbers: the cache's own. */
export interface CallOptions {
  readonly ttl: number;
  readonly swr: number;
  readonly staleIfError: number;
  readonly leaseWait: number;
  readonly earlyRefresh: number;
  readonly jitter: number;
  readonly negativeTtl: number;
  readonly timeout: number;
  readonly read: number;
  readonly soft: number;
  readonly hard: number;
  readonly tags: string[] | undefined;
  readonly schema: StandardSchemaV1 | undefined;
  readonly freshness: number;
  /** Whether values that this isolate holds will do. */
  readonly l1: boolean;
}

const DEFAULTS: CallOptions = {
  ttl: Number.NaN,
  swr: Number.NaN,
  staleIfError: Number.NaN,
  leaseWait: Number.NaN,
  earlyRefresh: Number.NaN,
  jitter: Number.NaN,
  negativeTtl: Number.NaN,
  timeout: Number.NaN,
  read: Number.NaN,
  soft: Number.NaN,
  hard: Number.NaN,
  tags: undefined,
  schema: undefined,
  freshness: 0,
  l1: true,
};

type Mutable = { -readonly [K in keyof CallOptions]: CallOptions[K] };

/** Throws a TypeError that names option, value and what is allowed. */
export function callOptions(exports: Exports, call: CallName, options: unknown): CallOptions {
  if (options === undefined) return DEFAULTS;
  checkRecord(options);
  const given: Mutable = { ...DEFAULTS };
  for (const [name, value] of Object.entries(options)) {
    checkName(name);
    if ((call === "Read" || call === "Many") && name === "timeout" && isRecord(value)) {
      for (const [wait, span] of Object.entries(value)) {
        if (span !== undefined) given[wait as "hard"] = callOption(exports, call, `timeout.${wait}`, span);
      }
    } else if (value !== undefined && !(call !== "Mutate" && takeOption(given, call, name, value))) {
      // The core knows no other names than those of durations and numbers: whatever it takes is one of `given`.
      given[name as "ttl"] = callOption(exports, call, name, value);
    }
  }
  return given;
}

/**
 * Whether a read with these options, which are in order, may have whatever one without any may: it names no tag but these, in this
 * order, and nothing that looks at the value. `false`: it is for the core to say.
 */
export function asksNoMore(exports: Exports, options: object, tags: readonly string[]): boolean {
  if (!isRecord(options)) return false;
  for (const name of Object.keys(options)) {
    const value = options[name];
    switch (name) {
      case "tags":
        if (!isSame(value, tags)) return false;
        break;
      case "l1":
        if (value !== true) return false;
        break;
      case "freshness":
        return false;
      case "signal":
        if (!isSignal(value) || value.aborted) return false;
        break;
      default:
        if (typeof value !== "number" && typeof value !== "string") return false;
        callOption(exports, "Read", name, value);
    }
  }
  return true;
}

function isSame(list: unknown, texts: readonly string[]): boolean {
  return (
    Array.isArray(list) && list.length === texts.length && texts.every((text, index) => list[index] === text)
  );
}

/** The options of a call for many keys, for each of them: its tags may be a function of the key. */
export function manyOptions(exports: Exports, options: unknown, keys: readonly string[]): CallOptions[] {
  const tags: unknown = (options as { tags?: unknown } | undefined | null)?.tags;
  if (typeof tags !== "function") {
    const given = callOptions(exports, "Many", options);
    return keys.map(() => given);
  }
  const given = callOptions(exports, "Many", { ...(options as object), tags: undefined });
  return keys.map((key) => ({
    ...given,
    tags: checkTags((tags as (key: string) => unknown)(key), MAX_TAGS),
  }));
}

/** Takes an option that is no duration or number; `false`: it is none of them, or a bad one, of which the core says what is wrong. */
function takeOption(given: Mutable, call: CallName, name: string, value: unknown): boolean {
  if (name === "tags") {
    given.tags = checkTags(value, MAX_TAGS);
    return true;
  }
  if (call !== "Read" && call !== "Many") return false;
  if (name === "l1" && typeof value === "boolean") {
    given.l1 = value;
    return true;
  }
  if (name === "schema" && isSchema(value)) {
    given.schema = value;
    return true;
  }
  if (name === "forceFresh" && typeof value === "boolean") {
    if (value) given.freshness = FORCED;
    return true;
  }
  if (name === "freshness" && value === "strict") {
    given.freshness = Math.max(given.freshness, STRICT);
    return true;
  }
  // Taken by `signalOf`, before there is a core.
  return name === "signal" && isSignal(value);
}

/** `timeout.hard` as it was written, for the call or the cache: checked or not, it holds where there is no core. */
export function hardOf(options: unknown, cache: CacheOptions | undefined): unknown {
  const own: unknown = (options as { timeout?: { hard?: unknown } } | undefined | null)?.timeout?.hard;
  if (own !== undefined) return own;
  try {
    return cache?.timeout?.hard;
  } catch {
    // Anything may have been given for options, also what throws when it is looked at.
    return undefined;
  }
}

/** The signal among the options, if it is one. */
export function signalOf(options: unknown): AbortSignal | undefined {
  const signal: unknown = (options as { signal?: unknown } | undefined | null)?.signal;
  return isSignal(signal) ? signal : undefined;
}

/** What the core last said of an option: most calls give the same again. */
interface Said {
  readonly value: number | string;
  readonly number: number;
}

const SAID: Readonly<Record<CallName, Map<string, Said>>> = {
  Read: new Map(),
  Many: new Map(),
  Set: new Map(),
  Mutate: new Map(),
};

/** One option that is a duration, in milliseconds, or a number. */
export function callOption(exports: Exports, call: CallName, name: string, value: unknown): number {
  const said = SAID[call].get(name);
  if (said !== undefined && said.value === value) return said.number;
  const number = numberIn(exports, call, name, value);
  // It takes a handful of names, and short texts alone. That it has failed is not remembered.
  if ((typeof value === "number" || typeof value === "string") && !Number.isNaN(number)) {
    SAID[call].set(name, { value, number });
  }
  return number;
}

function numberIn({ Core, Call }: Exports, call: CallName, name: string, value: unknown): number {
  const kind = Call[call];
  try {
    if (typeof value === "number") return Core.callOptionNumber(kind, name, value, String(value));
    if (typeof value === "string") return Core.callOptionText(kind, name, value);
    return Core.callOptionOther(kind, name, typeof value === "boolean" ? String(value) : typeName(value));
  } catch (message) {
    // A core that fails over an option leaves it as if it were not given.
    if (isTrap(message)) return Number.NaN;
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
