/**
 * An HTTP server on 127.0.0.1 that can be closed, so that connections are refused, and opened again on the
 * same port; either way at once, whoever is connected.
 *
 * @module
 */
import { createServer } from "node:http";

/**
 * Longer than any test or benchmark pauses: a client that reuses a connection just as the server gives it up
 * would see a fault that nobody asked for.
 */
const KEEP_ALIVE_MS = 10 * 60 * 1000;

/**
 * A client that reuses a connection before it has noticed that it was cut sees a reset where it should see a
 * refusal. So much time is given to clients to notice.
 */
const AFTER_RESET_MS = 20;

export class Listener {
  #server;
  #port;
  /** @type {Set<import("node:net").Socket>} */
  #sockets = new Set();

  /**
   * @param {import("node:http").RequestListener} onRequest
   * @param {{ port: number, onOpen?: (socket: import("node:net").Socket) => void, onClose?: () => void }}
   *   options `port`: 0 for any free one; `onOpen`, `onClose`: a connection was opened, closed
   */
  constructor(onRequest, { port, onOpen, onClose }) {
    this.#port = port;
    this.#server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS, requestTimeout: 0 }, onRequest);
    this.#server.on("connection", (socket) => {
      this.#sockets.add(socket);
      onOpen?.(socket);
      socket.once("close", () => {
        this.#sockets.delete(socket);
        onClose?.();
      });
    });
  }

  /** The port, once it was open. */
  get port() {
    return this.#port;
  }

  get url() {
    return `http://127.0.0.1:${this.#port}`;
  }

  /**
   * Opens the port; nothing if it is open.
   * @returns {Promise<void>}
   */
  async open() {
    if (this.#server.listening) return;
    await new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen({ host: "127.0.0.1", port: this.#port }, () => {
        this.#server.off("error", reject);
        resolve(undefined);
      });
    }).catch((error) => {
      if (error.code !== "EADDRINUSE") throw error;
      throw new Error(
        `port ${this.#port} on 127.0.0.1 is already in use: stop what listens there, or choose another port`,
        { cause: error },
      );
    });
    const address = this.#server.address();
    if (typeof address === "object" && address) this.#port = address.port;
  }

  /**
   * Closes the port and cuts every connection; nothing if it is closed.
   * @returns {Promise<void>}
   */
  async close() {
    if (!this.#server.listening) return;
    const cut = this.#sockets.size > 0;
    for (const socket of this.#sockets) socket.resetAndDestroy();
    await new Promise((resolve) => this.#server.close(resolve));
    if (cut) await new Promise((resolve) => setTimeout(resolve, AFTER_RESET_MS));
  }
}
