/** The marks of running mutates, as a hash's field `m` lists them: a token and the end of its life (ms), again and again. */

export interface Mark {
  readonly token: string;
  readonly till: number;
}

export function marksIn(field: string | null | undefined): Mark[] {
  const found = (field ?? "").matchAll(/([^ \t\n\v\f\r]+) ([0-9]+)/g);
  return Array.from(found, ([, token = "", till]) => ({ token, till: Number(till) }));
}

/** Whether a mutate is running. */
export function isMarked(field: string | null | undefined, now: number): boolean {
  return marksIn(field).some(({ till }) => till > now);
}
