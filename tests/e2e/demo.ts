/** The demo as `npm start` runs it: scripts/start.mjs in a process of its own, on free ports, with its own data. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { expect, vi } from "vitest";
import type { Counters } from "../../dev/counter.mjs";
import { freePort } from "../../scripts/start/port.mjs";
import { BOUND, Visitor } from "./visitor.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const PORTS = ["PORT", "REDIS_PORT", "GATEWAY_PORT", "CONTROL_PORT", "UPSTREAM_PORT"] as const;

type Command = readonly [string, ...string[]];
const SCRIPT: Command = [process.execPath, "scripts/start.mjs"];
export const NPM_START: Command = ["npm", "start"];

export interface Ended {
  code: number | null;
  signal: string | null;
}

/** `scripts/start.mjs`, ready or not. */
export class StartScript {
  readonly ports: Record<(typeof PORTS)[number], number>;
  readonly exited: Promise<Ended>;
  readonly #child: ChildProcess;
  readonly #lines: string[] = [];

  private constructor(command: Command, ports: StartScript["ports"], env: Record<string, string>) {
    this.ports = ports;
    const data = mkdtempSync(join(tmpdir(), "leeward-e2e-"));
    this.#child = spawn(command[0], command.slice(1), {
      cwd: ROOT,
      env: { ...process.env, UPSTREAM_DELAY: "100", UPSTREAM_DATA: join(data, "learners.json"), ...env },
      stdio: ["pipe", "pipe", "pipe"],
    });
    const kill = () => void this.#child.kill("SIGKILL");
    // Its own watchdogs end its children then.
    process.once("exit", kill);
    for (const input of [this.#child.stdout, this.#child.stderr]) {
      if (input) createInterface({ input }).on("line", (line) => this.#lines.push(line));
    }
    this.exited = new Promise((resolve) => {
      this.#child.once("close", (code, signal) => {
        process.off("exit", kill);
        rmSync(data, { recursive: true, force: true });
        resolve({ code, signal });
      });
    });
  }

  /** @param env over free ports for everything */
  static async run(env: Record<string, string> = {}, command = SCRIPT): Promise<StartScript> {
    const ports = {} as StartScript["ports"];
    for (const name of PORTS) ports[name] = env[name] ? Number(env[name]) : await freePort();
    const set = Object.fromEntries(PORTS.map((name) => [name, String(ports[name])]));
    return new StartScript(command, ports, { ...set, ...env });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get output(): string {
    return this.#lines.join("\n");
  }

  /** What a person types. */
  type(line: string): void {
    this.#child.stdin?.write(`${line}\n`);
  }

  /** Resolves with the first match in the output from line `from` on; rejects when the script ends before. */
  async says(pattern: RegExp, from = 0): Promise<RegExpExecArray> {
    const ended = this.exited.then(() => {
      throw new Error(`the demo ended before it said ${pattern}:\n${this.output}`);
    });
    const said = vi.waitFor(
      () => {
        const match = pattern.exec(this.#lines.slice(from).join("\n"));
        if (!match) throw new Error(`the demo did not say ${pattern}:\n${this.output}`);
        return match;
      },
      { timeout: BOUND },
    );
    return Promise.race([said, ended]);
  }

  get lineCount(): number {
    return this.#lines.length;
  }

  async stop(signal: NodeJS.Signals = "SIGINT"): Promise<Ended> {
    this.#child.kill(signal);
    return this.exited;
  }
}

/** The running demo, and who visits it. */
export class Demo extends Visitor {
  readonly script: StartScript;
  redisPid: number;

  private constructor(script: StartScript, redisPid: number) {
    super(`http://127.0.0.1:${script.ports.PORT}`);
    this.script = script;
    this.redisPid = redisPid;
  }

  static async start(env: Record<string, string> = {}, command = SCRIPT): Promise<Demo> {
    const script = await StartScript.run(env, command);
    const [, pid] = await script.says(/Redis on port \d+ \(pid (\d+)\)/);
    return new Demo(script, Number(pid));
  }

  /** What the gateway counted. */
  async counters(): Promise<Counters> {
    const response = await fetch(`http://127.0.0.1:${this.script.ports.CONTROL_PORT}/`);
    return ((await response.json()) as { counters: Counters }).counters;
  }

  /** What the upstream had to do. */
  async upstream(): Promise<{ computations: number; submissions: number }> {
    const response = await fetch(`http://127.0.0.1:${this.script.ports.UPSTREAM_PORT}/counters`);
    return (await response.json()) as { computations: number; submissions: number };
  }

  /** Switches a fault of the gateway on; `healthy` ends it. */
  async fault(name: string): Promise<void> {
    const url = `http://127.0.0.1:${this.script.ports.CONTROL_PORT}/fault/${name}`;
    expect((await fetch(url, { method: "POST" })).status).toBe(200);
  }

  async stop(): Promise<Ended> {
    return this.script.stop();
  }
}
