/**
 * What the shipped WebAssembly module must be: whole, with a limit to its memory, and importing only what has been
 * reviewed.
 *
 * @module
 */

/** The module of all imports, as wasm-bindgen names it for the glue. */
const GLUE = "./leeward_bg.js";
const PAGE = 65_536;

/**
 * @typedef {object} Rules
 * @property {readonly string[]} imports the names that may be imported; a name twice for two imports
 * @property {number} maxMemory in bytes
 */

/**
 * @param {Uint8Array<ArrayBuffer>} bytes
 * @param {Rules} rules
 * @returns {string[]} what is wrong with it
 */
export function problemsOf(bytes, rules) {
  let module;
  try {
    module = new WebAssembly.Module(bytes);
  } catch (error) {
    return [`it does not compile: ${error instanceof Error ? error.message : error}`];
  }
  const imports = WebAssembly.Module.imports(module);
  const foreign = imports.filter((one) => one.module !== GLUE || one.kind !== "function");
  const names = importNames(module);
  const maximum = maximumMemory(bytes);
  return [
    ...foreign.map((one) => `it imports the ${one.kind} ${one.module} ${one.name}`),
    ...without(names, rules.imports).map((name) => `it imports ${name}, which is not on the list`),
    ...(maximum === rules.maxMemory
      ? []
      : [`its memory may grow to ${maximum ?? "any number of"} bytes, expected ${rules.maxMemory}`]),
  ];
}

/**
 * The names of the glue's functions that a module imports, sorted. Without wasm-bindgen's hashes and counters, which change
 * with every version of a crate and say nothing about what is imported; but as often as there are imports, because
 * `new Error` and `new WebSocket` have the same name.
 * @param {WebAssembly.Module} module
 */
export function importNames(module) {
  const own = WebAssembly.Module.imports(module).filter((one) => one.module === GLUE);
  return own.map((one) => one.name.replace(/_[0-9a-f]{16}$/, "")).sort();
}

/**
 * @param {readonly string[]} names
 * @param {readonly string[]} others
 * @returns {string[]} the names, each as many times as it is there more often than in the others
 */
export function without(names, others) {
  const rest = [...others];
  return names.filter((name) => {
    const at = rest.indexOf(name);
    if (at >= 0) rest.splice(at, 1);
    return at < 0;
  });
}

/**
 * Reads the section of memories: JavaScript's own interface does not tell.
 * @param {Uint8Array} bytes a valid module
 * @returns {number | undefined} in bytes; `undefined` without a limit or a memory
 */
function maximumMemory(bytes) {
  let at = 8;
  const number = () => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++] ?? 0;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const section = number();
    const size = number();
    if (section !== 5) {
      at += size;
      continue;
    }
    const count = number();
    const limited = count === 1 && (number() & 1) === 1;
    if (!limited) return undefined;
    number();
    return number() * PAGE;
  }
  return undefined;
}
