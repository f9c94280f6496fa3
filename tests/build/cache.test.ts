/** A step of the build that is skipped although something has changed ships yesterday's package. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { once } from "../../scripts/build/cache.mjs";
import { ROOT, STATE } from "../../scripts/setup/folders.mjs";

let folder: string;
let runs: number;
beforeEach(() => {
  mkdirSync(STATE, { recursive: true });
  folder = mkdtempSync(join(STATE, "test-"));
  mkdirSync(join(folder, "in"));
  put("in/a", "one");
  runs = 0;
});
afterEach(() => {
  rmSync(folder, { recursive: true });
  rmSync(join(STATE, "build", name()), { force: true });
});

const name = () => relative(STATE, folder);
const path = (file: string) => relative(ROOT, join(folder, file));
const put = (file: string, text: string) => writeFileSync(join(folder, file), text);

/** Runs a step that copies nothing but counts, from the folder `in` to the file `out`. */
function step(also = ""): Promise<boolean> {
  return once({ name: name(), inputs: [path("in")], outputs: [path("out")], also }, async () => {
    runs += 1;
    put("out", "built");
  });
}

test("does a step once", async () => {
  expect([await step(), await step(), await step()]).toEqual([true, false, false]);
  expect(runs).toBe(1);
});

test("does it again when an input changes, is added or removed", async () => {
  await step();
  put("in/a", "two");
  expect(await step()).toBe(true);
  put("in/b", "");
  expect(await step()).toBe(true);
  rmSync(join(folder, "in/b"));
  expect(await step()).toBe(true);
  expect(await step()).toBe(false);
});

test("does it again when the output is damaged or gone", async () => {
  await step();
  put("out", "buil");
  expect(await step()).toBe(true);
  rmSync(join(folder, "out"));
  expect(await step()).toBe(true);
});

test("does it again when what else decides changes", async () => {
  await step("compiler 1");
  expect(await step("compiler 2")).toBe(true);
  expect(await step("compiler 2")).toBe(false);
});

test("does it again after a failure", async () => {
  await step();
  put("in/a", "two");
  const failing = { name: name(), inputs: [path("in")], outputs: [path("out")] };
  await expect(once(failing, () => Promise.reject(new Error("no")))).rejects.toThrow("no");
  put("in/a", "one");
  expect(await step()).toBe(true);
});

test("does it again when an input was edited while it ran", async () => {
  const inputs = { name: name(), inputs: [path("in")], outputs: [path("out")] };
  await once(inputs, async () => {
    put("out", "built");
    put("in/a", "edited");
  });
  expect(await step()).toBe(true);
});
