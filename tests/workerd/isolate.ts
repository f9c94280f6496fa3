/** The built package in a real isolate: a `workerd` of its own, and clients with sockets of their own. */
import { readFileSync } from "node:fs";
import { Agent, request } from "node:http";
import type { Socket } from "node:net";
import { transformSync } from "esbuild";
import { serve } from "./serve.mjs";
import type { Call, Ended, State, Visit } from "./visit.ts";

export { NEWEST } from "./serve.mjs";

/** Read once: a build that is made meanwhile must not mix with this one. */
const file = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url));
const PACKAGE = { "leeward.js": file("dist/index.js"), "leeward.wasm": file("dist/leeward.wasm") };
/** The package with a core that can be told to fail. */
const TRAPPING = "target/trapping/dist";
export const TRAPPING_PACKAGE = {
  "leeward.js": file(`${TRAPPING}/index.js`),
  "leeward.wasm": file(`${TRAPPING}/leeward.wasm`),
};

/** Around every handler: marks in the log, which comes by another way than the answers, and later. */
const MAIN = `import handler from "./worker.js";
export default {
  fetch(request, env, ctx) {
    const { pathname, search } = new URL(request.url);
    if (pathname !== "/mark") return handler.fetch(request, env, ctx);
    console.error("mark" + search);
    return new Response("marked");
  },
};
`;

export interface IsolateOptions {
  compatibilityDate?: string;
  flags?: readonly string[];
  env?: Record<string, string>;
  /** The handler's file beside this one. Default the worker that does what a `Visit` says. */
  handler?: string;
  /** The runtime. Default the newest. */
  binary?: string;
  /** Files of the package, in place of those that are published. */
  files?: Partial<Record<keyof typeof PACKAGE, Uint8Array>>;
}

/** A request that is under way, on a socket of its own. */
export interface Visiting {
  /** The answer; rejects when there is none. */
  readonly answer: Promise<{ status: number; text: string }>;
  /** The client is gone, by RST. */
  reset(): void;
}

export interface Isolate {
  readonly url: string;
  /** Sends a request. */
  send(path: string, body: unknown): Visiting;
  /** The calls' ends. Throws when the answer is anything but 200. */
  visit(visit: Visit): Promise<Ended[]>;
  /** The same for one call. */
  call(call: Call, visit?: Omit<Visit, "calls">): Promise<Ended>;
  state(visit?: Omit<Visit, "calls">): Promise<State>;
  /** Looks again until `check` holds. */
  until(check: (state: State) => boolean, visit?: Omit<Visit, "calls">): Promise<State>;
  open(gate: string): Promise<void>;
  /** What workerd has written so far, all of it that belongs to requests already answered. */
  log(): Promise<string>;
  stop(): Promise<void>;
}

/** How long a test looks for something that must come: far more than any deadline in it. */
const PATIENCE_MS = 12_000;

export async function startIsolate(options: IsolateOptions = {}): Promise<Isolate> {
  const source = readFileSync(new URL(options.handler ?? "worker.ts", import.meta.url), "utf8");
  const handler = transformSync(source, { loader: "ts", format: "esm", target: "es2022" }).code;
  const files = { ...PACKAGE, ...options.files };
  const { url, child } = await serve({
    ...options,
    modules: {
      "main.js": MAIN,
      "worker.js": handler,
      leeward: files["leeward.js"],
      "leeward.wasm": files["leeward.wasm"],
    },
  });

  // Before workerd closes what is idle, which is after 5 s.
  const agent = new Agent({ keepAlive: true, timeout: 3000 });
  let marks = 0;
  const visit = async (wanted: Visit) => {
    const { status, text } = await send(url, "/", wanted, agent).answer;
    if (status !== 200) throw new Error(`HTTP status ${status}: ${text.slice(0, 500)}`);
    return JSON.parse(text) as Ended[];
  };
  const state = async (wanted: Omit<Visit, "calls"> = {}) =>
    JSON.parse((await send(url, "/state", wanted, agent).answer).text) as State;
  return {
    url,
    send: (path, body) => send(url, path, body),
    visit,
    async call(call, wanted = {}) {
      const [ended] = await visit({ ...wanted, calls: [call] });
      if (ended === undefined) throw new Error("no answer for the call");
      return ended;
    },
    state,
    async until(check, wanted) {
      for (const end = Date.now() + PATIENCE_MS; ; ) {
        const found = await state(wanted);
        if (check(found)) return found;
        if (Date.now() > end) throw new Error(`waited in vain; the state is ${JSON.stringify(found)}`);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    },
    async open(gate) {
      await send(url, `/open?gate=${gate}`, {}).answer;
    },
    async log() {
      marks += 1;
      await send(url, `/mark?${marks}.`, {}).answer;
      await child.line(new RegExp(`mark\\?${marks}\\.`));
      return child.output().replaceAll(/^.*mark\?.*$\n?/gm, "");
    },
    // workerd drains on SIGTERM, and stays while a request hangs.
    async stop() {
      agent.destroy();
      await child.kill();
    },
  };
}

/** On a socket of its own, unless an agent has them. */
function send(url: string, path: string, body: unknown, agent: Agent | false = false): Visiting {
  const client = request(`${url}${path}`, { method: "POST", agent });
  let socket: Socket | undefined;
  let left = false;
  client.on("socket", (given) => {
    socket = given;
    if (left) given.resetAndDestroy();
  });
  const answer = new Promise<{ status: number; text: string }>((resolve, reject) => {
    client.on("error", reject);
    client.on("response", (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (part: string) => {
        text += part;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
      response.on("error", reject);
    });
  });
  // Who leaves does not want to know.
  answer.catch(() => {});
  client.end(JSON.stringify(body));
  return {
    answer,
    reset() {
      left = true;
      socket?.resetAndDestroy();
    },
  };
}
