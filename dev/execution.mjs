/**
 * Runs the commands of a call on Redis. Here is what a REST API over shared sockets cannot allow, how
 * /multi-exec becomes one transaction, and where commands are counted.
 *
 * @module
 */
import { textOf } from "./bytes.mjs";
import { CallError } from "./call.mjs";

/** @typedef {import("./call.mjs").Call} Call */
/** @typedef {import("./call.mjs").Command} Command */
/** @typedef {import("./resp.mjs").Reply} Reply */
/** What answers commands. @typedef {Pick<import("./pool.mjs").RedisPool, "send">} Pool */

/**
 * Commands that block, that change the state of a socket which other requests share, or that turn it into a
 * stream.
 */
const UNAVAILABLE = new Set([
  ...[
    "AUTH",
    "HELLO",
    "QUIT",
    "RESET",
    "SELECT",
    "MULTI",
    "EXEC",
    "DISCARD",
    "WATCH",
    "UNWATCH",
    "MONITOR",
    "SYNC",
    "PSYNC",
    "REPLCONF",
  ],
  ...[
    "SUBSCRIBE",
    "UNSUBSCRIBE",
    "PSUBSCRIBE",
    "PUNSUBSCRIBE",
    "SSUBSCRIBE",
    "SUNSUBSCRIBE",
    "SHUTDOWN",
    "FAILOVER",
    "WAIT",
    "WAITAOF",
  ],
  ...[
    "BLPOP",
    "BRPOP",
    "BLMOVE",
    "BRPOPLPUSH",
    "BLMPOP",
    "BZPOPMIN",
    "BZPOPMAX",
    "BZMPOP",
    "CLIENT REPLY",
    "SCRIPT DEBUG",
  ],
]);

/**
 * @typedef {object} Execution
 * @property {readonly (readonly string[])[]} [before] commands sent first, not counted and not answered
 * @property {(command: Command) => string | undefined} [replace] the error that answers a command instead of
 *   Redis, if any
 */

/**
 * @param {Call} call
 * @param {Pool} pool
 * @param {import("./counter.mjs").Counter} counter
 * @param {Execution} [execution]
 * @returns {Promise<Reply[]>} one for each command
 * @throws {CallError} when a transaction is discarded as a whole
 * @throws {import("./unreachable-error.mjs").UnreachableError}
 */
export async function execute(call, pool, counter, { before = [], replace = () => undefined } = {}) {
  const own = call.commands.map((command) => unavailable(command) ?? replace(command));
  await pool.send(before);
  if (call.endpoint === "multi-exec") return executeTransaction(call, pool, counter, own);

  const passed = call.commands.filter((_, index) => own[index] === undefined);
  const answered = (await pool.send(passed)).values();
  const replies = own.map((error) => (error === undefined ? next(answered) : errorReply(error)));
  count(call, replies, counter);
  return replies;
}

/**
 * @param {Call} call
 * @param {readonly Reply[]} replies
 * @param {import("./counter.mjs").Counter} counter
 */
function count(call, replies, counter) {
  call.commands.forEach((command, index) => {
    counter.command(textOf(command[0] ?? new Uint8Array()), replies[index]?.type === "error");
  });
}

/**
 * @param {Call} call
 * @param {Pool} pool
 * @param {import("./counter.mjs").Counter} counter
 * @param {(string | undefined)[]} own errors that this gateway answers itself
 * @returns {Promise<Reply[]>}
 */
async function executeTransaction(call, pool, counter, own) {
  const refusal = own.find((error) => error !== undefined);
  if (refusal !== undefined) throw new CallError(400, refusal);

  const replies = await pool.send([["MULTI"], ...call.commands, ["EXEC"]]);
  const outcome = replies.at(-1);
  const results = outcome?.type === "array" ? outcome.items : null;
  if (!results) throw new CallError(400, discardMessage(replies));
  count(call, results, counter);
  return results;
}

/**
 * Redis tells the cause when it queues the command, and at EXEC only that there was one.
 * @param {readonly Reply[]} replies those to MULTI, to each command and to EXEC
 */
function discardMessage(replies) {
  const cause = replies.find((reply) => reply.type === "error");
  const reason = cause?.type === "error" ? normalise(cause.text) : "no reply to EXEC";
  return reason.startsWith("EXECABORT") ? reason : `EXECABORT Transaction discarded because of: ${reason}`;
}

/**
 * @param {Command} command
 * @returns {string | undefined}
 */
function unavailable(command) {
  const [name = "", subcommand = ""] = command
    .slice(0, 2)
    .map((argument) => textOf(argument.subarray(0, 32)).toUpperCase());
  const found = [name, `${name} ${subcommand}`].find((text) => UNAVAILABLE.has(text));
  if (found) return `ERR Command is not available: '${found}'`;
  // XREAD and XREADGROUP block only when they are told to.
  const blocks =
    /^XREAD(GROUP)?$/.test(name) &&
    command.some((argument) => /^block$/i.test(textOf(argument.subarray(0, 8))));
  return blocks ? `ERR Command is not available: '${name} BLOCK'` : undefined;
}

/**
 * @param {Iterator<Reply>} replies
 * @returns {Reply}
 */
function next(replies) {
  const { value } = replies.next();
  return value?.type === "error" ? errorReply(normalise(value.text)) : value;
}

/**
 * @param {string} text
 * @returns {Reply}
 */
function errorReply(text) {
  return { type: "error", text };
}

/**
 * Servers word a refusal by access control differently; a client is to be tested with one wording, that of
 * Redis 7.0 and Upstash.
 * @param {string} text
 */
function normalise(text) {
  return text.replace(
    /^NOPERM .*has no permissions to run the '([^'| ]+)[^']*' command.*$/,
    "NOPERM this user has no permissions to run the '$1' command",
  );
}
