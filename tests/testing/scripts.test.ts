/** The scripts' implementations in JavaScript are kept in step with the Lua that the core sends. */
import { readFileSync } from "node:fs";
import { createTestRedis } from "leeward/testing";
import { expect, test } from "vitest";
import { sha1 } from "./sha1.ts";
import { SCRIPTS } from "./steps.ts";

const text = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");
const NAMES = ["read", "fill", "drop"] as const;

test.for(NAMES)("%s.lua is the text that its implementation was written after", (name) => {
  const written = /written: "([0-9a-f]{40})"/.exec(text(`js/testing/${name}.ts`))?.[1];
  const changed = `src/core/redis/${name}.lua has changed: do the same in js/testing/${name}.ts, then put its SHA-1 there as \`written\``;
  expect(written, changed).toBe(sha1(SCRIPTS[name]));
});

test("each is known by the hashes that the core sends, of both dialects", () => {
  const core = [...text("src/core/redis/script.rs").matchAll(/Dialect::(\w+)\) => "([0-9a-f]{40})"/g)];
  const sent = core.map(([, dialect, sha]) => `${dialect} ${sha}`).sort();
  expect(sent).toHaveLength(6);
  const redis = createTestRedis();
  const headers = { Redis: "", Upstash: /"(#!lua [^"\\]*)\\n"/.exec(text("src/core/redis/script.rs"))?.[1] };
  const known = Object.entries(headers).flatMap(([dialect, header]) => {
    const texts = NAMES.map((name) => (header === "" ? SCRIPTS[name] : `${header}\n${SCRIPTS[name]}`));
    return texts.map((script) => `${dialect} ${redis.command("SCRIPT", "LOAD", script)}`);
  });
  expect(known.sort()).toEqual(sent);
});

test("a script is called by its hash only after it has been told", () => {
  const redis = createTestRedis();
  const sha = sha1(SCRIPTS.drop);
  const drop = () => redis.command("EVALSHA", sha, "1", "k", "", "", "");
  expect(drop).toThrow("NOSCRIPT");
  expect(redis.command("EVAL", SCRIPTS.drop, "1", "k", "", "", "")).toBe(1);
  expect(drop()).toBe(1);
  redis.command("SCRIPT", "FLUSH");
  expect(drop).toThrow("NOSCRIPT");
});

test("no other script runs, and the error says so", () => {
  const redis = createTestRedis();
  const said = "ERR leeward/testing runs Leeward's own scripts (read, fill, drop), and no others";
  expect(() => redis.command("EVAL", "return 1", "0")).toThrow(said);
  expect(() => redis.command("SCRIPT", "LOAD", "return 1")).toThrow(said);
});
