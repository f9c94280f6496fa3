/**
 * The worker's routes, as the page calls them. Nothing here waits longer than it must, and every failure is an `Error` with a
 * sentence for the visitor.
 *
 * @module
 */

/**
 * @typedef {import("./words.js").Outcome} Outcome
 *
 * @typedef {import("../upstream.js").BankedXp} Xp
 *
 * @typedef {object} Read
 * @property {Xp} xp
 * @property {Outcome} outcome
 * @property {string} reason
 * @property {boolean} shared
 * @property {number} ms how long the worker took for it
 * @property {number} totalMs until it was here
 *
 * What the worker sends, in the worker's own words:
 *
 * @typedef {import("../feed.js").Line} Line
 * @typedef {import("../events.js").Events} News
 * @typedef {News["connection"]} Connection
 * @typedef {import("../burst.js").BurstReport} BurstReport
 */

const TIMEOUT = 15_000;

/** @param {string} learner @returns {Promise<Read>} */
export async function readXp(learner) {
  const started = performance.now();
  const { body, headers } = await ask(`/learners/${learner}/xp`);
  const totalMs = Math.max(1, Math.round(performance.now() - started));
  const [, inWorker = totalMs] = /^lookup;.*\bdur=(\d+)/.exec(headers.get("server-timing") ?? "") ?? [];
  const ms = Math.max(1, Number(inWorker));
  return { xp: body, ms, totalMs, ...outcomeOf(headers.get("cache-status") ?? "") };
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
