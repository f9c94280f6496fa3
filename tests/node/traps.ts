/** Makes the core of an isolate trap, at a call of the test's choice. */
import { vi } from "vitest";
import type { Isolate } from "./isolates.ts";

/** Looking is not part of a call, and what has trapped is only put away. */
const ASIDE = ["stats", "snapshot", "underWay", "__destroy_into_raw"];

type Core = Record<string, unknown>;
interface Home {
  instance: { core: Core } | undefined;
}

/** What ends a call in place of the core. */
export type Fail = (core: Core) => never;

/** As if it had. */
export const unreachable: Fail = () => {
  throw new WebAssembly.RuntimeError("unreachable");
};

/** Ways in which a core that was built for it can fail in earnest. */
export const WAYS = ["panic", "trap", "overflow", "exhaust"] as const;

export function inEarnest(how: (typeof WAYS)[number]): Fail {
  return (core) => {
    (core.fail as (how: string) => void).call(core, how);
    throw new Error(`it has survived: ${how}`);
  };
}

function homeOf({ symbol }: Isolate): Home {
  const home = (globalThis as unknown as Record<symbol, Home | undefined>)[symbol];
  if (home === undefined) throw new Error("the isolate has not begun");
  return home;
}

function wrap(core: Core, before: () => void): Core {
  return new Proxy(core, {
    get(target, name) {
      const member = target[name as string];
      if (typeof member !== "function" || ASIDE.includes(name as string)) return member;
      return (...args: unknown[]) => {
        before();
        return member.apply(target, args) as unknown;
      };
    },
  });
}

/** Makes the isolate's core trap at its `n`th call from now; tells whether it has, and takes no further part. */
export function trapAt(isolate: Isolate, n: number, fail = unreachable): () => boolean {
  const { instance } = homeOf(isolate);
  if (instance === undefined) throw new Error("the isolate has no core yet");
  const { core } = instance;
  let calls = 0;
  instance.core = wrap(core, () => {
    calls += 1;
    if (calls === n) fail(core);
  });
  return () => {
    instance.core = core;
    return calls >= n;
  };
}

/** Makes each core of the isolate trap at its first call; counts those that are made. Call `end` after. */
export function trapAlways(isolate: Isolate, fail = unreachable): { made(): number; end(): void } {
  const home = homeOf(isolate);
  let made = 0;
  let { instance } = home;
  const spoil = (present: Home["instance"]) => {
    if (present === undefined) return;
    const { core } = present;
    present.core = wrap(core, () => fail(core));
  };
  spoil(instance);
  Object.defineProperty(home, "instance", {
    configurable: true,
    get: () => instance,
    set(next: Home["instance"]) {
      made += 1;
      instance = next;
      spoil(next);
    },
  });
  return {
    made: () => made,
    end() {
      Object.defineProperty(home, "instance", { configurable: true, writable: true, value: instance });
    },
  };
}

/** Makes the isolate's core trap now. */
export async function trapNow(isolate: Isolate, fail = unreachable): Promise<void> {
  const trapped = trapAt(isolate, 1, fail);
  await isolate.cache.lookup("nothing", () => "nothing");
  if (!trapped()) throw new Error("it has not trapped");
}

/** How far the clock of this process is ahead: never less, over all tests of a file. */
let ahead = 0;

export interface Clock {
  advance(ms: number): void;
  set(to: number): void;
  /** From now on it moves by `advance` and `set` alone. */
  stop(): void;
}

/** The isolate's core. */
export function coreOf(isolate: Isolate): object {
  const core = homeOf(isolate).instance?.core;
  if (core === undefined) throw new Error("the isolate has no core yet");
  return core;
}

/** The process' clock, which the test moves on, a minute after that of the test before: its traps are long past. */
export function clock(): Clock {
  const real = Date.now.bind(Date);
  let now = real;
  vi.spyOn(Date, "now").mockImplementation(() => now() + ahead);
  ahead += 60_000;
  return {
    advance(ms) {
      ahead += ms;
    },
    set(to) {
      ahead += to - Date.now();
    },
    stop() {
      const stood = real();
      now = () => stood;
    },
  };
}
