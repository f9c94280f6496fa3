/**
 * Whether memory is flat: samples of the run, and what they say.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

const MIB = 1024 * 1024;

/**
 * @param {number} pid
 * @returns {number} bytes
 */
export function residentBytes(pid) {
  try {
    const line = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
    if (line) return Number(line[1]) * 1024;
  } catch {
    // Not every system has such files.
  }
  return Number(execFileSync("ps", ["-o", "rss=", "-p", String(pid)], { encoding: "utf8" })) * 1024;
}

/**
 * @typedef {object} Sample
 * @property {number} at ms since the load began
 * @property {number} resident bytes, of the process
 * @property {number} wasm bytes
 */

/**
 * @param {readonly Sample[]} samples
 * @returns {{ warm: number, end: number, slope: number, wasmWarm: number, wasmEnd: number }} bytes; `warm`: the median of the
 *   first third after warm-up, `end`: that of the last; `slope`: bytes a minute between the two
 */
export function trend(samples) {
  const last = samples.at(-1)?.at ?? 0;
  const after = samples.filter(({ at }) => at >= last / 4);
  const third = Math.max(1, Math.floor(after.length / 3));
  const [first, final] = [after.slice(0, third), after.slice(-third)];
  const warm = median(first.map(({ resident }) => resident));
  const end = median(final.map(({ resident }) => resident));
  const minutes = (median(final.map(({ at }) => at)) - median(first.map(({ at }) => at))) / 60_000;
  return {
    warm,
    end,
    slope: minutes > 0 ? (end - warm) / minutes : 0,
    wasmWarm: median(first.map(({ wasm }) => wasm)),
    wasmEnd: samples.at(-1)?.wasm ?? 0,
  };
}

/** @param {readonly number[]} numbers */
function median(numbers) {
  return [...numbers].sort((a, b) => a - b)[numbers.length >> 1] ?? 0;
}

/** @param {number} bytes */
export function mib(bytes) {
  return (bytes / MIB).toFixed(1);
}
