/**
 * The visitors: each asks for one thing after the other, in whichever isolate, and looks whether the answer can be right.
 *
 * @module
 */
import { Agent, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

/** @typedef {import("./visit.ts").Asked} Asked */
/** @typedef {import("./visit.ts").Answered} Answered */
/** @typedef {import("./visit.ts").Reading} Reading */

const KEYS = 240;
const TAGS = 12;
/** Of one key each. */
const CHANGES = /** @type {const} */ (["delete", "key", "mutate", "set", "expire"]);
const NAMESPACES = [undefined, undefined, "eu", "us"];
/** On average, between two visits of a visitor. */
const PAUSE_MS = 120;

/** What is wrong is kept for the report, but no more of it than anybody reads. */
const MAX_WRONG = 20;

export class Visitors {
  /** Visits begun, answered, and left by the visitor. */
  visits = 0;
  answered = 0;
  left = 0;
  /** Reads whose visitor has left, and changes. */
  leftReads = 0;
  leftChanges = 0;
  /** Reads answered with a value or none, and with the callback's own error. */
  reads = 0;
  own = 0;
  /** @type {Record<"applied" | "pending" | "refused", number>} */
  changes = { applied: 0, pending: 0, refused: 0 };
  /** Reads of which it was checked that they are not older than an applied invalidation. */
  verified = 0;
  errors = 0;
  /** @type {string[]} */
  wrong = [];
  #leavers;
  /** The least that a read which starts now may give, by key. @type {Map<string, number>} */
  #floors = new Map();
  /** The last change of a key that is under way. @type {Map<string, Promise<void>>} */
  #changing = new Map();
  /** Closes what is idle before workerd does, which is after 5 s. */
  #agent = new Agent({ keepAlive: true, maxSockets: 64, timeout: 3000 });

  /** @param {number} leavers the share of visits whose visitor is gone before the answer */
  constructor(leavers = 0) {
    this.#leavers = leavers;
  }

  /**
   * One visitor, until he is told to go.
   * @param {readonly string[]} isolates
   * @param {import("./random.mjs").Random} random
   * @param {AbortSignal} signal
   */
  async visit(isolates, random, signal) {
    while (!signal.aborted) {
      await sleep(random.integer(0, 2 * PAUSE_MS));
      const url = random.one(isolates);
      if (random.chance(this.#leavers)) await this.#leave(url, askedBy(random), random.integer(0, 60));
      else await this.ask(url, askedBy(random));
    }
  }

  /**
   * @param {string} url
   * @param {Asked} asked
   */
  async ask(url, asked) {
    if (asked.read !== undefined) return this.#ask(url, asked);
    // A `set` that begins after somebody else's invalidation says that its value is newer: here only one changes a key at a time.
    const before = this.#changing.get(asked.key);
    const after = (before ?? Promise.resolve()).then(() => this.#ask(url, asked));
    this.#changing.set(asked.key, after);
    await after;
    if (this.#changing.get(asked.key) === after) this.#changing.delete(asked.key);
  }

  /**
   * @param {string} url
   * @param {Asked} asked
   */
  async #ask(url, asked) {
    const floor = this.#floors.get(asked.key) ?? 0;
    this.visits += 1;
    const { status, text } = await send(url, asked, this.#agent).catch((error) => ({
      status: 0,
      text: String(error),
    }));
    this.answered += 1;
    if (status !== 200) return this.#isWrong(`HTTP status ${status}: ${text.slice(0, 300)}`, asked);
    /** @type {Answered} */
    const { version, unverified, own, state, wrong } = JSON.parse(text);
    if (wrong !== undefined) return this.#isWrong(wrong, asked);
    if (asked.read === undefined) {
      if (state === undefined) return this.#isWrong("a change without an end", asked);
      this.changes[state] += 1;
      if (state === "refused") this.#isWrong("a change was refused", asked);
      if (state === "applied" && asked.change !== "expire")
        this.#floors.set(asked.key, Math.max(this.#floors.get(asked.key) ?? 0, version ?? 0));
      return;
    }
    if (own) {
      this.own += 1;
      if (!asked.read.fails) this.#isWrong("an error that no callback threw", asked);
      return;
    }
    this.reads += 1;
    if (asked.read.as !== "get" && version === null) this.#isWrong("no value", asked);
    if (unverified || version === null) return;
    this.verified += 1;
    if (version < floor)
      this.#isWrong(`stale: ${version}, and an invalidation of ${floor} was applied`, asked);
  }

  /**
   * @param {string} url
   * @param {Asked} asked
   * @param {number} ms
   */
  async #leave(url, asked, ms) {
    this.visits += 1;
    this.left += 1;
    if (asked.read === undefined) this.leftChanges += 1;
    else this.leftReads += 1;
    // Nobody knows when its `set` begins.
    if (asked.change === "set") asked = { ...asked, change: "delete" };
    await send(url, asked, undefined, ms).catch(() => {});
  }

  /**
   * @param {string} what
   * @param {Asked} asked
   */
  #isWrong(what, asked) {
    this.errors += 1;
    if (this.wrong.length < MAX_WRONG) this.wrong.push(`${what}; ${JSON.stringify(asked)}`);
  }

  stop() {
    this.#agent.destroy();
  }
}

/**
 * @param {import("./random.mjs").Random} random
 * @returns {Asked}
 */
function askedBy(random) {
  // Some keys are asked for much more often than others.
  const number = Math.floor(KEYS * random.next() ** 2);
  const namespace = NAMESPACES[number % NAMESPACES.length];
  const place = { key: `key-${number}`, tag: `tag-${number % TAGS}`, ...(namespace && { namespace }) };
  if (random.chance(0.004)) return { ...place, change: random.chance(0.8) ? "tag" : "all" };
  if (random.chance(0.1)) return { ...place, change: random.one(CHANGES) };
  /** @type {Reading} */
  const read = { as: random.one(["lookup", "lookup", "lookup", "lookup", "getOrSet", "getOrSet", "get"]) };
  if (random.chance(0.3)) read.swr = 2000;
  if (random.chance(0.2)) read.staleIfError = 3000;
  if (random.chance(0.1)) read.leaseWait = 150;
  if (random.chance(0.2)) read.freshness = "strict";
  if (random.chance(0.03)) read.forceFresh = true;
  if (random.chance(0.03)) read.fails = true;
  // Of some keys only the data tell the tag.
  if (number % 5 === 0) read.late = true;
  return { ...place, read };
}

/**
 * @param {string} url
 * @param {Asked} asked
 * @param {Agent | undefined} agent
 * @param {number} [leaveAfter] the client is gone then, by RST
 * @returns {Promise<{ status: number, text: string }>}
 */
function send(url, asked, agent, leaveAfter) {
  return new Promise((resolve, reject) => {
    const client = request(url, { method: "POST", agent: agent ?? false });
    client.on("error", reject);
    client.on("response", (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (part) => {
        text += part;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
      response.on("error", reject);
    });
    // Who resets a connection is not always told by an error.
    client.on("close", () => reject(new Error("the connection is closed")));
    client.end(JSON.stringify(asked));
    if (leaveAfter !== undefined) {
      const timer = setTimeout(() => client.socket?.resetAndDestroy(), leaveAfter);
      client.on("close", () => clearTimeout(timer));
    }
  });
}
