/** A sample in which every two values of different factors that occur together at all occur together once. */

/** Greedy, and the same each time: the row next that has most pairs which none before it has. */
export function pairwise<T>(rows: readonly T[], factors: (row: T) => readonly string[]): T[] {
  const pairsOf = (row: T) => {
    const values = factors(row).map((value, i) => `${i}:${value}`);
    return values.flatMap((one, i) => values.slice(i + 1).map((other) => `${one} ${other}`));
  };
  const left = new Set(rows.flatMap(pairsOf));
  const sample: T[] = [];
  while (left.size > 0) {
    let best: T | undefined;
    let most = 0;
    for (const row of rows) {
      const count = pairsOf(row).filter((pair) => left.has(pair)).length;
      if (count > most) [best, most] = [row, count];
    }
    if (best === undefined) break;
    sample.push(best);
    for (const pair of pairsOf(best)) left.delete(pair);
  }
  return sample;
}
