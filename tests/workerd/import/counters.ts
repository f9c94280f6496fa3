/**
 * Wraps everything that promise P1 forbids while a module loads, and counts what is used of it. Imported before "leeward", so
 * that nothing can be taken away before it is watched. Fit for workerd and node.
 */
const counts: Record<string, number> = {};

/** What has been used since the last time, by name; empty when nothing has. */
export function used(): Record<string, number> {
  const now = { ...counts };
  for (const name of Object.keys(counts)) delete counts[name];
  return now;
}

/** The names that are watched: a test asks for it, so that a wrapper that could not be put in is noticed. */
export const watched: string[] = [];

/** Counts the calls and constructions of `owner[name]`. */
function watch(owner: object, name: string, as: string): void {
  const original: unknown = Reflect.get(owner, name);
  if (typeof original !== "function") return;
  const wrapped = new Proxy(original, {
    apply(target, self, args) {
      count(as);
      return Reflect.apply(target as () => unknown, self, args);
    },
    construct(target, args, self) {
      count(as);
      return Reflect.construct(target, args, self) as object;
    },
  });
  Object.defineProperty(owner, name, { value: wrapped, configurable: true, writable: true });
  if (Reflect.get(owner, name) === wrapped) watched.push(as);
}

function count(name: string): void {
  counts[name] = (counts[name] ?? 0) + 1;
}

/** Counts every look at an environment. */
export function watchedEnv<T extends object>(env: T): T {
  return new Proxy(env, {
    get(target, name, self) {
      count("env");
      return Reflect.get(target, name, self) as unknown;
    },
    has(target, name) {
      count("env");
      return Reflect.has(target, name);
    },
    ownKeys(target) {
      count("env");
      return Reflect.ownKeys(target);
    },
  });
}

const global = globalThis as unknown as Record<string, object>;
const WATCHED: Record<string, readonly string[]> = {
  crypto: ["getRandomValues", "randomUUID"],
  performance: ["now"],
  Math: ["random"],
  WebAssembly: ["Instance", "Module", "Memory", "instantiate", "compile", "validate", "instantiateStreaming"],
  console: ["log", "info", "debug", "warn", "error", "trace"],
  process: ["getBuiltinModule", "emitWarning", "hrtime", "nextTick"],
};
for (const [owner, names] of Object.entries(WATCHED)) {
  for (const name of names) if (global[owner]) watch(global[owner], name, `${owner}.${name}`);
}
// `new Date()` and `Date.now()` are watched apart, and the second first: it is then reached through the first.
watch(Date, "now", "Date.now");
for (const name of [
  ...["fetch", "WebSocket", "XMLHttpRequest", "Date", "Worker", "MessageChannel", "BroadcastChannel"],
  ...["setTimeout", "setInterval", "setImmediate", "queueMicrotask", "requestIdleCallback"],
  ...["AbortController", "Request", "Response"],
]) {
  watch(globalThis, name, name);
}
watch(AbortSignal, "timeout", "AbortSignal.timeout");
// Node loads its own fetch, wasm and all, when it is first looked at: that was here.
used();
