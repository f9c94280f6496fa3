import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { Demo, NPM_START, StartScript } from "./demo.js";
import { alive, family } from "./process.js";
import { BOUND } from "./visitor.js";

/** Wrangler is given 1.5 s to end before it is killed. */
const SOON = 5000;

async function takenPort(host: string): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

async function running(...command: Parameters<typeof Demo.start>): Promise<{ demo: Demo; pids: number[] }> {
  const demo = await Demo.start(...command);
  onTestFinished(() => void demo.stop());
  const pids = family(demo.script.pid);
  // Redis, wrangler, workerd at the least.
  expect(pids.length).toBeGreaterThan(3);
  return { demo, pids };
}

describe("npm start", { timeout: 2 * BOUND }, () => {
  test.each([
    ["SIGINT", "Ctrl-C"],
    ["SIGTERM", "kill"],
    ["SIGHUP", "a closed terminal"],
  ] as const)("ends every child on %s, which is %s, and reports no failure", async (signal, _) => {
    const { demo, pids } = await running();
    await demo.read("ada");
    const started = performance.now();
    expect(await demo.script.stop(signal)).toEqual({ code: 0, signal: null });
    expect(performance.now() - started).toBeLessThan(SOON);
    await expect.poll(() => alive(pids), { timeout: SOON }).toEqual([]);
  });

  test("ends every child when q is typed", async () => {
    const { demo, pids } = await running();
    demo.script.type("q");
    expect(await demo.script.exited).toEqual({ code: 0, signal: null });
    await expect.poll(() => alive(pids), { timeout: SOON }).toEqual([]);
  });

  test("ends every child when npm is told to end", async () => {
    const { demo, pids } = await running({}, NPM_START);
    await demo.script.stop("SIGTERM");
    await expect.poll(() => alive(pids), { timeout: SOON }).toEqual([]);
  });

  test("leaves no child behind when it is killed", async () => {
    const { demo, pids } = await running();
    await demo.script.stop("SIGKILL");
    await expect.poll(() => alive(pids), { timeout: SOON }).toEqual([]);
  });

  test("ends every child when it is interrupted before it is ready", async () => {
    const script = await StartScript.run();
    await expect.poll(() => family(script.pid).length, { timeout: BOUND, interval: 5 }).toBeGreaterThan(3);
    const pids = family(script.pid);
    await script.stop("SIGINT");
    await expect.poll(() => alive(pids), { timeout: SOON }).toEqual([]);
  });

  test.each([
    "PORT",
    "REDIS_PORT",
    "GATEWAY_PORT",
    "CONTROL_PORT",
    "UPSTREAM_PORT",
  ])("names a taken port and %s, which sets it, and starts nothing", async (name) => {
    for (const host of ["127.0.0.1", "0.0.0.0"]) {
      const port = await takenPort(host);
      const script = await StartScript.run({ [name]: String(port) });
      expect(await script.exited).toEqual({ code: 1, signal: null });
      expect(script.output.trim()).toBe(
        `error: port ${port} is taken: stop what listens there, or set ${name} to another port`,
      );
    }
  });

  test("says what is wrong with a port that is none", async () => {
    const script = await StartScript.run({ PORT: "http" });
    expect(await script.exited).toEqual({ code: 1, signal: null });
    expect(script.output.trim()).toBe('error: PORT: expected a port from 1 to 65535, got "http"');
  });
});
