/**
 * The ways in which a Redis over HTTP fails, as a table. A fault has two halves: how the commands are
 * executed (`perform`), and how the answer is delivered (`deliver`). So "executed, but the answer was lost"
 * and "refused without being executed" are one `deliver` with and without execution, and a fault that
 * executes late or twice is a `perform` of its own.
 *
 * @module
 */
import { jsonAnswer } from "./answer.mjs";
import { commandsAsText } from "./call.mjs";
import { checkOptions } from "./fault-options.mjs";
import { content, firstHalf, sendOversize, standIn, wrongBody } from "./wrong-answer.mjs";

/** @typedef {import("./answer.mjs").Answer} Answer */
/** What a fault does to a request. @typedef {Omit<import("./exchange.mjs").Exchange, "readBody" | "status">} Exchange */
/** @typedef {import("./execution.mjs").Execution} Execution */
/** @typedef {import("./fault-options.mjs").FaultOptions} FaultOptions */

/**
 * @typedef {"healthy" | "refuse" | "resetBeforeHeaders" | "resetAfterHeaders" | "resetMidBody" | "hang"
 *   | "hangAfterHeaders" | "slow" | "status" | "html" | "truncated" | "wrongTypes" | "empty" | "oversize"
 *   | "redirect" | "loseReply" | "late" | "twice" | "redisError" | "flushScripts"} FaultName
 */

/**
 * @typedef {object} FaultContext
 * @property {Exchange} exchange
 * @property {import("./call.mjs").Call | undefined} call undefined if the request could not be read
 * @property {FaultOptions} options
 * @property {(execution?: Execution) => Promise<Answer>} run executes the commands; may be called more than
 *   once, and when the client has gone
 * @property {(execute: () => Promise<Answer>, delayMs?: number) => Promise<Answer | undefined>} hold has it
 *   executed after that time or when the gateway is told to release; undefined if it was dropped instead
 */

/**
 * @typedef {object} Fault
 * @property {boolean} executes the default of `execute`
 * @property {readonly (keyof FaultOptions)[]} options those it knows, besides the common ones
 * @property {readonly (keyof FaultOptions)[]} [required]
 * @property {number} [times] the default of `times`
 * @property {(context: FaultContext) => Promise<Answer | undefined>} [perform] default: `run()` once;
 *   undefined: there will be no answer, the connection is cut
 * @property {(context: FaultContext, answer: Answer) => void | Promise<void>} [deliver] default: send the
 *   answer
 */

/**
 * What a status says where its body is not given; those that proxies and limits answer.
 * @type {Record<number, string>}
 */
const STATUS_TEXTS = {
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  408: "Request Timeout",
  413: "Payload Too Large",
  429: "Too Many Requests",
  500: "Internal Server Error",
  501: "Not Implemented",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
};

/** @type {Record<FaultName, Fault>} */
export const FAULTS = {
  healthy: { executes: true, options: [] },
  // Nothing of it happens here: the gateway closes its listening socket, no request arrives.
  refuse: { executes: false, options: [] },
  resetBeforeHeaders: { executes: false, options: [], deliver: ({ exchange }) => exchange.reset() },
  loseReply: { executes: true, options: [], deliver: ({ exchange }) => exchange.reset() },
  resetAfterHeaders: {
    executes: true,
    options: [],
    async deliver({ exchange }, answer) {
      exchange.sendHead(answer);
      await exchange.reset();
    },
  },
  resetMidBody: {
    executes: true,
    options: [],
    async deliver({ exchange }, answer) {
      exchange.sendHead(answer);
      await exchange.write(firstHalf(answer.body));
      await exchange.reset();
    },
  },
  hang: { executes: false, options: [], deliver: ({ exchange }) => exchange.closed },
  hangAfterHeaders: {
    executes: true,
    options: [],
    async deliver({ exchange }, answer) {
      exchange.sendHead(answer);
      await exchange.closed;
    },
  },
  // A request that is stuck on the way, and reaches Redis when its client has long given up: nothing orders
  // it with what was written meanwhile.
  late: {
    executes: true,
    options: ["delayMs"],
    perform: ({ run, hold, options: { delayMs } }) => hold(run, delayMs),
    deliver: ({ exchange }) => exchange.closed,
  },
  // What a proxy does that repeats a request of which it cannot know whether it was executed.
  twice: {
    executes: true,
    options: ["answer", "hold", "delayMs"],
    async perform({ run, hold, options: { answer = "first", hold: untilTold = false, delayMs } }) {
      const first = run();
      const again = async () => {
        await first;
        return run();
      };
      const held = untilTold || delayMs !== undefined;
      // Held before the first has ended: whoever has seen the request in the log can release it.
      const second = held ? hold(again, delayMs) : again();
      if (answer === "second") return second;
      if (!held) await second;
      return first;
    },
  },
  slow: {
    executes: true,
    options: ["delayMs", "chunkBytes", "chunkMs"],
    async deliver({ exchange, options: { delayMs = 1000, chunkBytes, chunkMs = 10 } }, answer) {
      await exchange.wait(delayMs);
      if (!chunkBytes) return exchange.send(answer);
      exchange.sendHead(answer);
      for (let start = 0; start < answer.body.length && exchange.open; start += chunkBytes) {
        if (start > 0) await exchange.wait(chunkMs);
        await exchange.write(answer.body.subarray(start, start + chunkBytes));
      }
      exchange.end();
    },
  },
  status: {
    executes: false,
    options: ["code", "body", "headers"],
    deliver({ exchange, options: { code = 503, body, headers } }) {
      const own = content(body ?? { error: STATUS_TEXTS[code] ?? "error" }, "text/plain");
      exchange.send({ status: code, headers: { ...own.headers, ...headers }, body: own.body });
    },
  },
  html: {
    executes: false,
    options: ["body"],
    deliver({ exchange, options }) {
      const page =
        "<!doctype html>\n<html><head><title>Welcome</title></head><body><h1>Please sign in</h1></body></html>\n";
      exchange.send({ status: 200, ...content(options.body ?? page, "text/html; charset=utf-8") });
    },
  },
  truncated: {
    executes: true,
    options: [],
    deliver: ({ exchange }, answer) => exchange.send({ ...answer, body: firstHalf(answer.body) }),
  },
  wrongTypes: {
    executes: false,
    options: ["shape"],
    deliver: ({ exchange, call, options }) =>
      exchange.send(jsonAnswer(200, wrongBody(call, options.shape ?? "container"))),
  },
  empty: {
    executes: false,
    options: [],
    deliver: ({ exchange }) => exchange.send(jsonAnswer(200, "")),
  },
  oversize: {
    executes: false,
    options: ["megabytes", "announced"],
    deliver: ({ exchange, call, options: { megabytes = 32, announced } }) =>
      sendOversize(exchange, call, megabytes * 1024 * 1024, announced),
  },
  redirect: {
    executes: false,
    options: ["location", "code"],
    required: ["location"],
    deliver({ exchange, options: { location = "", code = 302 } }) {
      exchange.send({ status: code, headers: { location }, body: new Uint8Array() });
    },
  },
  redisError: {
    executes: true,
    options: ["error"],
    required: ["error"],
    perform: ({ run, options: { error, match } }) =>
      run({
        replace: (command) =>
          match === undefined || commandsAsText([command]).includes(match) ? error : undefined,
      }),
  },
  flushScripts: {
    executes: true,
    options: [],
    times: 1,
    perform: ({ run }) => run({ before: [["SCRIPT", "FLUSH"]] }),
  },
};

/**
 * A fault that is misspelt must not pass for a healthy gateway.
 * @param {string} name
 * @param {Record<string, unknown>} options
 * @returns {asserts name is FaultName}
 * @throws {TypeError}
 */
export function checkFault(name, options) {
  if (!Object.hasOwn(FAULTS, name)) {
    throw new TypeError(
      `unknown fault ${JSON.stringify(name)}, expected one of ${Object.keys(FAULTS).join(", ")}`,
    );
  }
  checkOptions(name, FAULTS[/** @type {FaultName} */ (name)], options);
}

/**
 * Lets a request go through a fault.
 * @param {FaultName} name
 * @param {FaultContext} context
 */
export async function applyFault(name, context) {
  const {
    executes,
    perform = ({ run }) => run(),
    deliver = ({ exchange }, answer) => exchange.send(answer),
  } = FAULTS[name];
  const answer = (context.options.execute ?? executes) ? await perform(context) : standIn(context.call);
  if (answer) await deliver(context, answer);
  else await context.exchange.reset();
}
