/** What src/core/redis/drop.lua does; the reasons are there. */
import source from "../../src/core/redis/drop.lua";
import { milliseconds } from "./command.ts";
import { digits, number } from "./lua.ts";
import { type Mark, marksIn } from "./marks.ts";
import { Failure } from "./reply.ts";
import { fieldsOf, type Script, textOf } from "./script.ts";

/** How many mutates of one key may run at a time. */
const MAX_MARKS = 64;

export const drop: Script = {
  name: "drop",
  source,
  written: "9515da7d261be8203e34b898d2a9a7cb17675866",
  run(redis, [key = ""], [add = "", life, remove = ""]) {
    const now = milliseconds(redis.now);
    const held = textOf(redis.pcall(["HGET", key, "m"]));
    const marks: Mark[] = marksIn(held, now).filter(({ token }) => token !== add && token !== remove);
    let added = 1;
    if (add !== "" && marks.length < MAX_MARKS) marks.push({ token: add, till: now + number(life) });
    else if (add !== "") added = 0;
    if (marks.length === 0) {
      redis.call(["DEL", key]);
      return added;
    }
    if (held === null) {
      redis.call(["DEL", key]);
    } else {
      redis.call(["HDEL", key, "x"]);
      for (const field of fieldsOf(redis.call(["HKEYS", key]))) {
        if (field !== null && field !== "m") redis.call(["HDEL", key, field]);
      }
    }
    const text = marks.map(({ token, till }) => `${token} ${digits(till)}`).join(" ");
    if (text !== held && redis.pcall(["HSET", key, "m", text]) instanceof Failure) return 0;
    redis.call(["PEXPIREAT", key, digits(Math.max(0, ...marks.map(({ till }) => till)))]);
    return added;
  },
};
