/** Random sequences of what Leeward sends, and of what may happen to Redis meanwhile. A seed always gives the same sequence. */
import { readFileSync } from "node:fs";
import { sha1 } from "./sha1.ts";

const lua = (name: string) =>
  readFileSync(new URL(`../../src/core/redis/${name}.lua`, import.meta.url), "utf8");

/** The scripts' texts. */
export const SCRIPTS = { read: lua("read"), fill: lua("fill"), drop: lua("drop") };

/** All keys that are ever used. */
export const KEYS = [
  "p:k::a",
  "p:k:app:b",
  "p:n:",
  "p:n:app",
  "p:t:app:red",
  "p:t:app:v\u00e0",
  "p:t:app:blue",
  "other",
];
const [ENTRY = "", OTHER_ENTRY = ""] = KEYS;
const NAMESPACES = KEYS.slice(2, 4);
const TAGS = KEYS.slice(4, 7);
const TAG_PREFIX = "p:t:app:";
const BUILDS = ["b1", "b2", "b3", "b4", "b5"];
const FIELDS = ["g", "x", "v", "m", "h:b1", "b:b1", "l:b1", "h:b2", "b:b2", "h:b3", "none", "h:b4"];
/** Values with which someone else might have overwritten a field. */
const DAMAGE = [
  ...["", "damage", "2", "2 g", "m 99999999999999", "m 99999999999999 n 1", "t 99999999999999"],
  ...["2 x y 1 2 3 4 v 5 1 - a b", "1790000000000 a b 5 ", "2 - - 1 60000 0 0 v", "a\u00a0b 99999999999999"],
  ...["a.b@1.2", "a.b@1.2 ", `${"a".repeat(124)}@1.2`, `${"a".repeat(125)}@1.2`],
];
/** Commands that are wrong, or whose errors are all that is of interest. */
const ODD: readonly (readonly string[])[] = [
  ...[["NOPE"], ["nope", "a", "b"], ["hset", "other"], ["HSET", "other", "a", "1", "b"], ["HGETALL"]],
  ...[
    ["HMGET", "other"],
    ["HDEL", "other"],
    ["DEL"],
    ["EXISTS"],
    ["PTTL", "other", "x"],
    ["TIME", "x"],
    ["GET"],
  ],
  ...[["SET", "other"], ["SET", "other", "x", "y"], ["PING"], ["PING", "a"], ["PING", "a", "b"]],
  ...[
    ["PEXPIRE", "other", "a"],
    ["PEXPIRE", "other", "01"],
    ["PEXPIRE", "other", "9223372036854775807"],
  ],
  ...[
    ["PEXPIRE", "other", "5", "zz"],
    ["PEXPIREAT", "other", "9223372036854775808"],
    ["PEXPIREAT", "other", "-5"],
  ],
  ...[["FLUSHALL", "x"], ["SCRIPT"], ["SCRIPT", "nope"], ["SCRIPT", "LOAD"], ["SCRIPT", "LOAD", "a", "b"]],
  ...[
    ["SCRIPT", "FLUSH", "nope"],
    ["SCRIPT", "FLUSH", "sync", "x"],
    ["EVAL", "return 1"],
    ["EVAL", "return 1", "x"],
  ],
  ...[
    ["EVAL", "return 1", "2", "a"],
    ["EVAL", "return 1", "-1"],
    ["EVALSHA", "abc", "0"],
    ["EVALSHA", "abc", "x"],
  ],
  ...[["EVALSHA", "0".repeat(40), "0"], ["AUTH", "x"], ["BLPOP", "other", "0"], ["MULTI"]],
];

/** A read gives stamps to its slot, and each side's fills take those that its own reads gave. */
export interface Stamps {
  readonly slot: number;
}

export type Step =
  | {
      readonly kind: "command";
      readonly words: readonly (string | Stamps)[];
      readonly slot?: number;
      readonly apart?: true;
    }
  | { readonly kind: "wait"; readonly ms: number }
  | {
      readonly kind: "weather";
      readonly outOfMemory: boolean;
      readonly allowed: "all" | "noScripts" | "readOnly";
    };

export const SLOTS = 4;

export class Steps {
  #state: bigint;
  #number = 0;
  /** For each slot the keys and the number of namespaces that were read. */
  readonly #slots: { keys: string[]; namespaces: number }[] = [];
  /** How short durations are, and how often things go wrong, in this sequence. */
  readonly #tiny: boolean;
  readonly #rough: boolean;

  constructor(seed: number) {
    this.#state = BigInt.asUintN(64, BigInt(seed) * 0x9e3779b97f4a7c15n) | 1n;
    this.#tiny = this.#oneIn(3);
    this.#rough = this.#oneIn(2);
  }

  next(): Step[] {
    const dice = this.#draw(100);
    if (dice < 20) return [this.#read()];
    if (dice < 36) return this.#cycle();
    if (dice < 54) return [this.#fill()];
    if (dice < 59) return [this.#drop()];
    if (dice < 64) return this.#mutate();
    if (dice < 70) return [{ kind: "wait", ms: 1 + this.#draw(5) }];
    if (dice === 70) return this.#oneIn(6) ? this.#manyMarks() : this.#manyBuilds();
    if (dice < 76) return [plain(this.#pick(ODD))];
    if (dice < 81 && this.#rough) return [this.#weather()];
    if (dice < 83) return [this.#load()];
    return !this.#rough && this.#oneIn(2) ? [this.#read()] : [this.#meddle()];
  }

  #draw(below: number): number {
    let state = this.#state;
    state ^= BigInt.asUintN(64, state << 13n);
    state ^= state >> 7n;
    state ^= BigInt.asUintN(64, state << 17n);
    this.#state = state;
    return Number((state >> 33n) % BigInt(below));
  }

  #oneIn(n: number): boolean {
    return this.#draw(n) === 0;
  }

  #pick<T>(from: readonly T[]): T {
    return from[this.#draw(from.length)] as T;
  }

  #duration(): string {
    const long = this.#tiny ? this.#oneIn(3) : !this.#oneIn(6);
    return this.#pick(long ? ["60000", "5000", "3600000"] : ["0", "1", "2", "3", "5"]);
  }

  #name(prefix: string): string {
    this.#number += 1;
    return `${prefix}${this.#number}`;
  }

  #script(name: keyof typeof SCRIPTS, keys: readonly string[], args: readonly (string | Stamps)[]) {
    const text = SCRIPTS[name];
    const head = this.#oneIn(4) ? ["EVAL", text] : ["EVALSHA", sha1(text)];
    return [...head, String(keys.length), ...keys, ...args];
  }

  /** What most callers do: a read that misses, its fill, perhaps something in between, and a read of the same. */
  #cycle(): Step[] {
    const [slot, build, token] = [this.#draw(SLOTS), this.#pick(BUILDS), `token${this.#draw(3)}`];
    const first = this.#readOf(slot, false, build, token);
    const fill = this.#fillOf(slot, build);
    const key = this.#slots[slot]?.keys[0] ?? ENTRY;
    const between: Step[][] = [
      ...[
        [plain(["HDEL", key, "x"])],
        [plain(["HDEL", key, "x"])],
        [plain(["HDEL", this.#pick(KEYS.slice(2, 7)), "x"])],
      ],
      ...[[this.#drop()], [{ kind: "wait" as const, ms: 1 + this.#draw(5) }], [], [], []],
    ];
    return [first, fill, ...this.#pick(between), this.#readOf(slot, true, build, token)];
  }

  #read(): Step {
    const [slot, again, build] = [this.#draw(SLOTS), this.#oneIn(2), this.#pick(BUILDS)];
    return this.#readOf(slot, again, build, this.#oneIn(2) ? "" : `token${this.#draw(3)}`);
  }

  #readOf(slot: number, again: boolean, build: string, token: string): Step {
    const { keys, namespaces } = (again ? this.#slots[slot] : undefined) ?? this.#newKeys();
    if (this.#oneIn(8) && keys.length > 1 + namespaces) keys.pop();
    this.#slots[slot] = { keys, namespaces };
    const tags = keys.length - 1 - namespaces;
    const required = this.#oneIn(4) ? this.#draw(tags + 1) : tags;
    const args = [
      ...[this.#name("r"), build, this.#duration(), String(namespaces), String(required), TAG_PREFIX, token],
      ...[this.#duration(), this.#pick(["fresh", "stale", "stale", "none", "renew"])],
    ];
    return { kind: "command", words: this.#script("read", keys, args), slot };
  }

  #newKeys() {
    const namespaces = this.#draw(3);
    const keys = [this.#oneIn(3) ? OTHER_ENTRY : ENTRY, ...NAMESPACES.slice(0, namespaces)];
    const tags = [...TAGS];
    for (let more = this.#pick([0, 0, 1, 1, 2, 3]); more > 0; more -= 1) {
      keys.push(...tags.splice(this.#draw(tags.length), 1));
    }
    return { keys, namespaces };
  }

  #fill(): Step {
    return this.#fillOf(this.#draw(SLOTS), this.#pick(BUILDS));
  }

  #fillOf(slot: number, build: string, nonce = this.#oneIn(3) ? this.#name("s") : ""): Step {
    const known = this.#slots[slot];
    if (!known) return this.#read();
    const stamps = this.#oneIn(20) ? "a b - - c d e f g h i j" : { slot };
    const late = () => (this.#oneIn(2) ? "0" : this.#duration());
    const args = [
      ...[build, stamps, String(known.namespaces), TAG_PREFIX, this.#duration(), late(), late()],
      ...[this.#pick(["j 0", "j 3", "u 1000"]), "b\u00f6dy ".repeat(this.#draw(40)), nonce],
    ];
    return { kind: "command", words: this.#script("fill", known.keys, args), apart: true };
  }

  #drop(): Step {
    const mark = () => (this.#oneIn(2) ? "" : `mark${this.#draw(4)}`);
    return this.#dropping(this.#pick(KEYS.slice(0, 7)), [mark(), this.#duration(), mark()]);
  }

  #dropping(key: string, args: readonly string[]): Step {
    return { kind: "command", words: this.#script("drop", [key], args) };
  }

  /** A mark, perhaps another one's, perhaps something in between, and the end of the first. */
  #mutate(): Step[] {
    const [key, mark, other] = [this.#pick(KEYS.slice(0, 7)), `mark${this.#draw(4)}`, `mark${this.#draw(4)}`];
    const begin = this.#dropping(key, [mark, this.#duration(), ""]);
    const more = this.#oneIn(2) ? [this.#dropping(key, [other, this.#duration(), ""])] : [];
    return [begin, ...more, this.#read(), this.#dropping(key, ["", "0", mark]), this.#read()];
  }

  /** More builds at a time than are kept. */
  #manyBuilds(): Step[] {
    const slot = this.#draw(SLOTS);
    const read = (build: string) => this.#readOf(slot, true, build, "");
    return [read("b1"), ...BUILDS.flatMap((build) => [read(build), this.#fillOf(slot, build, "")])];
  }

  #manyMarks(): Step[] {
    const key = this.#oneIn(3) ? OTHER_ENTRY : ENTRY;
    return Array.from({ length: 66 }, (_, index) => this.#dropping(key, [`many${index}`, "60000", ""]));
  }

  #weather(): Step {
    return {
      kind: "weather",
      outOfMemory: this.#oneIn(4),
      allowed: this.#oneIn(4) ? this.#pick(["noScripts", "readOnly"] as const) : "all",
    };
  }

  #load(): Step {
    if (this.#oneIn(3)) return plain(["SCRIPT", "FLUSH"]);
    return plain(["SCRIPT", "LOAD", this.#pick(Object.values(SCRIPTS))]);
  }

  /** What others do to the keys. */
  #meddle(): Step {
    const [key, field, value] = [this.#pick(KEYS), this.#pick(FIELDS), this.#pick(DAMAGE)];
    const [other, more, ms] = [
      this.#pick(KEYS),
      this.#pick(FIELDS),
      this.#pick(["-1", "0", "1", "3", "5", "60000"]),
    ];
    const all = [
      ...[
        ["HDEL", key, field, more],
        ["HDEL", key, field, more],
        ["HSET", key, field, value],
        ["DEL", key, other],
      ],
      ...[
        ["HSET", key, field, value, more, "text", field, value],
        ["SET", key, value],
        ["PEXPIRE", key, ms],
      ],
      ...[
        ["PEXPIREAT", key, "1790000000000"],
        ["PEXPIREAT", key, "9990000000000"],
        ["EXISTS", key, other, key],
      ],
      ...[
        ["HGET", key, field],
        ["hmget", key, field, more, "none"],
        ["HKEYS", key],
        ["HGETALL", key],
        ["PTTL", key],
      ],
      ...[["GET", key], ["TIME"], this.#oneIn(4) ? ["FLUSHALL"] : ["DEL", key]],
    ];
    return plain(this.#pick(all));
  }
}

function plain(words: readonly string[]): Step {
  return { kind: "command", words };
}
