/** Redis could not be reached, or the socket broke before the answer came. */
export class UnreachableError extends Error {
  /** @param {string} message @param {unknown} [cause] */
  constructor(message, cause) {
    super(message, { cause });
    this.name = "UnreachableError";
  }
}
