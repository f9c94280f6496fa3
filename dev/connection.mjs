/**
 * One socket to Redis. Commands of one `send` go out in one write and are answered together, so that what
 * belongs together (MULTI to EXEC) is never mixed with the commands of anyone else on the same socket. It
 * connects when first used and again after a break; commands that were in flight when it broke are rejected,
 * never repeated: whether Redis executed them is unknown.
 *
 * @module
 */
import { connect } from "node:net";
import { encodeCommand, plainReply, ReplyParser } from "./resp.mjs";
import { UnreachableError } from "./unreachable-error.mjs";

/** @typedef {import("./resp.mjs").Argument} Argument */
/** @typedef {import("./resp.mjs").Reply} Reply */

/**
 * @typedef {object} Batch
 * @property {number} expected
 * @property {Reply[]} replies
 * @property {(replies: Reply[]) => void} resolve
 * @property {(error: Error) => void} reject
 */

export class RedisConnection {
  #port;
  #setUp;
  /** @type {Promise<Channel> | undefined} */
  #channel;
  #pending = 0;

  /**
   * @param {{ port: number, setUp?: readonly (readonly Argument[])[] }} options `setUp`: commands sent first
   *   on every new socket; the last one must succeed, or the socket is not used
   */
  constructor({ port, setUp = [] }) {
    this.#port = port;
    this.#setUp = setUp;
  }

  /** How many calls of `send` are not yet settled. */
  get pending() {
    return this.#pending;
  }

  /**
   * @param {readonly (readonly Argument[])[]} commands
   * @returns {Promise<Reply[]>} one reply for each command; error replies are replies
   * @throws {UnreachableError}
   */
  async send(commands) {
    if (commands.length === 0) return [];
    this.#pending += 1;
    try {
      this.#channel ??= this.#open();
      const channel = await this.#channel;
      return await channel.send(commands);
    } finally {
      this.#pending -= 1;
    }
  }

  /**
   * Sends one command; an error reply is thrown.
   * @param {...Argument} command
   * @returns {Promise<import("./resp.mjs").PlainReply>}
   */
  async command(...command) {
    const [reply] = await this.send([command]);
    if (!reply) throw new UnreachableError("expected a reply, got none");
    return plainReply(reply);
  }

  /** Closes the socket; commands in flight are rejected. The connection may be used again. */
  close() {
    const open = this.#channel;
    this.#channel = undefined;
    open?.then(
      (channel) => channel.close(),
      () => {},
    );
  }

  /** @returns {Promise<Channel>} */
  #open() {
    const opening = openChannel(this.#port, this.#setUp, () => {
      if (this.#channel === opening) this.#channel = undefined;
    });
    return opening;
  }
}

/**
 * A socket that is connected and set up. It is used until it breaks and then never again: replies to what was
 * sent on one socket cannot come on another.
 */
class Channel {
  #socket;
  /** Sent and not yet answered, oldest first. @type {Batch[]} */
  #waiting = [];
  #parser = new ReplyParser();

  /** @param {import("node:net").Socket} socket */
  constructor(socket) {
    this.#socket = socket;
    /** @type {unknown} */
    let cause;
    socket.on("error", (error) => {
      cause = error;
    });
    socket.on("data", (chunk) => {
      try {
        for (const reply of this.#parser.push(chunk)) this.#receive(reply);
      } catch (error) {
        socket.destroy(/** @type {Error} */ (error));
      }
    });
    socket.once("close", () => {
      const error = closedError(cause);
      for (const batch of this.#waiting.splice(0)) batch.reject(error);
    });
  }

  /**
   * @param {readonly (readonly Argument[])[]} commands
   * @returns {Promise<Reply[]>}
   */
  send(commands) {
    return new Promise((resolve, reject) => {
      if (this.#socket.destroyed) {
        reject(closedError());
        return;
      }
      this.#waiting.push({ expected: commands.length, replies: [], resolve, reject });
      this.#socket.write(Buffer.concat(commands.map(encodeCommand)));
    });
  }

  close() {
    this.#socket.destroy();
  }

  /** @param {Reply} reply */
  #receive(reply) {
    const batch = this.#waiting[0];
    // A reply that nobody waits for means that this side has lost count: nothing later on this socket can be
    // trusted.
    if (!batch) throw new UnreachableError("expected no reply, got one");
    batch.replies.push(reply);
    if (batch.replies.length < batch.expected) return;
    this.#waiting.shift();
    batch.resolve(batch.replies);
  }
}

/**
 * @param {number} port
 * @param {readonly (readonly Argument[])[]} setUp
 * @param {() => void} onClose
 * @returns {Promise<Channel>}
 */
async function openChannel(port, setUp, onClose) {
  const socket = connect({ host: "127.0.0.1", port, noDelay: true });
  const channel = new Channel(socket);
  socket.once("close", onClose);
  await new Promise((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("error", (error) => reject(closedError(error)));
  });
  if (setUp.length === 0) return channel;
  const last = (await channel.send(setUp)).at(-1);
  if (last?.type !== "error") return channel;
  channel.close();
  throw new UnreachableError(`Redis refuses the set-up of the connection: ${last.text}`);
}

/** @param {unknown} [cause] */
function closedError(cause) {
  return new UnreachableError("the connection to Redis is closed", cause);
}
