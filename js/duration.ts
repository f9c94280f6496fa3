/** Durations as users give them, for where there is no core to read them. */

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** @throws TypeError for what is no duration. */
export function milliseconds(duration: unknown): number {
  const [, digits, unit = ""] =
    typeof duration === "string" ? (/^(\d+(?:\.\d+)?)(ms|[smhd])$/.exec(duration) ?? []) : [];
  const ms = typeof duration === "number" ? duration : Number(digits) * (UNITS[unit] ?? Number.NaN);
  if (Number.isFinite(ms) && ms >= 0) return Math.round(ms);
  throw new TypeError(
    `expected a duration that is not negative, in milliseconds or with its unit as in "250ms", "5s", "5m", "1h", "7d"; got ${
      typeof duration === "string" ? JSON.stringify(duration) : String(duration)
    }`,
  );
}
