/**
 * A real Redis behind the gateway, and the Redis in memory: the same commands to both over HTTP, and the same replies
 * and contents from both.
 *
 * Each command goes to the real one between two TIMEs. When these tell the same millisecond, the one in memory, set to
 * it, must agree to the letter, but for the microseconds in stamps and the order of fields. When they do not, it must
 * agree at one or the other. A script of a real server can see both: then it agrees with neither, and takes over all.
 * There must be few of these.
 */
import { createTestRedis, type TestReply } from "leeward/testing";
import { RedisConnection } from "../../dev/connection.mjs";
import { type PlainReply, plainReply } from "../../dev/resp.mjs";
import { type Servers, startServers } from "../gateway/client.ts";
import { KEYS, SCRIPTS, SLOTS, type Step } from "./steps.ts";

/** How often the contents are asked for until they were given within one millisecond. */
const TRIES = 1000;

type Reply = { result: TestReply } | { error: string };

/** What a key holds, fields in order, without microseconds; and when it expires (ms, -1: never). */
interface Held {
  readonly value: TestReply;
  readonly raw: PlainReply;
  readonly expires: number;
}

type Contents = ReadonlyMap<string, Held>;

export class Pair {
  readonly seen = new Map<string, number>();
  compared = 0;
  straddled = 0;

  readonly #servers: Servers;
  readonly #admin: RedisConnection;
  readonly #exact: boolean;
  readonly #memory = createTestRedis({ now: 0 });
  readonly #stamps = Array.from({ length: SLOTS }, () => ({ real: "", memory: "" }));
  #token = "";
  /** When the last command was sent that wants to be apart from others. */
  #apart = 0;
  #seed = 0;
  #history: string[] = [];

  static async start(): Promise<Pair> {
    const servers = await startServers();
    const info = String(await servers.redis.command("INFO", "server"));
    // Other versions word the errors of scripts in another way.
    return new Pair(servers, /redis_version:7\.0\./.test(info));
  }

  private constructor(servers: Servers, exact: boolean) {
    this.#servers = servers;
    this.#exact = exact;
    this.#admin = new RedisConnection({ port: servers.redis.port });
  }

  async stop(): Promise<void> {
    this.#admin.close();
    await this.#servers.stop();
  }

  /** A new sequence: both are empty. */
  async begin(seed: number): Promise<void> {
    this.#seed = seed;
    this.#history = [];
    for (const stamps of this.#stamps) Object.assign(stamps, { real: "", memory: "" });
    await this.#weather({ kind: "weather", outOfMemory: false, allowed: "all" });
    await this.#admin.send([["FLUSHALL"], ["SCRIPT", "FLUSH"]]);
    this.#memory.reset();
  }

  async take(step: Step): Promise<void> {
    if (step.kind === "weather") return this.#weather(step);
    if (step.kind === "wait") {
      this.#see("time passed between");
      return this.#waitUntil((await this.#time()) + step.ms);
    }
    if (step.apart) await this.#waitUntil(this.#apart + 1);
    await this.#command(step);
    if (step.apart) this.#apart = await this.#time();
  }

  async #command({ words, slot }: Extract<Step, { kind: "command" }>): Promise<void> {
    const of = (side: "real" | "memory") =>
      words.map((word) => (typeof word === "string" ? word : (this.#stamps[word.slot]?.[side] ?? "")));
    const [mine, theirs] = [of("memory"), of("real")];
    const { url } = this.#servers.gateway;
    const between = [["TIME"], theirs, ["TIME"]];
    const [before, real, after] = await post(fetch, url, this.#token, between);
    const [from, to] = [timeIn(before), timeIn(after)];
    this.#history.push(`${from} ${theirs.map(short).join(" ")}`);

    const wanted = this.#comparable(theirs, real);
    const memory = await this.#agree(mine, { real, wanted, from, to });
    this.compared += 1;
    this.#note(mine, memory);
    const [stampsOfReal, stampsOfMemory] = [stampsIn(real), stampsIn(memory)];
    const given = slot === undefined ? undefined : this.#stamps[slot];
    if (given && stampsOfReal && stampsOfMemory)
      Object.assign(given, { real: stampsOfReal, memory: stampsOfMemory });
  }

  /** The reply of the one in memory, which agrees; throws if it does not. */
  async #agree(
    words: readonly string[],
    { real, wanted, from, to }: { real: Reply; wanted: string; from: number; to: number },
  ): Promise<Reply> {
    const send = async (now: number) => {
      this.#memory.now = now;
      const [reply] = await post(this.#memory.fetch, this.#memory.url, this.#memory.token, [words]);
      return reply as Reply;
    };
    if (Math.floor(from) === Math.floor(to)) {
      const reply = await send(from);
      const got = this.#comparable(words, reply);
      if (got !== wanted) this.#differ(wanted, got);
      return reply;
    }
    this.#see("another millisecond");
    const [contents, before] = [await this.#contentsOfReal(), this.#contentsOfMemory()];
    for (let now = from; now < to + 1; now = Math.floor(now) + 1) {
      const reply = await send(now);
      if (this.#comparable(words, reply) === wanted && !this.#difference(contents)) {
        this.#takeOverLives(contents);
        return reply;
      }
      this.#takeOver(before);
    }
    this.straddled += 1;
    this.#takeOver(contents);
    for (const stamps of this.#stamps) stamps.memory = stamps.real;
    return real;
  }

  /** Compares all keys, what they hold and when they expire. */
  async compareContents(): Promise<void> {
    const difference = this.#difference(await this.#contentsOfReal());
    if (difference) this.#differ(...difference);
  }

  #difference(contents: Contents): [real: string, memory: string] | undefined {
    const memory = this.#contentsOfMemory();
    for (const key of KEYS) {
      const [a, b] = [contents.get(key), memory.get(key)];
      // What the clock has ended meanwhile, one has looked at, and the other one not.
      if (!a && b && b.expires >= 0 && b.expires <= this.#memory.now + 50) continue;
      const sameLife = Math.abs((a?.expires ?? -2) - (b?.expires ?? -2)) <= 1;
      if (JSON.stringify(a?.value) !== JSON.stringify(b?.value) || !sameLife)
        return [`${key}: ${JSON.stringify(a)}`, `${key}: ${JSON.stringify(b)}`];
    }
    return undefined;
  }

  /** Keys of the one in memory end when those of the real one do: that may be one millisecond off. */
  #takeOverLives(contents: Contents): void {
    for (const key of KEYS) {
      const held = contents.get(key);
      if (!held) this.#memory.command("DEL", key);
      else if (held.expires >= 0) this.#memory.command("PEXPIREAT", key, held.expires);
    }
  }

  /** The one in memory holds this, and nothing else. */
  #takeOver(contents: Contents): void {
    this.#memory.command("FLUSHALL");
    for (const [key, { raw, expires }] of contents) {
      if (Array.isArray(raw)) this.#memory.command("HSET", key, ...raw.map(String));
      else this.#memory.command("SET", key, String(raw));
      if (expires >= 0) this.#memory.command("PEXPIREAT", key, expires);
    }
  }

  async #contentsOfReal(): Promise<Contents> {
    const each = KEYS.flatMap((key) => [
      ["HGETALL", key],
      ["GET", key],
      ["PEXPIRETIME", key],
    ]);
    for (let tries = 0; tries < TRIES; tries += 1) {
      const replies = await this.#admin.send([["TIME"], ...each, ["TIME"]]);
      const [first, last] = [replies[0], replies.at(-1)].map((reply) => reply && timeOf(plainReply(reply)));
      if (Math.floor(first ?? 0) !== Math.floor(last ?? 1)) continue;
      const values = replies.slice(1, -1).map((reply) => (reply.type === "error" ? null : plainReply(reply)));
      return contentsIn(values);
    }
    throw new Error("the server never answers within a millisecond");
  }

  #contentsOfMemory(): Contents {
    const value = (...words: readonly [string, ...string[]]) => {
      try {
        return this.#memory.command(...words);
      } catch (error) {
        if (!String(error).includes("WRONGTYPE")) throw error;
        return null;
      }
    };
    const { now } = this.#memory;
    return contentsIn(
      KEYS.flatMap((key) => {
        const left = Number(value("PTTL", key));
        return [value("HGETALL", key), value("GET", key), left < 0 ? left : Math.floor(now) + left];
      }),
    );
  }

  async #weather({ outOfMemory, allowed }: Extract<Step, { kind: "weather" }>): Promise<void> {
    this.#history.push(`out of memory: ${outOfMemory}, allowed: ${allowed}`);
    const scripting = allowed === "noScripts" ? "-@scripting" : "+@scripting";
    await this.#admin.send([
      ["CONFIG", "SET", "maxmemory", outOfMemory ? "1" : "0"],
      ["ACL", "SETUSER", "default", "+@all", scripting],
    ]);
    const { token, readOnlyToken } = this.#servers.gateway;
    this.#token = allowed === "readOnly" ? readOnlyToken : token;
    const switches = { outOfMemory, readOnly: allowed === "readOnly", noScripts: allowed === "noScripts" };
    Object.assign(this.#memory, switches);
  }

  async #time(): Promise<number> {
    const [time] = await this.#admin.send([["TIME"]]);
    return Math.floor(timeOf(time && plainReply(time)));
  }

  async #waitUntil(ms: number): Promise<void> {
    while ((await this.#time()) < ms);
  }

  /** A reply without what differs by nature. */
  #comparable([name = ""]: readonly string[], reply: Reply): string {
    if ("error" in reply) {
      return `error ${this.#exact ? reply.error : reply.error.replace(/^.*(WRONGTYPE|OOM).*$/s, "$1")}`;
    }
    const { result } = reply;
    if (name === "TIME" && Array.isArray(result)) return "a time";
    if (name === "HKEYS" && Array.isArray(result)) return JSON.stringify([...result].sort());
    return JSON.stringify(name === "HGETALL" ? inOrder(result) : result).replace(/@\d+\.\d+/g, "@");
  }

  /** Counts what came out, so that the end can tell whether all was tried. */
  #note(words: readonly string[], reply: Reply): void {
    if ("error" in reply) {
      this.#see(`error ${reply.error.split(" ", 1)[0]}`);
      return;
    }
    const { result } = reply;
    if (Array.isArray(result) && result[0] === "lw2") {
      if (Number(result[4]) > 0) this.#see("read lease of another");
      if (/(^| )- /.test(`${result[3]} `)) this.#see("stamp that could not be made");
      this.#see(`read ${result[2]}`);
    }
    if (!words[0]?.startsWith("EVAL")) return;
    // A set is told the generation that it stored under.
    if (typeof result === "string")
      this.#see(`${words.at(-1) === "" ? "fill" : "set"} ${result.includes("@") ? "OK" : result}`);
    if (typeof result === "number") this.#see(`drop ${result}`);
  }

  #see(what: string): void {
    this.seen.set(what, (this.seen.get(what) ?? 0) + 1);
  }

  #differ(real: string, memory: string): never {
    const history = this.#history.slice(-40).join("\n");
    throw new Error(`sequence ${this.#seed}, after\n${history}\n\nreal:   ${real}\nmemory: ${memory}\n`);
  }
}

/** The replies to a pipeline. */
export async function post(
  by: typeof fetch,
  url: string,
  token: string,
  commands: readonly (readonly string[])[],
): Promise<[Reply, Reply, Reply]> {
  const headers = { authorization: `Bearer ${token}` };
  const response = await by(`${url}/pipeline`, { method: "POST", headers, body: JSON.stringify(commands) });
  return (await response.json()) as [Reply, Reply, Reply];
}

function contentsIn(values: readonly PlainReply[]): Contents {
  const contents = new Map<string, Held>();
  for (const [index, key] of KEYS.entries()) {
    const [hash = null, text = null, expires] = values.slice(3 * index, 3 * index + 3);
    const raw = Array.isArray(hash) && hash.length > 0 ? hash : text;
    if (raw === null) continue;
    const value = JSON.parse(
      JSON.stringify(inOrder(raw as TestReply)).replace(/@\d+\.\d+/g, "@"),
    ) as TestReply;
    contents.set(key, { raw, value, expires: Number(expires) });
  }
  return contents;
}

/** A hash's fields and values, by the fields' names. */
function inOrder(reply: TestReply): TestReply {
  if (!Array.isArray(reply)) return reply;
  const pairs = Array.from({ length: reply.length / 2 }, (_, index) => reply.slice(2 * index, 2 * index + 2));
  return pairs.sort(([a], [b]) => (String(a) < String(b) ? -1 : 1)).flat();
}

function stampsIn(reply: Reply): string | undefined {
  const stamps = "result" in reply && Array.isArray(reply.result) ? reply.result[3] : undefined;
  return typeof stamps === "string" && stamps !== "" && /@| /.test(stamps) ? stamps : undefined;
}

function timeIn(reply: Reply): number {
  return timeOf("result" in reply ? (reply.result as PlainReply) : null);
}

/** Milliseconds, with three decimals. */
function timeOf(time: PlainReply | undefined): number {
  const [seconds, microseconds] = Array.isArray(time) ? time.map(Number) : [];
  if (seconds === undefined || microseconds === undefined)
    throw new Error(`expected a time, got ${JSON.stringify(time)}`);
  return seconds * 1000 + microseconds / 1000;
}

function short(word: string): string {
  const name = Object.entries(SCRIPTS).find(([, text]) => text === word)?.[0];
  return name ? `<${name}>` : JSON.stringify(word);
}
