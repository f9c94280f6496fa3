/** The plain commands: how many words they take, what may refuse them, and what they do to the store. */
import { Failure, NO_INTEGER, OK, type Reply, Status, WRONG_TYPE, wrongArity } from "./reply.ts";
import { type Store, WrongType } from "./store.ts";

/** What a command may do. `grows`: it writes, and may need memory. `scripts`: it is not for scripts themselves. */
export type Effect = "reads" | "writes" | "grows" | "scripts";

export interface Command {
  /** As Redis names it in errors. */
  readonly name: string;
  readonly effect: Effect;
  /** Words with the name (for a subcommand: with both names); negative: at least so many. */
  readonly arity: number;
  /** What it does; not there for those that are the server's own, not the store's. */
  readonly run?: (store: Store, args: readonly string[], now: Now) => Reply;
}

/** Microseconds of Unix time. */
export interface Now {
  readonly seconds: number;
  readonly microseconds: number;
}

/** The longest number that an expiry may be. */
const MAX_INTEGER = 2n ** 63n - 1n;

const SHOWN = 128;

const COMMANDS: readonly Command[] = [
  { name: "dbsize", effect: "reads", arity: 1, run: (store) => store.keys.length },
  { name: "del", effect: "writes", arity: -2, run: (store, keys) => count(keys, (key) => store.remove(key)) },
  { name: "eval", effect: "scripts", arity: -3 },
  { name: "evalsha", effect: "scripts", arity: -3 },
  { name: "exists", effect: "reads", arity: -2, run: (store, keys) => count(keys, (key) => store.has(key)) },
  { name: "flushall", effect: "writes", arity: -1, run: flushAll },
  { name: "get", effect: "reads", arity: 2, run: (store, [key = ""]) => store.text(key) ?? null },
  { name: "hdel", effect: "writes", arity: -3, run: hdel },
  {
    name: "hget",
    effect: "reads",
    arity: 3,
    run: (store, [key = "", field = ""]) => store.hash(key)?.get(field) ?? null,
  },
  {
    name: "hgetall",
    effect: "reads",
    arity: 2,
    run: (store, [key = ""]) => [...(store.hash(key) ?? [])].flat(),
  },
  {
    name: "hkeys",
    effect: "reads",
    arity: 2,
    run: (store, [key = ""]) => [...(store.hash(key)?.keys() ?? [])],
  },
  { name: "hmget", effect: "reads", arity: -3, run: hmget },
  { name: "hset", effect: "grows", arity: -4, run: hset },
  {
    name: "pexpire",
    effect: "writes",
    arity: -3,
    run: (store, args, now) => expire(store, "pexpire", milliseconds(now), args),
  },
  {
    name: "pexpireat",
    effect: "writes",
    arity: -3,
    run: (store, args) => expire(store, "pexpireat", 0, args),
  },
  { name: "ping", effect: "reads", arity: -1, run: ping },
  { name: "pttl", effect: "reads", arity: 2, run: (store, [key = ""]) => store.life(key) },
  { name: "script|flush", effect: "scripts", arity: -2 },
  { name: "script|load", effect: "scripts", arity: 3 },
  { name: "set", effect: "grows", arity: -3, run: set },
  {
    name: "time",
    effect: "reads",
    arity: 1,
    run: (_, __, { seconds, microseconds }) => [String(seconds), String(microseconds)],
  },
];

const BY_NAME: ReadonlyMap<string, Command> = new Map(COMMANDS.map((command) => [command.name, command]));

/** All that there are, in words. */
export const NAMES = COMMANDS.map(({ name }) => name.toUpperCase().replace("|", " ")).join(", ");

/** The command that some words are, or why they are none. */
export function find(words: readonly string[]): Command | Failure {
  const [name = "", next] = words;
  const plain = name.toLowerCase();
  if (plain === "script" && next === undefined) return wrongArity("script");
  const command = BY_NAME.get(plain === "script" ? `script|${next?.toLowerCase()}` : plain);
  if (command) return command;
  if (plain === "script") return new Failure(`ERR unknown subcommand '${next}'. Try SCRIPT HELP.`);
  return unknown(words);
}

/** Redis repeats the first 128 bytes or so of what it was given. */
function unknown([name = "", ...args]: readonly string[]): Failure {
  let shown = "";
  for (const arg of args) {
    if (shown.length >= SHOWN) break;
    shown += `'${arg.slice(0, SHOWN - shown.length)}' `;
  }
  return new Failure(`ERR unknown command '${name.slice(0, SHOWN)}', with args beginning with: ${shown}`);
}

export function takes({ arity }: Command, words: number): boolean {
  return arity < 0 ? words >= -arity : words === arity;
}

/** Does what a command of the store says. */
export function apply(command: Command, store: Store, args: readonly string[], now: Now): Reply {
  try {
    return command.run?.(store, args, now) ?? null;
  } catch (error) {
    if (error instanceof WrongType) return WRONG_TYPE;
    throw error;
  }
}

export function milliseconds({ seconds, microseconds }: Now): number {
  return seconds * 1000 + Math.floor(microseconds / 1000);
}

/** An integer as Redis reads it: one way to write each number. */
export function integer(text: string): bigint | undefined {
  if (!/^(?:0|-?[1-9][0-9]*)$/.test(text)) return undefined;
  const value = BigInt(text);
  return value <= MAX_INTEGER && value >= -MAX_INTEGER - 1n ? value : undefined;
}

export function isSyncOrAsync(word: string | undefined): boolean {
  return word === undefined || /^a?sync$/i.test(word);
}

function count(keys: readonly string[], counts: (key: string) => boolean): number {
  return keys.filter(counts).length;
}

function hmget(store: Store, [key = "", ...fields]: readonly string[]): Reply {
  const hash = store.hash(key);
  return fields.map((field) => hash?.get(field) ?? null);
}

function hset(store: Store, [key = "", ...pairs]: readonly string[]): Reply {
  if (pairs.length % 2 !== 0) return wrongArity("hset");
  const hash = store.hashToFill(key);
  const before = hash.size;
  for (let at = 0; at < pairs.length; at += 2) hash.set(pairs[at] ?? "", pairs[at + 1] ?? "");
  return hash.size - before;
}

function hdel(store: Store, [key = "", ...fields]: readonly string[]): Reply {
  const hash = store.hash(key);
  const removed = count(fields, (field) => hash?.delete(field) ?? false);
  if (hash?.size === 0) store.remove(key);
  return removed;
}

function set(store: Store, [key = "", text = "", ...options]: readonly string[]): Reply {
  if (options.length > 0) return new Failure("ERR syntax error");
  store.setText(key, text);
  return OK;
}

function flushAll(store: Store, [how, ...more]: readonly string[]): Reply {
  if (more.length > 0 || !isSyncOrAsync(how)) return new Failure("ERR syntax error");
  store.clear();
  return OK;
}

function ping(_: Store, [text, ...more]: readonly string[]): Reply {
  return more.length > 0 ? wrongArity("ping") : (text ?? new Status("PONG"));
}

/** Redis also knows the options NX, XX, GT and LT; Leeward does not use them. */
function expire(
  store: Store,
  name: string,
  base: number,
  [key = "", ms = "", option]: readonly string[],
): Reply {
  if (option !== undefined) return new Failure(`ERR Unsupported option ${option}`);
  const given = integer(ms);
  if (given === undefined) return NO_INTEGER;
  const at = given + BigInt(base);
  if (at > MAX_INTEGER) return new Failure(`ERR invalid expire time in '${name}' command`);
  return Number(store.expireAt(key, Number(at)));
}
