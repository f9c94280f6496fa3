/** What raw commands say of themselves, held against what Redis has executed: each counts one up. */
import { expect } from "vitest";
import type { Redis } from "../../dev/redis.mjs";
import { SECRET } from "./fault-operations.ts";
import type { Ended, Thrown } from "./visit.ts";

/** What an error may say, one for each code. */
export type Failures = Readonly<Partial<Record<string, Partial<Thrown>>>>;

export class Tally {
  /** What is counted up. */
  readonly key: string;
  readonly #redis: Redis;
  readonly #replies = new Set<unknown>();
  /** Replies that are lost. */
  #unknown = 0;

  constructor(redis: Redis, key: string) {
    this.#redis = redis;
    this.key = key;
  }

  /** One has ended: well, or by an error that may be. */
  take({ value, error }: Ended, failures: Failures, name: string): void {
    if (error === undefined) {
      expect(this.#replies, name).not.toContain(value);
      this.#replies.add(value);
      return;
    }
    const code = String(error.code);
    expect(Object.keys(failures), name).toContain(code);
    expect(error, name).toMatchObject({ name: "RedisError", leeward: true, word: null, ...failures[code] });
    expect(`${error.message} ${error.printed}`, name).not.toContain(SECRET);
    if (code === "unknown-outcome") this.#unknown += 1;
  }

  /** That none was executed but those that were answered, and those of which nobody knows; and each once. */
  async check(name: string): Promise<void> {
    const executed = await this.executed();
    const answered = this.#replies.size;
    expect(executed, name).toBeGreaterThanOrEqual(answered);
    expect(executed, name).toBeLessThanOrEqual(answered + this.#unknown);
    const right = Array.from({ length: executed }, (_, index) => index + 1);
    for (const reply of this.#replies) expect(right, name).toContain(reply);
  }

  async executed(): Promise<number> {
    return Number(await this.#redis.command("GET", this.key));
  }
}
