/** The generated glue: importing it does nothing, and every call makes an instance of its own. */
import { readFileSync } from "node:fs";
import { createContext, runInContext } from "node:vm";
import { expect, test } from "vitest";

const glue = new URL("../../target/glue/leeward.js", import.meta.url);
const wasm = new URL("../../dist/leeward.wasm", import.meta.url);

const HOST = [
  ...[
    "TextDecoder",
    "TextEncoder",
    "FinalizationRegistry",
    "WebAssembly",
    "Uint8Array",
    "DataView",
    "Object",
  ],
  ...["fetch", "Request", "Response", "URL", "crypto", "Math", "Date", "Symbol", "performance", "setTimeout"],
];

test("importing the glue touches nothing that the host offers", () => {
  const world = createContext({});
  for (const name of HOST) {
    const get = () => {
      throw new Error(`touched ${name}`);
    };
    Object.defineProperty(world, name, { get });
  }
  const text = readFileSync(glue, "utf8");
  expect(text.match(/^(import|export)\b.*$/gm)).toEqual(["export function instantiate(wasmModule) {"]);
  runInContext(text.replace(/^export /m, ""), world);
  // That the call does touch something shows that the import would have been caught.
  expect(() => world.instantiate()).toThrow(/^touched /);
});

test("every instance has classes and functions of its own", async () => {
  const { instantiate } = await import(glue.href);
  const module = new WebAssembly.Module(readFileSync(wasm));
  const [one, other] = [instantiate(module), instantiate(module)];
  expect(Object.keys(one)).toEqual(Object.keys(other));
  const functions = Object.keys(one).filter((name) => typeof one[name] === "function");
  expect(functions.length).toBeGreaterThan(0);
  for (const name of functions) expect(one[name], name).not.toBe(other[name]);
});
