/** What Lua 5.1 does where JavaScript does something else. Texts have one character for each byte. */

/** White space as `%s` has it: JavaScript's own would take a byte 0xA0 in the middle of a letter for a space. */
const WORD = /[^ \t\n\v\f\r]+/g;
const NUMBER =
  /^[ \t\n\v\f\r]*([+-]?(?:0[xX][0-9a-fA-F]+|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?))[ \t\n\v\f\r]*$/;

/** `string.gmatch(text, '%S+')` */
export function words(text: string | null | undefined): string[] {
  return text?.match(WORD) ?? [];
}

/** `tonumber(text)`; NaN where Lua gives nil, which compares as nothing does. */
export function number(text: string | null | undefined): number {
  const [, digits] = NUMBER.exec(text ?? "") ?? [];
  if (digits === undefined) return Number.NaN;
  return /^[+-]0x/i.test(digits) ? (digits[0] === "-" ? -1 : 1) * Number(digits.slice(1)) : Number(digits);
}

/** `tonumber(text) or 0` */
export function numberOr0(text: string | null | undefined): number {
  const value = number(text);
  return Number.isNaN(value) ? 0 : value;
}

/** `string.format('%.0f', value)` of a whole number: all its digits. */
export function digits(value: number): string {
  return BigInt(value).toString();
}
