/** The clock of a Redis in memory, and what waits for it: answers that are slow, requests that come late. */

interface Wait {
  readonly at: number;
  readonly work: () => void;
  timer: ReturnType<typeof setTimeout> | undefined;
}

export class Clock {
  readonly #start: number | undefined;
  /** Where it stands still, or how far it is ahead of the runtime's. */
  #standing: number | undefined;
  #ahead = 0;
  readonly #waits = new Set<Wait>();

  /** @param now where it stands still; without one it runs. */
  constructor(now: number | undefined) {
    this.#start = now;
    this.#standing = now;
  }

  get now(): number {
    return this.#standing ?? Date.now() + this.#ahead;
  }

  set now(ms: number) {
    this.#standing = ms;
    for (const wait of this.#waits) clearTimeout(wait.timer);
    this.#wake();
  }

  advance(ms: number): void {
    if (this.#standing === undefined) this.#ahead += ms;
    else this.#standing += ms;
    this.#wake();
  }

  reset(): void {
    this.#standing = this.#start;
    this.#ahead = 0;
  }

  /** Does it when so much time has passed, unless what it gives is called. */
  after(ms: number, work: () => void): () => void {
    const wait: Wait = { at: this.now + ms, work, timer: undefined };
    this.#waits.add(wait);
    if (this.#standing === undefined) wait.timer = setTimeout(() => this.#end(wait), ms);
    else if (ms <= 0) queueMicrotask(() => this.#end(wait));
    return () => this.#drop(wait);
  }

  #wake(): void {
    const due = [...this.#waits].filter(({ at }) => at <= this.now).sort((a, b) => a.at - b.at);
    for (const wait of due) this.#end(wait);
  }

  #end(wait: Wait): void {
    if (this.#drop(wait)) wait.work();
  }

  #drop(wait: Wait): boolean {
    clearTimeout(wait.timer);
    return this.#waits.delete(wait);
  }
}
