/** What src/core/redis/fill.lua does; the reasons are there. */
import source from "../../src/core/redis/fill.lua";
import { milliseconds } from "./command.ts";
import { digits, number, numberOr0, words } from "./lua.ts";
import { isMarked } from "./marks.ts";
import { Status } from "./reply.ts";
import { fieldsOf, type Script, type Scripting, stamp, textOf } from "./script.ts";

/** How many builds' entries one key holds. */
const MAX_BUILDS = 3;

export const fill: Script = {
  name: "fill",
  source,
  written: "d17ec5a5ebbfa847d4118b9fab5de9239865f0de",
  run(redis, keys, args) {
    const [build = "", stampsText, namespaces = "", tags = "", ttl = "", swr = "", error = "", about = ""] =
      args;
    const [body = "", nonce = ""] = args.slice(8);
    const [key = ""] = keys;
    const now = milliseconds(redis.now);
    const stamps = words(stampsText);
    const verdict = judge(redis, keys, stamps, now);

    if (nonce !== "") {
      const fields = redis.call(["HKEYS", key], "redis.call('HKEYS', KEYS[1])");
      for (const field of fieldsOf(fields)) {
        if (field !== null && field !== "m" && (field !== "x" || verdict !== "OK"))
          redis.call(["HDEL", key, field]);
      }
    }
    if (verdict !== "OK") return verdict;
    makeRoom(redis, key, build);

    const generation = nonce === "" ? (stamps[0] ?? "") : stamp(nonce, redis.now);
    const header = ["2", generation, stamps[1], digits(now), ttl, swr, error, about, namespaces];
    for (const [index, other] of keys.entries()) {
      if (index === 0) continue;
      const name = index <= number(namespaces) ? "-" : other.slice(tags.length);
      header.push(name, stamps[2 * index], stamps[2 * index + 1]);
    }
    const stored = ["g", generation, `h:${build}`, header.join(" "), `b:${build}`, body];
    redis.call(["HSET", key, ...stored], "redis.call('HSET', KEYS[1], 'g'");
    redis.call(["HDEL", key, `l:${build}`]);

    const life = number(ttl) + Math.max(number(swr), number(error));
    for (const each of keys) {
      if (Number(redis.call(["PTTL", each])) < life) redis.call(["PEXPIRE", each, digits(life)]);
    }
    return nonce === "" ? new Status("OK") : generation;
  },
};

function judge(redis: Scripting, keys: readonly string[], stamps: readonly string[], now: number): string {
  let verdict = "OK";
  for (const [index, key] of keys.entries()) {
    const [id, marks] = fieldsOf(redis.pcall(["HMGET", key, index === 0 ? "g" : "v", "m"]));
    if (isMarked(marks, now)) verdict = "marked";
    // Nothing at all equals a stamp that is not there, in Lua: an error has no fields, a hash without the field has `false`.
    if (id !== stamps[2 * index]) return "overtaken";
  }
  return verdict;
}

/** The builds that were filled longest ago go. */
function makeRoom(redis: Scripting, key: string, build: string): void {
  const others: { name: string; stored: number }[] = [];
  const fields = redis.call(["HKEYS", key], "redis.call('HKEYS', KEYS[1])) do\n  if string.sub");
  for (const field of fieldsOf(fields)) {
    if (!field?.startsWith("h:") || field === `h:${build}`) continue;
    const header = textOf(redis.call(["HGET", key, field])) ?? "";
    const [, stored] = /^[0-9]+ [^ \t\n\v\f\r]+ [^ \t\n\v\f\r]+ ([0-9]+) /.exec(header) ?? [];
    others.push({ name: field.slice(2), stored: numberOr0(stored) });
  }
  others.sort((a, b) => b.stored - a.stored);
  for (const { name } of others.slice(MAX_BUILDS - 1)) {
    redis.call(["HDEL", key, `h:${name}`, `b:${name}`, `l:${name}`]);
  }
}
