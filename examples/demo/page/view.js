/**
 * Puts what is known into the page. It decides nothing: words come from `words.js`, facts from the worker.
 *
 * @module
 */
import { EventList } from "./events.js";
import { Tape } from "./tape.js";
import { errorWords, faultWord, plural, stateWords } from "./words.js";

const OUTCOMES = { hit: "hit", miss: "miss", bypass: "fallback" };

/** @param {string} id */
export function element(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found;
}

const tape = new Tape(element("tape"));
const events = new EventList(element("events"));

/** @param {string} id @param {string | number} text */
function put(id, text) {
  const target = element(id);
  if (target.textContent !== String(text)) target.textContent = String(text);
}

/** @param {import("./server.js").Read} read */
export function showRead({ xp, outcome, ms, totalMs }) {
  put("banked", xp.banked);
  put("outcome", OUTCOMES[outcome]);
  put("latency", `${ms} ms`);
  put("total", `in the worker, ${totalMs} ms to here`);
  const levels = xp.unlocked.length > 0 ? `, ${xp.unlocked.at(-1)} unlocked` : "";
  put("detail", `${xp.name}: ${plural(xp.submissions, "submission")}${levels}`);
  put("upstream-word", outcome === "hit" ? "not asked" : "computed it");
  document.body.dataset.outcome = outcome;
  tape.add({ outcome, ms });
}

/** @param {import("./words.js").Story} story */
export function showStory({ headline, why }) {
  put("headline", headline);
  put("why", why);
}

/** For those who listen: what follows from what they did, and changes of the weather. Not every read. @param {string} text */
export function say(text) {
  put("said", text);
}

/** @param {import("./server.js").Connection} connection @param {number | null} retryMs */
export function showConnection(connection, retryMs) {
  const { state, stats } = connection;
  document.body.dataset.state = state;
  put("pill", state === "idle" ? "not used yet" : state);
  const counts = `${plural(connection.attempts, "attempt")}, ${plural(connection.reuses, "reuse")}`;
  put("pill-counts", state === "idle" ? "" : `· ${counts}`);
  put("state", state);
  put("state-why", stateWords(state, retryMs));
  put("attempts", connection.attempts);
  put("reuses", connection.reuses);
  put("failures", connection.failures);
  put("last-error", errorWords(connection.lastError));
  put("journal", stats.journal);
  put("requests", stats.requests);
  put("hits", stats.hits);
  put("misses", stats.misses);
  put("bypasses", stats.bypasses);
}

/** @param {string | null} fault */
export function showFault(fault) {
  document.body.dataset.fault = fault ?? "healthy";
  put("redis-word", faultWord(fault));
  for (const radio of radios("fault")) radio.checked = radio.value === fault;
}

/** @param {boolean} demo whether Redis may be broken here */
export function showSwitches(demo) {
  for (const id of ["faults", "burst-card", "hint"]) element(id).hidden = !demo;
}

/** @param {import("./server.js").BurstReport} report @param {string} why */
export function showBurst(report, why) {
  put("burst-ok", report.ok);
  put("burst-attempts", report.attempts);
  put("burst-attempts-word", report.attempts === 1 ? "attempt to connect" : "attempts to connect");
  put("burst-computations", report.computations);
  put("burst-computations-word", report.computations === 1 ? "computation" : "computations");
  put("burst-why", why);
  const alone = report.ok - report.shared;
  element("crowd").replaceChildren(
    ...Array.from({ length: report.requests }, (_, i) => {
      const dot = document.createElement("i");
      dot.className = i < alone ? "worked" : i < report.ok ? "shared" : "failed";
      return dot;
    }),
  );
  element("burst-result").hidden = false;
}

/** @param {readonly import("./server.js").Line[]} lines */
export function showEvents(lines) {
  events.show(lines);
}

export function clearEvents() {
  events.clear();
}

/** @param {string} reason "" when all is well */
export function showGone(reason) {
  put("gone", reason);
  element("gone").hidden = reason === "";
}

/** @param {string} name @returns {HTMLInputElement[]} */
export function radios(name) {
  const inputs = [...document.querySelectorAll("input")];
  return inputs.filter((one) => one.type === "radio" && one.name === name);
}
