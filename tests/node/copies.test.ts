/** Two copies of the package in one process, as bundlers make them: one connection, and errors that each knows as its own. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, expect, test, vi } from "vitest";
import { rejection, startStage } from "./stage.ts";

type Leeward = typeof import("leeward");

const DIST = fileURLToPath(new URL("../../dist", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "leeward-copies-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function copy(name: string, version?: string): Promise<Leeward> {
  const to = join(folder, name);
  cpSync(DIST, to, { recursive: true });
  writeFileSync(join(to, "package.json"), '{ "type": "module" }\n');
  const entry = join(to, "node.js");
  if (version !== undefined) {
    const { version: present } = JSON.parse(readFileSync(join(DIST, "../package.json"), "utf8")) as {
      version: string;
    };
    const source = readFileSync(entry, "utf8");
    expect(source).toContain(`"${present}"`);
    writeFileSync(entry, source.replaceAll(`"${present}"`, JSON.stringify(version)));
  }
  return (await import(/* @vite-ignore */ pathToFileURL(entry).href)) as Leeward;
}

const [first, second] = [await copy("first"), await copy("second")];
const another = await copy("another", "0.0.0-another");

test("they are copies", () => {
  expect(first.createCache).not.toBe(second.createCache);
});

test("they share one connection, its one attempt and its counters", async () => {
  const { settings, gateway } = await startStage();
  const caches = [first, second].map(({ createCache }) => createCache(settings));
  await Promise.all(
    caches.flatMap((cache, i) =>
      Array.from({ length: 5 }, (_, k) => cache.for().getOrSet(`key-${i}-${k}`, () => k)),
    ),
  );
  expect(caches.map(({ connection }) => connection)).toEqual([caches[0]?.connection, caches[0]?.connection]);
  expect(caches[1]?.connection).toMatchObject({ state: "ready", attempts: 1, reuses: 9 });
  expect(caches[0]?.stats()).toEqual(caches[1]?.stats());
  await gateway.idle();
});

test("they share flights: one callback for one key", async () => {
  const { settings, gateway } = await startStage();
  const load = vi.fn(async () => ({ made: "once" }));
  const caches = [first, second].map(({ createCache }) => createCache(settings));
  const values = await Promise.all([...caches, ...caches].map((cache) => cache.for().getOrSet("key", load)));
  expect(load).toHaveBeenCalledOnce();
  expect(values).toEqual(Array.from({ length: 4 }, () => ({ made: "once" })));
  expect(new Set(values).size).toBe(4);
  await gateway.idle();
});

test("what one invalidates without success, the other does not serve", async () => {
  const { settings, gateway } = await startStage();
  const [writer, reader] = [first.createCache(settings), second.createCache(settings)];
  await writer.set("key", "old");
  await gateway.fault("status", { code: 503, times: 1 });
  const write = rejection(writer.invalidate({ keys: ["key"] }));
  expect(await write).toMatchObject({ state: "pending" });
  expect(await reader.getOrSet("key", () => "new")).toBe("new");
  expect(await reader.get("key")).not.toBe("old");
});

test("an error of one is known to the other, by brand; nothing else is", async () => {
  const errors = await Promise.all(
    [first, second, another].map(({ createCache }) =>
      rejection(createCache({ url: "nonsense", onEvent() {} }).invalidate({ keys: ["key"] })),
    ),
  );
  for (const error of errors) {
    for (const { isLeewardError } of [first, second, another]) expect(isLeewardError(error)).toBe(true);
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({
      name: "InvalidationError",
      code: "unconfigured",
      kind: "config",
      retryable: false,
      state: "refused",
      keys: ["key"],
    });
  }
  const lookalike = Object.assign(new Error("x"), { name: "InvalidationError", code: "unconfigured" });
  for (const other of [lookalike, new TypeError("x"), null, undefined, "x", 7, {}, () => {}]) {
    expect(first.isLeewardError(other)).toBe(false);
  }
});

test("a copy of another version has a connection of its own", async () => {
  const { settings } = await startStage();
  const caches = [first, another].map(({ createCache }) => createCache(settings));
  await Promise.all(caches.map((cache) => cache.get("key")));
  expect(caches.map(({ connection }) => connection.attempts)).toEqual([1, 1]);
  expect(caches.map((cache) => cache.stats().requests)).toEqual([1, 1]);
});
