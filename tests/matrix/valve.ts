/** What lies between a gateway and Redis: while it is shut, Redis hears nothing that is sent this way. */
import { connect, createServer, type Socket } from "node:net";

export interface Valve {
  readonly port: number;
  shut(): void;
  open(): void;
  stop(): void;
}

export async function startValve(redisPort: number): Promise<Valve> {
  const sockets = new Set<Socket>();
  const kept: (() => void)[] = [];
  let isShut = false;
  const server = createServer((near) => {
    const far = connect(redisPort, "127.0.0.1");
    near.on("data", (data) => {
      if (isShut) kept.push(() => far.write(data));
      else far.write(data);
    });
    far.on("data", (data) => near.write(data));
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(one);
      one.on("error", () => {});
      one.on("close", () => {
        sockets.delete(one);
        other.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  return {
    port: typeof address === "object" && address ? address.port : 0,
    shut() {
      isShut = true;
    },
    open() {
      isShut = false;
      for (const pass of kept.splice(0)) pass();
    },
    stop() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
