/** Who visits a worker under test: clients with sockets of their own, and a look into the isolate. */
import { request } from "node:http";
import type { Socket } from "node:net";
import type { Call, Ended, State, Visit } from "./visit.ts";

/** A request that is under way, on a socket of its own. */
export interface Visiting {
  /** The answer; rejects when there is none. */
  readonly answer: Promise<{ status: number; text: string }>;
  /** The client is gone, by RST. */
  reset(): void;
}

export interface Visitor {
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
}

/** How long a test looks for something that must come: far more than any deadline in it. */
const PATIENCE_MS = 12_000;

/** @param everyMs how long `until` waits before it looks again */
export function visitorOf(url: string, everyMs = 5): Visitor {
  const visit = async (wanted: Visit) => {
    const { status, text } = await send(url, "/", wanted).answer;
    if (status !== 200) throw new Error(`HTTP status ${status}: ${text.slice(0, 500)}`);
    return JSON.parse(text) as Ended[];
  };
  const state = async (wanted: Omit<Visit, "calls"> = {}) =>
    JSON.parse((await send(url, "/state", wanted).answer).text) as State;
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
        await new Promise((resolve) => setTimeout(resolve, everyMs));
      }
    },
    async open(gate) {
      await send(url, `/open?gate=${gate}`, {}).answer;
    },
  };
}

function send(url: string, path: string, body: unknown): Visiting {
  const client = request(`${url}${path}`, { method: "POST", agent: false });
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
