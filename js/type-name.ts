/** The type of a value, as messages name it: never the value itself, which may be a secret. */
export function typeName(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "an array" : typeof value;
}
