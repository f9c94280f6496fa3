/** The Redis itself: which commands it takes, when it refuses them, and its scripts. */
import { latin1 } from "../../dev/bytes.mjs";
import type { Argument, Reply as WireReply } from "../../dev/resp.mjs";
import type { Clock } from "./clock.ts";
import { apply, type Command, find, integer, isSyncOrAsync, type Now, takes } from "./command.ts";
import { drop } from "./drop.ts";
import { fill } from "./fill.ts";
import { read } from "./read.ts";
import {
  bytes,
  Failure,
  NO_INTEGER,
  OK,
  OUT_OF_MEMORY,
  type Reply,
  Status,
  wire,
  wrongArity,
} from "./reply.ts";
import { type Known, library, Raised, raised, type Scripting } from "./script.ts";
import { Store } from "./store.ts";

const QUEUED = new Status("QUEUED");
const NO_SCRIPT = new Failure("NOSCRIPT No matching script. Please use EVAL.");
const FOREIGN = new Failure(
  "ERR leeward/testing runs Leeward's own scripts (read, fill, drop), and no others",
);
const DISCARDED = new Failure("EXECABORT Transaction discarded because of previous errors.");

/** Hashed when first needed, and once: tests make many servers. */
let known: ReturnType<typeof library> | undefined;
const scripts = () => {
  known ??= library([read, fill, drop]);
  return known;
};

/** A command with what it was given; all texts with one character for each byte. */
type Words = readonly string[];

export class Server {
  readonly store: Store;
  outOfMemory = false;
  readOnly = false;
  noScripts = false;
  /** How often each script ran. */
  readonly runs = { read: 0, fill: 0, drop: 0 };

  readonly #clock: Clock;
  /** Those that it has been told, by their SHA. */
  readonly #loaded = new Map<string, Known>();

  constructor(clock: Clock) {
    this.#clock = clock;
    this.store = new Store(clock);
  }

  /** As new. The clock is not its own. */
  reset(): void {
    this.store.clear();
    this.#loaded.clear();
    Object.assign(this, { outOfMemory: false, readOnly: false, noScripts: false });
    Object.assign(this.runs, { read: 0, fill: 0, drop: 0 });
  }

  /** What a connection of the gateway does: one reply for each command, a transaction from MULTI to EXEC. */
  async send(commands: readonly (readonly Argument[])[]): Promise<WireReply[]> {
    const all = commands.map((words) => words.map(textOfArgument));
    const isTransaction = all[0]?.[0] === "MULTI";
    return (
      isTransaction ? this.#transaction(all.slice(1, -1)) : all.map((words) => this.execute(words))
    ).map(wire);
  }

  /** Does a command, whatever the switches say. */
  administer(words: Words): Reply {
    const { outOfMemory, readOnly, noScripts } = this;
    Object.assign(this, { outOfMemory: false, readOnly: false, noScripts: false });
    const reply = this.execute(words);
    Object.assign(this, { outOfMemory, readOnly, noScripts });
    return reply;
  }

  execute(words: Words): Reply {
    const command = this.#admit(words);
    return command instanceof Failure ? command : this.#run(command, words);
  }

  /** A command that is known, whole and allowed; else why it is refused. In Redis' order. */
  #admit(words: Words, queued = false): Command | Failure {
    const command = find(words);
    if (command instanceof Failure) return command;
    const { name, effect } = command;
    if (!takes(command, words.length)) return wrongArity(name);
    const refused = this.readOnly ? effect !== "reads" : this.noScripts && effect === "scripts";
    if (refused) return new Failure(`NOPERM this user has no permissions to run the '${name}' command`);
    // What is queued takes memory, whatever it is.
    return this.outOfMemory && (queued || effect === "grows") ? OUT_OF_MEMORY : command;
  }

  #run(command: Command, words: Words): Reply {
    const [, ...args] = words;
    switch (command.name) {
      case "eval":
      case "evalsha":
        return this.#eval(command.name, args);
      case "script|load": {
        const known = scripts().get(args[1] ?? "");
        if (!known) return FOREIGN;
        this.#loaded.set(known.sha, known);
        return known.sha;
      }
      case "script|flush":
        if (args.length > 2 || !isSyncOrAsync(args[1]))
          return new Failure("ERR SCRIPT FLUSH only support SYNC|ASYNC option");
        this.#loaded.clear();
        return OK;
      default:
        return apply(command, this.store, args, this.#now());
    }
  }

  #eval(name: "eval" | "evalsha", [called = "", count = "", ...rest]: Words): Reply {
    const loaded = this.#loaded.get(called.toLowerCase());
    if (name === "evalsha" && !loaded) return NO_SCRIPT;
    const keys = integer(count);
    if (keys === undefined) return NO_INTEGER;
    if (keys < 0n) return new Failure("ERR Number of keys can't be negative");
    if (keys > BigInt(rest.length))
      return new Failure("ERR Number of keys can't be greater than number of args");
    const known = name === "evalsha" ? loaded : scripts().get(called);
    if (!known) return FOREIGN;
    this.#loaded.set(known.sha, known);
    this.runs[known.script.name] += 1;
    try {
      return known.script.run(this.#scripting(known), rest.slice(0, Number(keys)), rest.slice(Number(keys)));
    } catch (error) {
      if (error instanceof Raised) return error.failure;
      throw error;
    }
  }

  #scripting(known: Known): Scripting {
    const now = this.#now();
    // Once it has written, Redis refuses it no memory, so as not to stop in the middle.
    let hasWritten = false;
    const pcall = (words: Words): Reply => {
      const command = find(words);
      if (command instanceof Failure) return command;
      if (this.outOfMemory && !hasWritten && command.effect === "grows") return OUT_OF_MEMORY;
      hasWritten ||= command.effect !== "reads";
      return apply(command, this.store, words.slice(1), now);
    };
    return {
      now,
      pcall,
      call(words, where) {
        const reply = pcall(words);
        if (reply instanceof Failure) throw raised(reply, known, where);
        return reply;
      },
    };
  }

  /** The replies to MULTI, to each command and to EXEC. */
  #transaction(commands: readonly Words[]): Reply[] {
    const admitted = commands.map((words) => this.#admit(words, true));
    const queued = admitted.map((command) => (command instanceof Failure ? command : QUEUED));
    if (queued.some((reply) => reply !== QUEUED)) return [OK, ...queued, DISCARDED];
    return [OK, ...queued, commands.map((words) => this.execute(words))];
  }

  #now(): Now {
    const { now } = this.#clock;
    // A clock of milliseconds has microseconds, too; that they do not move harms nobody.
    return { seconds: Math.floor(now / 1000), microseconds: Math.floor((now % 1000) * 1000) };
  }
}

function textOfArgument(argument: Argument): string {
  return typeof argument === "object" ? latin1(argument) : bytes(String(argument));
}
