/**
 * What just happened, and why it matters, in plain words. Pure: what was seen goes in, sentences come out.
 *
 * @module
 */

/**
 * @typedef {"hit" | "miss" | "bypass"} Outcome
 * @typedef {{ headline: string, why: string }} Story
 *
 * @typedef {object} ReadSeen one read, as it was answered
 * @property {string} name of the learner
 * @property {Outcome} outcome
 * @property {string} reason why Redis was passed by, or ""
 * @property {boolean} shared
 * @property {number} ms
 * @property {string | null} fault what Redis does, if that is known
 * @property {boolean} recovered Redis has come back just now
 * @property {number | null} retryMs until Redis is asked again, while it is left alone
 */

/** What is wrong with Redis, as the beginning of a sentence. @type {Record<string, string>} */
const FAULTS = {
  refused: "Redis refuses connections",
  hung: "Redis hangs",
  slow: "Redis is too slow",
  500: "Redis answers with errors",
  truncated: "Redis' answers break off half-way",
};

/** What is wrong when no switch of the page says so, by the reason of a read. @type {Record<string, string>} */
const OTHERWISE = {
  timeout: "Redis did not answer in time",
  failed: "Redis gave no usable answer",
  down: "Redis was down a moment ago",
};

/** One word for the picture. @type {Record<string, string>} */
const WORDS = {
  healthy: "healthy",
  refused: "refuses",
  hung: "hangs",
  slow: "slow",
  500: "answers 500",
  truncated: "breaks off",
};

/** @param {string | null} fault */
export function faultWord(fault) {
  if (fault === null) return "";
  return WORDS[fault] ?? fault;
}

/** @param {ReadSeen} seen @returns {Story} */
export function storyOfRead(seen) {
  const { name, outcome, ms, shared, recovered } = seen;
  const back = recovered ? "Redis is back: " : "";
  if (outcome === "hit") {
    return {
      headline: `${back}${back ? "from" : "From"} Redis, in ${ms} ms.`,
      why: recovered
        ? "Nobody had to restart or reload anything: Leeward tried Redis again by itself, and found it well."
        : "The upstream was not asked: this is what a cache is for.",
    };
  }
  if (outcome === "miss") {
    return {
      headline: `${back}${back ? "computed" : "Computed"} by the upstream, in ${ms} ms.`,
      why: shared
        ? `Another request was computing ${name}'s XP already, and this one shared the result.`
        : `Redis held nothing for ${name}. Now it does: the next read is quick.`,
    };
  }
  return {
    headline: `${causeOf(seen)}; the answer came from the upstream in ${ms} ms.`,
    why: whyBypassed(seen),
  };
}

/** @param {ReadSeen} seen */
function causeOf({ fault, reason }) {
  if (reason === "disabled") return "No Redis is configured";
  if (reason === "unavailable") return "The cache cannot start";
  if (reason === "pending-invalidation") return "What Redis holds is old";
  if (reason === "pass-through") return "This value cannot be stored";
  if (fault !== null && FAULTS[fault]) return FAULTS[fault];
  return OTHERWISE[reason] ?? "Redis does not work";
}

/** @param {ReadSeen} seen */
function whyBypassed({ name, reason, retryMs }) {
  switch (reason) {
    case "timeout":
      return "Leeward gave Redis 250 ms, no more, and went to the upstream. The XP is right, it only took longer.";
    case "down":
      return `Leeward leaves Redis alone for now, so nobody waits for it. ${nextTry(retryMs)}`;
    case "failed":
      return "Leeward asked once, got nothing usable, and went to the upstream at once. The XP is right; nobody saw an error.";
    case "pending-invalidation":
      return `Redis has not been told of ${name}'s last submission. Until it has, Leeward serves nothing that it holds for ${name}.`;
    case "disabled":
      return "Without credentials every read goes to the upstream, and works.";
    default:
      return "The XP is right, it only took longer.";
  }
}

/** @param {number | null} retryMs */
function nextTry(retryMs) {
  return retryMs === null || retryMs <= 0
    ? "The next read tries it again."
    : `It tries again in ${seconds(retryMs)}.`;
}

/** @param {number} ms */
function seconds(ms) {
  return ms < 1000 ? "less than a second" : `${(ms / 1000).toFixed(1)} s`;
}

/**
 * @param {{ name: string, state: string, fault: string | null }} told what became of the invalidation
 * @returns {Story}
 */
export function storyOfSubmission({ name, state, fault }) {
  if (state === "applied") {
    return {
      headline: `Saved, and Redis has dropped its copy of ${name}'s XP.`,
      why: "Every read from now on, anywhere, sees the new XP.",
    };
  }
  if (state === "pending") {
    const cause = (fault !== null && FAULTS[fault]) || "Redis does not work";
    return {
      headline: `Saved, but ${decapitalised(cause)}: it may hold an old copy of ${name}'s XP.`,
      why: "Leeward says so instead of hiding it (“pending”), serves nothing old meanwhile, and tells Redis as soon as it is back.",
    };
  }
  return {
    headline: "Saved, but Redis will not drop its old copy.",
    why: "Leeward says so (“refused”), and serves nothing stored for this learner until the copy has run out.",
  };
}

/** A proper name keeps its capital. @param {string} text */
function decapitalised(text) {
  return text.startsWith("Redis") ? text : text.charAt(0).toLowerCase() + text.slice(1);
}

/**
 * @param {Omit<import("./server.js").BurstReport, "learner" | "reuses" | "connection">} report
 * @param {string | null} fault
 */
export function storyOfBurst(report, fault) {
  const { ok, requests, attempts, computations, shared, outcomes, redisRequests, slowestMs } = report;
  const right = ok === requests && report.banked.length === 1;
  const all = right ? `All ${requests} got the same, right XP` : `${ok} of ${requests} were answered`;
  const time = `the slowest after ${slowestMs} ms`;
  const cost = `${plural(redisRequests, "HTTP request")} to Redis`;
  if (outcomes.bypass > 0) {
    const cause = (fault !== null && FAULTS[fault]) || "Redis did not answer all of them in time";
    return (
      `${cause}. ${all}, ${time}, for ${plural(attempts, "attempt")} to connect and ` +
      `${plural(computations, "computation")}; ${shared} shared another's work.`
    );
  }
  const connected =
    attempts === 0
      ? "The connection was open already, from an earlier burst; one computed, the others shared it"
      : "One of them connected and computed, the others waited for it without depending on it";
  return `${all}, ${time}, for ${cost}. ${connected}: without Leeward it could have been ${requests} of each.`;
}

/** @param {number} count @param {string} noun */
export function plural(count, noun) {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/**
 * @param {string} state of the connection
 * @param {number | null} retryMs
 */
export function stateWords(state, retryMs) {
  switch (state) {
    case "idle":
      return "nobody has needed Redis yet";
    case "connecting":
      return "an attempt is under way";
    case "ready":
      return "the last exchange with Redis succeeded";
    case "down":
      return `Redis is left alone. ${nextTry(retryMs)}`;
    default:
      return "no Redis is configured";
  }
}

/** What went wrong last, for people. @param {string | null} kind */
export function errorWords(kind) {
  switch (kind) {
    case null:
      return "none";
    case "timeout":
      return "timeout: no answer in time";
    case "transport":
      return "transport: could not be reached";
    case "protocol":
      return "protocol: made no sense";
    case "server":
      return "server: an error for an answer";
    case "auth":
      return "auth: refused the token";
    default:
      return kind;
  }
}
