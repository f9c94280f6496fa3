import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { expect, onTestFinished, test } from "vitest";
import { spawnWrangler } from "../../scripts/start/wrangler.mjs";
import { BOUND } from "./visitor.js";

test("wrangler deploy takes the demo worker as it is, with its wasm", { timeout: BOUND }, async () => {
  const out = mkdtempSync(join(tmpdir(), "leeward-deploy-"));
  onTestFinished(() => rmSync(out, { recursive: true, force: true }));
  const child = spawnWrangler(["deploy", "--dry-run", "--outdir", out]);
  const exited = new Promise((resolve) => child.once("close", resolve));
  const output = await Promise.all([text(child.stdout), text(child.stderr)]);
  expect(await exited, output.join("\n")).toBe(0);
  expect(output.join("\n")).toContain("Total Upload");
  const files = readdirSync(out);
  expect(files).toContain("worker.js");
  expect(files.some((file) => file.endsWith(".wasm"))).toBe(true);
});
