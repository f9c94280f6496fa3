/** The marks of running mutates, as a hash's field `m` lists them: a token and the end of its life (ms), again and again. */

/** What no script would have written is none: a longer list; a mark that ends later than that. */
const MAX_LENGTH = 16_384;
const MAX_LEFT = 600_000;

export interface Mark {
  readonly token: string;
  readonly till: number;
}

/** Those that live. */
export function marksIn(field: string | null | undefined, now: number): Mark[] {
  if (typeof field !== "string" || field.length > MAX_LENGTH) return [];
  const found = Array.from(field.matchAll(/([^ \t\n\v\f\r]+) ([0-9]+)/g), ([, token = "", till]) => ({
    token,
    till: Number(till),
  }));
  return found.filter(({ till }) => till > now && till - now <= MAX_LEFT);
}

/** Whether a mutate is running. */
export function isMarked(field: string | null | undefined, now: number): boolean {
  return marksIn(field, now).length > 0;
}
