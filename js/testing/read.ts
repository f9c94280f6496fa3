/** What src/core/redis/read.lua does; the reasons are there. */
import source from "../../src/core/redis/read.lua";
import { milliseconds } from "./command.ts";
import { digits, number, numberOr0, words } from "./lua.ts";
import { isMarked } from "./marks.ts";
import { Failure, type Reply } from "./reply.ts";
import { fieldsOf, type Script, type Scripting, stamp, textOf } from "./script.ts";

const MARKER = "lw2";
/** What is no stamp, or no header, of ours is none. */
const STAMP = /^[0-9A-Za-z.]+@[0-9]+\.[0-9]+$/;
const MAX_STAMP = 128;
const MAX_HEADER = 262_144;
const MAX_TAGS = 128;

type Fields = readonly (string | null)[];

/** How an entry stands. */
interface Judgement {
  readonly valid: boolean;
  readonly fresh: boolean;
  /** It carries tags that the reader has not named. */
  readonly unnamed: boolean;
}

export const read: Script = {
  name: "read",
  source,
  written: "de81735e50e2b875eb669a2bb14c02a20a575060",
  run(redis, keys, args) {
    const [nonce = "", build = "", keep = "", , , , token = "", leastLife, want] = args;
    const [key = ""] = keys;
    const now = milliseconds(redis.now);
    if (want === "release") {
      const lease = textOf(redis.call(["HGET", key, `l:${build}`], "redis.call('HGET', KEYS[1], 'l:'"));
      if (lease !== null && words(lease)[0] === token) redis.call(["HSET", key, `l:${build}`, "-"]);
      return [MARKER, now, "miss", "", 0];
    }
    if (want === "renew") end(redis, key);
    const hashes = look(redis, keys, build);
    const marked = hashes.some((fields) => isMarked(fields[2], now));
    const header = hashes[0]?.[3] ?? null;
    const parts = header !== null && header.length <= MAX_HEADER ? words(header) : [];
    const { valid, fresh, unnamed } = judge(keys, args, hashes, parts, marked, now);
    if (valid && unnamed) return [MARKER, now, "tags", "", 0, header];

    const body = () => redis.call(["HGET", key, `b:${build}`]);
    const age = Math.abs(now - numberOr0(parts[3]));
    const within = age < numberOr0(parts[4]) + Math.max(numberOr0(parts[5]), numberOr0(parts[6]));
    let state = marked ? "marked" : "miss";
    if (valid && fresh && (want === "fresh" || want === "stale"))
      return [MARKER, now, "fresh", "", 0, header, body()];
    if (valid && within && want === "stale") state = "stale";

    const stamps = makeStamps(redis, keys, hashes, stamp(nonce, redis.now), keep);
    let lease = 0;
    const released = state === "miss" && hashes[0]?.[4] === "-";
    if (token !== "" && state !== "marked" && stamps[0] !== "-" && !released) {
      const life = Math.max(number(leastLife), 2 * numberOr0(parts[8]));
      const [, holder, till] = /^([^ \t\n\v\f\r]+) ([0-9]+)$/.exec(hashes[0]?.[4] ?? "") ?? [];
      const left = numberOr0(till) - now;
      if (holder !== undefined && holder !== token && left > 0 && left <= life) lease = left;
      else redis.pcall(["HSET", key, `l:${build}`, `${token} ${digits(now + life)}`]);
    }
    const reply: Reply[] = [MARKER, now, state, stamps.join(" "), lease];
    return state === "stale" ? [...reply, header, body()] : reply;
  },
};

/** The entry ends first, as by drop. */
function end(redis: Scripting, key: string): void {
  for (const field of fieldsOf(redis.call(["HKEYS", key], "redis.call('HKEYS', KEYS[1])"))) {
    if (field !== null && field !== "m") redis.call(["HDEL", key, field]);
  }
}

/** Of the entry's hash: generation, soft half, marks, header, lease. Of the others: version, soft half, marks. */
function look(redis: Scripting, keys: readonly string[], build: string): Fields[] {
  return keys.map((key, index) => {
    const own = ["HMGET", key, "g", "x", "m", `h:${build}`, `l:${build}`];
    const [id, half, ...rest] =
      index === 0
        ? fieldsOf(redis.call(own, "redis.call('HMGET', key, 'g'"))
        : fieldsOf(redis.call(["HMGET", key, "v", "x", "m"], "redis.call('HMGET', key, 'v'"));
    return [ours(id), ours(half), ...rest];
  });
}

function ours(id: string | null | undefined): string | null {
  return typeof id === "string" && id.length <= MAX_STAMP && STAMP.test(id) ? id : null;
}

/** Whether the entry is valid, and fresh; whether it carries tags that were not named. */
function judge(
  keys: readonly string[],
  args: readonly string[],
  hashes: readonly Fields[],
  parts: readonly string[],
  marked: boolean,
  now: number,
): Judgement {
  const [namespaces, required, prefix = ""] = [number(args[3]), number(args[4]), args[5]];
  const place = new Map(keys.map((key, index) => [key, index]));
  place.delete(keys[0] ?? "");
  const carried = (parts.length - 10) / 3 - namespaces;
  const whole = carried >= 0 && carried <= MAX_TAGS && Number.isInteger(carried);
  const named = parts[0] === "2" && parts[1] === hashes[0]?.[0] && number(parts[9]) === namespaces;
  let valid = whole && named && !marked;
  let fresh = parts[2] === hashes[0]?.[1] && Math.abs(now - numberOr0(parts[3])) < numberOr0(parts[4]);
  let unnamed = false;
  if (!valid) return { valid, fresh, unnamed };
  let seen = 0;
  for (let part = 10; part < parts.length; part += 3) {
    const nth = (part - 10) / 3;
    const at = nth < namespaces ? 1 + nth : place.get(prefix + parts[part]);
    if (at === undefined) {
      unnamed = true;
      continue;
    }
    valid &&= parts[part + 1] === hashes[at]?.[0];
    fresh &&= parts[part + 2] === hashes[at]?.[1];
    if (at > namespaces && at <= namespaces + required) seen += 1;
  }
  valid &&= seen === required;
  return { valid, fresh, unnamed };
}

/** What is missing is made, so that a fill has something to name, and kept until it comes. */
function makeStamps(
  redis: Scripting,
  keys: readonly string[],
  hashes: readonly Fields[],
  fresh: string,
  keep: string,
): string[] {
  return keys.flatMap((key, index) => {
    let [id, half] = hashes[index] ?? [];
    let made: Reply = null;
    if (typeof id !== "string") {
      made = redis.pcall(["HSET", key, index === 0 ? "g" : "v", fresh, "x", fresh]);
      [id, half] = [fresh, fresh];
    } else if (typeof half !== "string") {
      made = redis.pcall(["HSET", key, "x", fresh]);
      half = fresh;
    }
    if (made instanceof Failure) return ["-", half ?? fresh];
    if (Number(redis.call(["PTTL", key])) < number(keep)) redis.call(["PEXPIRE", key, keep]);
    return [id, half ?? fresh];
  });
}
