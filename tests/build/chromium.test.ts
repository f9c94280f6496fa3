import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { ensureChromium, findChromium } from "../../scripts/setup/chromium.mjs";

const folder = mkdtempSync(join(tmpdir(), "leeward-chromium-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function program(name: string, mode = 0o755): string {
  const path = join(folder, name);
  writeFileSync(path, "#!/bin/sh\n");
  chmodSync(path, mode);
  return path;
}

/** `ensureChromium` with LEEWARD_CHROMIUM set so. */
async function ensureWith(chosen: string): Promise<void> {
  const before = process.env.LEEWARD_CHROMIUM;
  process.env.LEEWARD_CHROMIUM = chosen;
  try {
    await ensureChromium();
  } finally {
    if (before === undefined) delete process.env.LEEWARD_CHROMIUM;
    else process.env.LEEWARD_CHROMIUM = before;
  }
}

describe("the Chromium of the tests", () => {
  test("is the one of LEEWARD_CHROMIUM, a path or a name on the PATH, and no other", () => {
    const own = program("own-browser");
    program("chromium");
    const text = program("not-executable", 0o644);
    expect(findChromium({ LEEWARD_CHROMIUM: own, PATH: folder })).toBe(own);
    expect(findChromium({ LEEWARD_CHROMIUM: "own-browser", PATH: folder })).toBe(own);
    expect(findChromium({ LEEWARD_CHROMIUM: text, PATH: folder })).toBeUndefined();
    expect(findChromium({ LEEWARD_CHROMIUM: "missing", PATH: folder })).toBeUndefined();
  });

  test("is looked for on the PATH by the names that it goes by, and by those of Google Chrome", () => {
    const chrome = program("google-chrome");
    expect(findChromium({ PATH: folder })).toBe(program("chromium"));
    rmSync(join(folder, "chromium"));
    expect(findChromium({ PATH: folder })).toBe(chrome);
  });

  test("is not fetched when it is there, and a wrong LEEWARD_CHROMIUM is told with the ways out", async () => {
    await ensureWith(program("own-browser"));
    await expect(ensureWith("/missing/chrome")).rejects.toThrow(
      /LEEWARD_CHROMIUM is "\/missing\/chrome", which is not an executable file\n {2}any of these helps:/,
    );
  });
});
