/**
 * The sizes of what the package ships, in bytes: as it is, minified as a bundler would, and that compressed.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { ROOT } from "../setup/folders.mjs";

/**
 * @typedef {{ raw: number, min: number, gzip: number }} Size
 */

/** @returns {Promise<string>} a table; what a worker loads is the sum of its last lines */
export async function sizeTable() {
  const [worker, node, wasm] = [
    await script("dist/index.js"),
    await script("dist/node.js"),
    measure("dist/leeward.wasm"),
  ];
  const sum = { raw: worker.raw + wasm.raw, min: worker.min + wasm.min, gzip: worker.gzip + wasm.gzip };
  /** @type {[string, Size][]} */
  const rows = [
    ["dist/node.js", node],
    ["dist/index.js", worker],
    ["dist/leeward.wasm", wasm],
    ["a worker loads (the last two)", sum],
  ];
  const line = (/** @type {string} */ name, /** @type {(string | number)[]} */ cells) =>
    `  ${name.padEnd(30)}${cells.map((cell) => cell.toLocaleString("en-US").padStart(10)).join("")}`;
  return [
    line("bytes", ["raw", "min", "gzip -9"]),
    ...rows.map(([name, size]) => line(name, [size.raw, size.min, size.gzip])),
  ].join("\n");
}

/**
 * @param {string} path
 * @returns {Promise<Size>}
 */
async function script(path) {
  const { transform } = await import("esbuild");
  const text = readFileSync(join(ROOT, path), "utf8");
  const { code } = await transform(text, { minify: true, format: "esm", target: "es2022", charset: "utf8" });
  return { ...measure(path), ...compressed(Buffer.from(code)) };
}

/**
 * @param {string} path
 * @returns {Size}
 */
function measure(path) {
  const bytes = readFileSync(join(ROOT, path));
  return { raw: bytes.length, ...compressed(bytes) };
}

/** @param {Buffer} bytes */
function compressed(bytes) {
  return { min: bytes.length, gzip: gzipSync(bytes, { level: 9 }).length };
}
