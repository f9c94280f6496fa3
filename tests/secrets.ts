/** Looks for planted secrets in what was told, also in the disguises in which they get into logs. */

/** So long a piece of a secret is as bad as all of it. */
const PIECE = 8;

/** A secret's disguises: as it is, URL-encoded, in JSON, and in base64 at each of the three places where it may begin. */
function disguises(secret: string): string[] {
  const base64 = [0, 1, 2].map((before) => {
    const bytes = Buffer.concat([Buffer.alloc(before), Buffer.from(secret)]);
    // What depends on neighbours, at either end, is left out.
    const whole = bytes.toString("base64").replaceAll("=", "");
    return whole.slice(before === 0 ? 0 : before + 1, -2);
  });
  return [secret, encodeURIComponent(secret), JSON.stringify(secret).slice(1, -1), ...base64];
}

/** The pieces of the secrets, in whatever disguise, that the text holds. */
export function secretsIn(text: string, secrets: readonly string[]): string[] {
  const folded = text.toLowerCase();
  const found = new Set<string>();
  for (const secret of secrets) {
    for (const disguise of disguises(secret)) {
      for (let at = 0; at === 0 || at + PIECE <= disguise.length; at += 1) {
        const piece = disguise.slice(at, at + PIECE);
        if (folded.includes(piece.toLowerCase())) found.add(piece);
      }
    }
  }
  return [...found];
}
