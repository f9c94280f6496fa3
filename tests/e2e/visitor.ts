/** Someone who uses the demo worker over HTTP, and notes how each read was answered. */
import type { Connection, Stats } from "leeward";
import { expect, vi } from "vitest";
import type { BankedXp } from "../../examples/demo/upstream.js";

/** Starting wrangler, and recovering after the longest backoff, may take this long on a busy machine. */
export const BOUND = 60_000;

export interface Read {
  status: number;
  /** Of the Cache-Status header: `hit`, `miss`, `bypass`. */
  outcome: string | undefined;
  cacheStatus: string | null;
  xp: BankedXp;
  ms: number;
}

export interface Submitted {
  status: number;
  invalidation: { state: string; code?: string; message?: string };
}

export interface Seen extends Connection {
  stats: Stats;
}

export class Visitor {
  readonly url: string;

  constructor(url: string) {
    this.url = url;
  }

  async read(learner: string): Promise<Read> {
    const started = performance.now();
    const response = await fetch(`${this.url}/learners/${learner}/xp`);
    const xp = (await response.json()) as BankedXp;
    const cacheStatus = response.headers.get("cache-status");
    const [, hit, forwarded] = /^leeward; (?:(hit)|fwd=([a-z]+))/.exec(cacheStatus ?? "") ?? [];
    const ms = performance.now() - started;
    return { status: response.status, outcome: hit ?? forwarded, cacheStatus, xp, ms };
  }

  async submit(learner: string, body: unknown = { lesson: "percent-2", xp: 30 }): Promise<Submitted> {
    const response = await fetch(`${this.url}/learners/${learner}/submissions`, {
      method: "POST",
      body: JSON.stringify(body),
    });
    return { status: response.status, ...((await response.json()) as Omit<Submitted, "status">) };
  }

  async connection(): Promise<Seen> {
    return (await fetch(`${this.url}/connection`)).json() as Promise<Seen>;
  }

  /** Reads until the cache answers. Every answer on the way must be right: a wrong one fails at once, and is not retried. */
  async readUntilHit(learner: string, submissions: number): Promise<Read> {
    for (const deadline = Date.now() + BOUND; ; ) {
      const read = await this.read(learner);
      expect(read).toMatchObject({ status: 200, xp: { learner, submissions } });
      if (read.outcome === "hit") return read;
      if (Date.now() > deadline) throw new Error(`expected a hit in the end, got ${read.cacheStatus}`);
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  }

  /** Resolves when nothing waits for Redis any more. */
  async untilJournalIsEmpty(): Promise<void> {
    await vi.waitFor(async () => expect((await this.connection()).stats.journal).toBe(0), { timeout: BOUND });
  }
}
