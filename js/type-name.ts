/** The type of a value, as messages name it: never the value itself, which may be a secret. */
export function typeName(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "an array" : typeof value;
}

/** Whether a value has names and nothing else to it: no list, `Map` or `AbortSignal`, which would be taken for one without names. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return Object.prototype.toString.call(value) === "[object Object]";
}

/** Checks what was given for options. */
export function checkRecord(options: unknown): asserts options is Readonly<Record<string, unknown>> {
  if (isRecord(options)) return;
  const kind = Object.prototype.toString.call(options).slice("[object ".length, -1);
  const got = typeof options === "object" && options !== null ? `a value of type ${kind}` : typeName(options);
  throw new TypeError(`options must be an object, got ${got}`);
}
