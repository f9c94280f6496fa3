/**
 * One HTTP request and its response, with the ways to answer that a well-behaved server does not offer: heads
 * without bodies, halves of bodies, cut sockets. Every wait ends when the client goes away, so that nothing
 * is left behind by a client that gave up.
 *
 * @module
 */

/** @typedef {import("./answer.mjs").Answer} Answer */

/**
 * A reset throws away what the kernel has not yet handed over. So much time passes between the last bytes and
 * the reset that the other side has read them.
 */
const BEFORE_RESET_MS = 20;

export class Exchange {
  #request;
  #response;
  /** Resolves when the response was sent or the connection is gone. @type {Promise<void>} */
  closed;
  #open = true;

  /**
   * @param {import("node:http").IncomingMessage} request
   * @param {import("node:http").ServerResponse} response
   */
  constructor(request, response) {
    this.#request = request;
    this.#response = response;
    this.closed = new Promise((resolve) => {
      const close = () => {
        this.#open = false;
        resolve();
      };
      // "finish" comes before the client has the answer, "close" after: a client that asks for counters next
      // finds this one closed.
      response.once("finish", close);
      response.once("close", close);
    });
    // A broken socket is an everyday event here; `closed` tells.
    request.on("error", () => {});
    response.on("error", () => {});
  }

  get open() {
    return this.#open;
  }

  /** The status sent, or null if none was. */
  get status() {
    return this.#response.headersSent ? this.#response.statusCode : null;
  }

  /**
   * Reads the body to its end, since a client that is still sending does not read the answer; keeps at most
   * `maxBytes` of it.
   * @param {number} maxBytes
   * @returns {Promise<{ body: Uint8Array, size: number }>} `size`: what the client sent; larger than
   *   `maxBytes` -> `body` is empty
   */
  async readBody(maxBytes) {
    /** @type {Uint8Array[]} */
    let chunks = [];
    let size = 0;
    for await (const chunk of this.#request) {
      size += chunk.length;
      if (size <= maxBytes) chunks.push(chunk);
      else chunks = [];
    }
    return { body: Buffer.concat(chunks), size };
  }

  /**
   * Sends the status line and the headers.
   * @param {Answer} answer
   * @param {number | null} [length] the content-length; default that of the answer's body; null: none
   */
  sendHead(answer, length = answer.body.length) {
    if (!this.#open) return;
    const announced = length === null ? {} : { "content-length": String(length) };
    this.#response.writeHead(answer.status, { ...answer.headers, ...announced });
    this.#response.flushHeaders();
  }

  /**
   * Sends a part of the body.
   * @param {Uint8Array} bytes
   * @returns {Promise<void>} when there is room for more, or nobody to send it to
   */
  async write(bytes) {
    if (!this.#open || this.#response.write(bytes)) return;
    await Promise.race([new Promise((resolve) => this.#response.once("drain", resolve)), this.closed]);
  }

  end() {
    if (this.#open) this.#response.end();
  }

  /**
   * Sends the whole answer.
   * @param {Answer} answer
   */
  send(answer) {
    if (!this.#open) return;
    this.#response.writeHead(answer.status, {
      ...answer.headers,
      "content-length": String(answer.body.length),
    });
    this.#response.end(answer.body);
  }

  /** Cuts the connection with a TCP reset; what was sent before has arrived. */
  async reset() {
    if (this.#response.headersSent) await this.wait(BEFORE_RESET_MS);
    this.#request.socket.resetAndDestroy();
  }

  /**
   * @param {number} ms
   * @returns {Promise<void>} after that time, or when the connection is gone
   */
  async wait(ms) {
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    await Promise.race([
      new Promise((resolve) => {
        timer = setTimeout(resolve, ms);
      }),
      this.closed,
    ]);
    clearTimeout(timer);
  }
}
