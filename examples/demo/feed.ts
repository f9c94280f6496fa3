/**
 * The last events of this isolate, in plain words, for the page that asks once a second what is new.
 *
 * Plain data in a bounded list: requests share it, and none waits for another.
 */
import type { CacheEvent } from "leeward";
import { inPlainWords, type Tone } from "./plain-words.js";

/** One line of the page's list. */
export interface Line {
  readonly id: number;
  /** When it happened last, Unix ms. */
  readonly at: number;
  readonly tone: Tone;
  readonly text: string;
  /** How many events it stands for: a burst is a hundred reads and two lines. */
  readonly times: number;
  /** Counts up with each event: what `since` compares with. */
  readonly change: number;
}

export interface News {
  /** Another isolate begins another list. */
  readonly list: string;
  readonly last: number;
  readonly lines: readonly Line[];
}

/** How many lines are kept; the oldest go first. */
const MAX_LINES = 40;
/** The same words so many lines back are the same line, and come to the end: requests at once mix their events. */
const LOOK_BACK = 4;

export class Feed {
  #list = "";
  #last = 0;
  readonly #lines: Line[] = [];

  /** @param source whose event it is, if not a visitor's */
  record(event: CacheEvent, source = ""): void {
    const words = inPlainWords(event);
    if (!words) return;
    this.#last += 1;
    const text = source ? `${source} · ${words.text}` : words.text;
    const recent = this.#lines.findLastIndex((line) => line.text === text);
    const [known] =
      recent >= this.#lines.length - LOOK_BACK && recent >= 0 ? this.#lines.splice(recent, 1) : [];
    this.#lines.push({
      id: known?.id ?? this.#last,
      at: event.at,
      tone: words.tone,
      text,
      times: (known?.times ?? 0) + 1,
      change: this.#last,
    });
    if (this.#lines.length > MAX_LINES) this.#lines.shift();
  }

  /** What has changed since the caller has seen change number `since`; 0 for everything. */
  news(since: number): News {
    // Not at module scope, where Workers have no random numbers.
    this.#list ||= crypto.randomUUID();
    return {
      list: this.#list,
      last: this.#last,
      lines: this.#lines.filter((line) => line.change > since),
    };
  }
}
