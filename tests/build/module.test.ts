/** The checks that keep a module from being shipped: each must be able to fail. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { importNames, problemsOf } from "../../scripts/build/module.mjs";

const PAGES = 1024;
const rules = { imports: ["__wbg_now"], maxMemory: PAGES * 65_536 };

interface Import {
  module?: string;
  name: string;
}

/** A module that imports these functions and has a memory with this limit. */
function moduleOf(imports: Import[], maximum: number | null = PAGES): Uint8Array<ArrayBuffer> {
  const text = (value: string) => [value.length, ...new TextEncoder().encode(value)];
  const section = (id: number, content: number[]) => [id, ...leb(content.length), ...content];
  const limits = maximum === null ? [0, 1] : [1, 1, ...leb(maximum)];
  const entries = imports.map(({ module = "./leeward_bg.js", name }) => [
    ...text(module),
    ...text(name),
    0,
    0,
  ]);
  return Uint8Array.from([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [1, 0x60, 0, 0]),
    ...section(2, [imports.length, ...entries.flat()]),
    ...section(5, [1, ...limits]),
  ]);
}

function leb(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...leb(value >>> 7)];
}

const now = { name: "__wbg_now_0123456789abcdef" };

describe("problemsOf", () => {
  test("finds nothing wrong with a module that keeps the rules, whatever the hashes", () => {
    expect(problemsOf(moduleOf([now]), rules)).toEqual([]);
  });

  test("names an import that is not on the list", () => {
    const module = moduleOf([now, { name: "__wbg_random_0123456789abcdef" }]);
    expect(problemsOf(module, rules)).toEqual(["it imports __wbg_random, which is not on the list"]);
  });

  test("names a second import that goes by a name on the list", () => {
    const module = moduleOf([now, { name: "__wbg_now_fedcba9876543210" }]);
    expect(problemsOf(module, rules)).toEqual(["it imports __wbg_now, which is not on the list"]);
  });

  test("does not mind a name on the list that is not imported", () => {
    expect(problemsOf(moduleOf([]), rules)).toEqual([]);
  });

  test("names an import from another module than the glue", () => {
    const module = moduleOf([now, { module: "env", name: "__wbg_now" }]);
    expect(problemsOf(module, rules)).toEqual(["it imports the function env __wbg_now"]);
  });

  test("refuses a memory without the limit or with another", () => {
    expect(problemsOf(moduleOf([now], null), rules)).toEqual([
      "its memory may grow to any number of bytes, expected 67108864",
    ]);
    expect(problemsOf(moduleOf([now], 2048), rules)).toEqual([
      "its memory may grow to 134217728 bytes, expected 67108864",
    ]);
  });

  test("refuses a module that is cut off or damaged", () => {
    const whole = moduleOf([now]);
    const damaged = Uint8Array.from(whole);
    damaged[9] = 0xff;
    for (const bytes of [whole.slice(0, -1), whole.slice(0, 3), damaged, new Uint8Array()]) {
      expect(problemsOf(bytes, rules)).toEqual([expect.stringMatching(/^it does not compile: /)]);
    }
  });
});

test("the shipped module imports what has been reviewed, and its memory is limited", () => {
  const bytes = readFileSync(new URL("../../dist/leeward.wasm", import.meta.url));
  const imports = importNames(new WebAssembly.Module(bytes));
  expect(imports.length).toBeGreaterThan(0);
  expect(problemsOf(bytes, { ...rules, imports })).toEqual([]);
});
