/**
 * The worker's routes, as the page calls them. Nothing here waits longer than it must, and every failure is an `Error` with a
 * sentence for the visitor.
 *
 * @module
 */

/**
 * @typedef {import("./words.js").Outcome} Outcome
 *
 * @typedef {object} Xp
 * @property {string} name
 * @property {number} banked
 * @property {number} submissions
 * @property {string[]} unlocked
 *
 * @typedef {object} Read
 * @property {Xp} xp
 * @property {Outcome} outcome
 * @property {string} reason
 * @property {boolean} shared
 * @property {number} ms
 *
 * @typedef {object} Line
 * @property {number} id
 * @property {number} at
 * @property {"good" | "bad" | "plain"} tone
 * @property {string} text
 * @property {number} times
 *
 * @typedef {object} Connection
 * @property {string} state
 * @property {number} attempts
 * @property {number} reuses
 * @property {number} failures
 * @property {string | null} lastError
 * @property {number | null} until
 * @property {{ hits: number, misses: number, bypasses: number, journal: number, requests: number }} stats
 *
 * @typedef {object} News
 * @property {number} now the worker's clock
 * @property {boolean} demo whether Redis may be broken here
 * @property {string | null} fault
 * @property {Connection} connection
 * @property {string} list
 * @property {number} last
 * @property {Line[]} lines
 *
 * @typedef {object} BurstReport
 * @property {number} requests
 * @property {number} ok
 * @property {number[]} banked
 * @property {Record<Outcome, number>} outcomes
 * @property {number} shared
 * @property {number} computations
 * @property {number} attempts
 * @property {number} redisRequests
 * @property {boolean} newConnection
 * @property {number} slowestMs
 */

const TIMEOUT = 15_000;

/** @param {string} learner @returns {Promise<Read>} */
export async function readXp(learner) {
  const started = performance.now();
  const { body, headers } = await ask(`/learners/${learner}/xp`);
  const ms = Math.max(1, Math.round(performance.now() - started));
  return { xp: body, ms, ...outcomeOf(headers.get("cache-status") ?? "") };
}

/** @param {string} learner @returns {Promise<{ state: string }>} what became of the invalidation */
export async function submitLesson(learner) {
  const submission = { lesson: "fractions-extra", xp: 20 };
  const { body } = await ask(`/learners/${learner}/submissions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(submission),
  });
  return body.invalidation;
}

/** @param {string} name */
export async function switchFault(name) {
  await ask(`/fault/${name}`, { method: "POST" });
}

/** @param {string} learner @returns {Promise<BurstReport>} */
export async function sendBurst(learner) {
  return (await ask(`/burst?learner=${learner}`, { method: "POST" })).body;
}

/** @param {number} since @returns {Promise<News>} */
export async function news(since) {
  return (await ask(`/events?since=${since}`)).body;
}

/**
 * The worker's `Cache-Status`: `leeward; hit`, or `leeward; fwd=bypass; collapsed; detail=timeout`.
 *
 * @param {string} header
 * @returns {{ outcome: Outcome, reason: string, shared: boolean }}
 */
export function outcomeOf(header) {
  const parts = header.split(";").map((part) => part.trim());
  const value = (/** @type {string} */ name) =>
    parts.find((part) => part.startsWith(`${name}=`))?.slice(name.length + 1) ?? "";
  const outcome = parts.includes("hit") ? "hit" : value("fwd") === "miss" ? "miss" : "bypass";
  return { outcome, reason: value("detail"), shared: parts.includes("collapsed") };
}

/**
 * @param {string} path
 * @param {RequestInit} [init]
 * @returns {Promise<{ body: any, headers: Headers }>}
 */
async function ask(path, init = {}) {
  /** @type {Response} */
  let response;
  try {
    response = await fetch(path, { ...init, signal: AbortSignal.timeout(TIMEOUT) });
  } catch {
    throw new Error("The worker does not answer. Is npm start still running?");
  }
  const body = await response.json().catch(() => ({}));
  if (!response.ok)
    throw new Error(`The worker answered ${response.status}: ${body.error ?? "no reason given"}.`);
  return { body, headers: response.headers };
}
