/** Guards `npm run soak`: a short run of it holds, and it would notice what it is there for. */
import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import { judge } from "./judge.mjs";
import { residentBytes, type Sample, trend } from "./memory.mjs";
import { soak } from "./soak.mjs";
import type { Look } from "./visit.ts";
import { Visitors } from "./visitors.mjs";

const MIB = 1024 * 1024;

test("some seconds of it hold", { timeout: 60_000 }, async () => {
  const lines: string[] = [];
  const held = await soak({ minutes: 0.1, seed: 1, leavers: 0, say: (line) => void lines.push(line) });
  expect(lines.filter((line) => line.startsWith("FAIL"))).toEqual([]);
  expect(held).toBe(true);
  expect(lines[0]).toContain("--seed 1");
  expect(lines.some((line) => /^ {2}0\.1 min: \d{2,} visits, /.test(line))).toBe(true);
});

/** Half an hour in which both memories grow by so much each minute. */
function growing(resident: number, wasm: number): Sample[] {
  return Array.from({ length: 900 }, (_, i) => ({
    at: i * 2000,
    resident: 150 * MIB + (resident * i) / 30 + (i % 7) * MIB,
    wasm: 3 * MIB + Math.floor((wasm * i) / 30 / 65_536) * 65_536,
  }));
}

test("growth is told from breathing", () => {
  expect(trend(growing(0, 0)).slope).toBe(0);
  expect(trend(growing(MIB, 0)).slope).toBeCloseTo(MIB, -3);
  expect(residentBytes(process.pid)).toBeGreaterThan(10 * MIB);
});

const LOOK: Look = {
  stats: {
    ...{ hits: 5, stale: 1, misses: 2, bypasses: 2, shared: 0, callbacks: 4, fills: 2, fillsRefused: 0 },
    ...{
      fillsFailed: 0,
      unstorable: 0,
      rejected: 0,
      compressedFrom: 0,
      compressedTo: 0,
      invalidationsApplied: 1,
      invalidationsPending: 1,
    },
    ...{ invalidationsRefused: 0, journal: 0, requests: 9, commands: 9 },
  },
  connection: {
    ...{ state: "ready", isOpen: true, isReady: true, attempts: 1, reuses: 0, failures: 0, lastError: null },
    ...{ changedAt: 1, until: null },
  },
  ...{ reads: 10, served: 10, failed: 0, callbacks: 4, unhandled: 0, events: {}, instances: 1 },
  ...{ wasmBytes: 3 * MIB, underWay: [0, 0, 0, 0] },
};

function verdict(change: {
  look?: Partial<Look>;
  samples?: Sample[];
  visitors?: Partial<Visitors>;
  log?: string;
}) {
  const visitors = Object.assign(
    new Visitors(),
    { verified: 1, changes: { applied: 1, pending: 1, refused: 0 } },
    change.visitors,
  );
  const failed: string[] = [];
  const held = judge({
    samples: [change.samples ?? growing(0, 0)],
    arrived: [9],
    looks: [{ ...LOOK, ...change.look }],
    logs: [change.log ?? ""],
    visitors,
    minutes: 30,
    faults: 1,
    say: (line) => void (line.startsWith("FAIL") && failed.push(line)),
  });
  expect(held).toBe(failed.length === 0);
  return failed.join("\n");
}

test("the verdict is bad when one thing is", () => {
  expect(verdict({})).toBe("");
  expect(verdict({ samples: growing(2 * MIB, 0) })).toMatch(/RSS is flat/);
  expect(verdict({ samples: growing(0, 65_536) })).toMatch(/wasm memory is flat/);
  expect(verdict({ visitors: { errors: 1 } })).toMatch(/no error reached a client/);
  expect(verdict({ visitors: { verified: 0 } })).toMatch(/nothing older/);
  expect(verdict({ visitors: { changes: { applied: 1, pending: 0, refused: 0 } } })).toMatch(
    /pending writes/,
  );
  expect(verdict({ look: { reads: 9, served: 9 } })).toMatch(/= reads/);
  expect(verdict({ look: { callbacks: 5 } })).toMatch(/callbacks/);
  expect(verdict({ look: { unhandled: 1 } })).toMatch(/unhandled/);
  expect(verdict({ look: { instances: 2 } })).toMatch(/trap/);
  expect(verdict({ look: { underWay: [1, 1, 0, 0] } })).toMatch(/under way/);
  expect(verdict({ look: { stats: { ...LOOK.stats, journal: 1 } } })).toMatch(/came to an end/);
  expect(verdict({ look: { stats: { ...LOOK.stats, requests: 8 } } })).toMatch(/requests/);
  expect(verdict({ log: "Uncaught (in promise)" })).toMatch(/complaint/);
});

test.each([
  ["--minutes", "0"],
  ["--minutes", "soon"],
  ["--seed", "-1"],
  ["--hours", "1"],
])("a bad argument is refused: %s %s", (name, value) => {
  const script = new URL("../../scripts/soak.mjs", import.meta.url).pathname;
  const { status, stderr } = spawnSync(process.execPath, [script, `${name}=${value}`], { encoding: "utf8" });
  expect(status).toBe(1);
  expect(stderr).toContain(name);
});
