/** A callback that the test ends, and what it was given. */
import type { Fill } from "leeward";
import { vi } from "vitest";

export function gated() {
  const gate = Promise.withResolvers<string>();
  let given: Fill | undefined;
  const load = vi.fn((fill: Fill) => {
    given = fill;
    return gate.promise;
  });
  const signal = () => {
    if (given === undefined) throw new Error("the callback has not begun");
    return given.signal;
  };
  return { load, signal, open: gate.resolve, fail: gate.reject };
}
