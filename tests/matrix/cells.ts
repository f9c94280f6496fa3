/** The cells of the matrix, generated: every shared path, with everything that may befall its leader, whenever followers come. */
import { FLAG } from "../workerd/stage.ts";
import { NEWEST } from "../workerd/workerd.ts";
import { PATHS } from "./paths.ts";
import type { Path } from "./world.ts";

/** What befalls the leader. */
export const FATES = {
  normal: "answers in its time",
  early: "answers early",
  reset: "loses its client by RST",
  abort: "is aborted by the worker that has called it",
  never: "has a callback that never settles",
  throws: "has a callback that throws",
  timeout: "times out",
} as const;
export type Fate = keyof typeof FATES;

/** When followers come: while what is shared is under way, or once the leader has met its fate. */
export const TIMES = ["at the same time", "later"] as const;
export type Time = (typeof TIMES)[number];

export interface Runtime {
  name: string;
  compatibilityDate: string;
  flags: readonly string[];
}

/** Both dates, with either state of the flag. */
export const RUNTIMES: readonly Runtime[] = ["2024-09-01", NEWEST].flatMap((compatibilityDate) =>
  ["on", "off"].map((state) => ({
    name: `${compatibilityDate}, flag ${state}`,
    compatibilityDate,
    // That the client has gone is told to the worker.
    flags: [state === "on" ? FLAG : `no_${FLAG}`, "enable_request_signal"],
  })),
);

export interface Cell {
  path: Path;
  fate: Fate;
  time: Time;
  runtime: Runtime;
  /** Why it cannot occur. */
  cannot: string | undefined;
}

/** @param more reasons of the place where they are to run */
export function cellsOf(more: Partial<Record<Fate, string>> = {}): Cell[] {
  const fates = Object.keys(FATES) as Fate[];
  return RUNTIMES.flatMap((runtime) =>
    PATHS.flatMap((path) =>
      fates.flatMap((fate) =>
        TIMES.map((time) => ({ path, fate, time, runtime, cannot: path.cannot[fate] ?? more[fate] })),
      ),
    ),
  );
}

export const nameOf = ({ path, fate, time }: Cell) =>
  `${path.name}: the leader ${FATES[fate]}, followers come ${time}`;

/** What is printed of a run. */
export function summary(cells: readonly Cell[], ran: number, ms: number): string {
  const impossible = cells.filter(({ cannot }) => cannot !== undefined);
  const reasons = new Map<string, number>();
  for (const { path, fate, cannot } of impossible) {
    const reason = `${path.name}: the leader ${FATES[fate]}: ${cannot}`;
    reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  }
  const lines = [...reasons].map(([reason, count]) => `  ${count} x ${reason}`);
  const possible = cells.length - impossible.length;
  return [
    `matrix: ${ran} of ${possible} cells ran, in ${(ms / 1000).toFixed(1)} s; ${impossible.length} cannot occur:`,
    ...lines,
  ].join("\n");
}
