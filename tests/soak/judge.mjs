/**
 * The verdict: what must hold at the end of a soak, each with its figures.
 *
 * @module
 */
import { mib, trend } from "./memory.mjs";

/** @typedef {import("./visit.ts").Look} Look */

const MIB = 1024 * 1024;
/** A process breathes by so much: the collector of JavaScript takes its time. */
const BREATH = 0.1;
const MIN_BREATH = 12 * MIB;
/** What a table of the core may still grow by, once: that of operations takes so much when there are more than 224 of them. */
const WASM_ROOM = 512 * 1024;
/** Of what the runtime says. */
const MAX_SAID = 5;
/** Of a shorter run nobody can tell growth from warming up. */
const MIN_MINUTES = 5;

/**
 * @param {object} run
 * @param {readonly (readonly import("./memory.mjs").Sample[])[]} run.samples of each isolate, as are the next three
 * @param {readonly number[]} run.arrived requests, as the gateway counted them
 * @param {readonly Look[]} run.looks
 * @param {readonly string[]} run.logs
 * @param {import("./visitors.mjs").Visitors} run.visitors
 * @param {number} run.minutes
 * @param {number} run.faults
 * @param {(line: string) => void} run.say
 * @returns {boolean}
 */
export function judge({ samples, arrived, looks, logs, visitors, minutes, faults, say }) {
  let ok = true;
  /** @type {(holds: boolean, what: string, figures: string) => void} */
  const check = (holds, what, figures) => {
    ok &&= holds;
    say(`${holds ? "ok  " : "FAIL"} ${what}: ${figures}`);
  };
  const { changes, wrong } = visitors;
  const flat = minutes < MIN_MINUTES ? "not judged, the run is too short" : "flat";
  const written = changes.applied + changes.pending + changes.refused;
  say(
    `${visitors.visits} visits (${visitors.left} left before the answer), ${visitors.reads} reads, ${written} changes, ${faults} faults`,
  );
  check(visitors.errors === 0, "no error reached a client", `${visitors.errors} errors`);
  for (const one of wrong) say(`       ${one}`);
  check(
    visitors.verified > 0 && changes.applied > 0,
    "nothing older than an applied invalidation",
    `${visitors.verified} reads verified; ${changes.applied} changes applied, ${changes.pending} pending, ${changes.refused} refused`,
  );
  for (const [index, found] of looks.entries()) {
    const name = `isolate ${index + 1}`;
    const { stats, connection } = found;
    say(
      `     ${name}: ${JSON.stringify({ ...stats, attempts: connection.attempts, failures: connection.failures })}`,
    );
    say(`     ${name}: events ${JSON.stringify(found.events)}`);
    check(
      found.unhandled === 0 && found.instances === 1,
      `${name}: no unhandled rejection, no trap`,
      `${found.unhandled}, ${found.instances} instance`,
    );
    const outcomes = stats.hits + stats.stale + stats.misses + stats.bypasses;
    // Of a read whose visitor has left nobody knows whether it was answered.
    check(
      found.served <= outcomes && outcomes <= found.reads - found.failed,
      `${name}: hits + stale + misses + bypasses = reads`,
      `${stats.hits} + ${stats.stale} + ${stats.misses} + ${stats.bypasses} = ${outcomes}, of ${found.served} to ${found.reads - found.failed}`,
    );
    check(
      stats.callbacks === found.callbacks,
      `${name}: callbacks`,
      `${stats.callbacks} of ${found.callbacks}`,
    );
    check(
      stats.journal === 0,
      `${name}: every invalidation came to an end`,
      `${stats.journal} in the journal`,
    );
    const httpRequests = arrived[index] ?? 0;
    check(
      httpRequests <= stats.requests,
      `${name}: requests`,
      `${httpRequests} arrived of ${stats.requests} sent`,
    );
    check(
      // They stay in the tables until there is need for the room.
      found.underWay.every((n) => n <= visitors.left),
      `${name}: nothing under way but what leavers left`,
      `operations, requests, batches, flights: ${found.underWay.join(", ")}`,
    );
    const { warm, end, slope, wasmWarm, wasmEnd } = trend(samples[index] ?? []);
    check(
      minutes < MIN_MINUTES || end - warm <= Math.max(MIN_BREATH, BREATH * warm),
      `${name}: RSS is ${flat}`,
      `${mib(warm)} MiB after warm-up, ${mib(end)} MiB at the end, ${(slope / 1024).toFixed(0)} KiB a minute`,
    );
    check(
      minutes < MIN_MINUTES || wasmEnd - wasmWarm <= WASM_ROOM,
      `${name}: wasm memory is ${flat}`,
      `${mib(wasmWarm)} MiB after warm-up, ${mib(wasmEnd)} MiB at the end`,
    );
    const said = (logs[index] ?? "").split("\n").filter((line) => /uncaught|unhandled|hung/i.test(line));
    check(said.length === 0, `${name}: the runtime has no complaint`, said[0] ?? "none");
    for (const line of said.slice(1, MAX_SAID)) say(`       ${line}`);
  }
  const pending = looks.reduce((sum, { stats }) => sum + stats.invalidationsPending, 0);
  check(
    changes.pending <= pending && pending <= changes.pending + visitors.leftChanges,
    "pending writes",
    `${pending} told, ${changes.pending} heard`,
  );
  say(ok ? "soak: all of it held" : "soak: FAILED");
  return ok;
}
