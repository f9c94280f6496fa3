/** One cell of the tables of failures: an operation, with a connection, a cache, a prefix and events of its own. */
import type { CacheOptions } from "leeward";
import { expect } from "vitest";
import { FRESH, KEY, OLD, type Operation, SECRET, SPACE, TAG } from "./fault-operations.ts";
import { Tally } from "./fault-tally.ts";
import type { Isolate } from "./isolate.ts";
import { credentials, type Stage, together } from "./stage.ts";
import type { Call, Ended, State, Visit } from "./visit.ts";

/** How long a box waits for what must come: far longer than any backoff. */
const PATIENCE_MS = 30_000;
/** Between two looks: many boxes look at the same time. */
const LOOK_MS = 40;

export interface Cell {
  operation: Operation;
  /** The connection is ready, and the key's value stored, when the fault begins. */
  warm: boolean;
  /** So many at once. */
  count: number;
}

export interface Patience {
  read: number;
  write: number;
}

/** More of what a box's cache is told; that beside it is not. */
export type Settings = Pick<CacheOptions, "maxValueBytes">;

/** An isolate has room for 64 connections, and some are for others. */
const BOXES = 56;
/** Longer than any test takes. */
const L1 = { ttl: "60s", maxBytes: 65_536 };

/** No deadline is to be reached. */
export const PATIENT: Patience = { read: 10_000, write: 10_000 };

export class Box {
  readonly stage: Stage;
  readonly isolate: Isolate;
  readonly cell: Cell;
  readonly prefix: string;
  readonly namespace: readonly string[];
  readonly visit: Omit<Visit, "calls">;
  /** Of a raw command. */
  readonly tally: Tally;

  constructor(
    stage: Stage,
    isolate: Isolate,
    cell: Cell,
    label: string,
    patience: Patience = PATIENT,
    settings: Settings = {},
  ) {
    this.stage = stage;
    this.isolate = isolate;
    this.cell = cell;
    const { compat, l1, call } = cell.operation;
    // The old contract's cache takes no options, and its credentials from the worker's own env. Of caches that hold values there
    // are four in an isolate: they are one, with a namespace for each box.
    this.prefix = compat ? "leeward" : l1 ? "box-l1" : `box-${label}`;
    this.namespace = [...(l1 ? [`${SPACE}-${label}`] : []), ...(call.namespace ?? [])];
    this.tally = new Tally(stage.redis, `${SECRET}-count-${label}`);
    const { UPSTASH_REDIS_REST_URL = "", UPSTASH_REDIS_REST_TOKEN = "" } = credentials(stage.gateway);
    const timeout = { ...patience, flight: "20s" };
    this.visit = {
      cache: compat ? this.prefix : `box-${label}`,
      options: { prefix: this.prefix, timeout, ...(l1 && { l1: L1 }), ...settings },
      ...(!compat && {
        env: { UPSTASH_REDIS_REST_URL, UPSTASH_REDIS_REST_TOKEN: `${UPSTASH_REDIS_REST_TOKEN}.${label}` },
      }),
    };
  }

  /** The value that is stored when it is warm is held by this isolate, which is not asked of Redis then. */
  get holds(): boolean {
    const { operation, warm } = this.cell;
    return warm && operation.l1 === true && (operation.kind === "read" || operation.kind === "look");
  }

  /** Where Redis has the entry. */
  get hash(): string {
    return `${this.prefix}:k:${this.namespace.join()}:${KEY}`;
  }

  call(call: Call): Promise<Ended> {
    return this.isolate.call(call, this.visit);
  }

  /** The cell's own operation, as often at once as it says. */
  run(count = this.cell.count): Promise<Ended[]> {
    const { kind, call } = this.cell.operation;
    const own = this.#placed(call);
    return together(count, () =>
      this.call(kind === "raw" ? { ...own, command: ["INCR", this.tally.key] } : own),
    );
  }

  /** Another call on the operation's key, where it lies. */
  other(call: Omit<Call, "key">): Promise<Ended> {
    return this.call(this.#placed(call));
  }

  /** What a reader gets who would take the callback's value as well. */
  async read(options?: Call["options"]): Promise<unknown> {
    const { error, value } = await this.other({
      ...{ op: "getOrSet", load: { value: FRESH } },
      ...(options && { options }),
    });
    expect(error, this.name).toBeUndefined();
    return value;
  }

  /** The same as `other` with all the patience that there is, on the same connection, and by a cache that holds nothing itself. */
  beside(call: Omit<Call, "key">): Promise<Ended> {
    const timeout = { ...PATIENT, flight: "20s" };
    const visit = { cache: `${this.visit.cache}-beside`, options: { prefix: this.prefix, timeout } };
    return this.isolate.call(this.#placed(call), { ...this.visit, ...visit });
  }

  #placed(call: Omit<Call, "key">): Call {
    const namespace = [...this.namespace];
    return { key: KEY, ...call, ...(namespace.length > 0 && { namespace }) };
  }

  state(): Promise<State> {
    return this.isolate.state(this.visit);
  }

  /** Stores the old value, and makes sure that it is a hit, or stale where the operation wants it so. */
  async warmUp(): Promise<void> {
    const { stale } = this.cell.operation;
    const { value } = await this.beside({ op: "set", value: OLD, options: { tags: [TAG], swr: 60_000 } });
    expect(value).toMatchObject({ stored: true });
    expect((await this.beside({ op: "look" })).value).toMatchObject({ outcome: "hit", value: OLD });
    if (stale) expect((await this.beside({ op: "expire" })).value).toEqual({ state: "applied" });
    await this.hold();
  }

  /** Looks until what is stored is held, where the operation's cache holds anything. */
  async hold(): Promise<void> {
    if (!this.cell.operation.l1) return;
    for (const end = Date.now() + PATIENCE_MS; ; ) {
      const { value } = await this.other({ op: "look" });
      if ((value as { l1: boolean }).l1) return;
      if (Date.now() > end) throw new Error(`${this.name}: is not held: ${JSON.stringify(value)}`);
      await pause();
    }
  }

  /** Asks until it is a hit: everything is in order then. Only what is allowed may be given meanwhile. */
  async untilHit(value: string, allowed: readonly unknown[]): Promise<void> {
    for (const end = Date.now() + PATIENCE_MS; ; ) {
      const ended = await this.beside({ op: "lookup", load: { value } });
      const found = ended.value as { outcome: string; value: unknown };
      if (!allowed.includes(found.value)) throw new Error(`${this.name}: gave ${JSON.stringify(found)}`);
      if (found.outcome === "hit") return;
      if (Date.now() > end) {
        throw new Error(`${this.name}: does not become a hit: ${JSON.stringify(await this.state())}`);
      }
      await pause();
    }
  }

  /** Looks until nothing waits to be invalidated. What has been sent again too often waits for whoever comes next. */
  async untilEmpty(): Promise<State> {
    for (const end = Date.now() + PATIENCE_MS; ; ) {
      const state = await this.state();
      if (state.stats.journal === 0) return state;
      await this.beside({ op: "get" });
      if (Date.now() > end) throw new Error(`${this.name}: the journal stays: ${JSON.stringify(state)}`);
      await pause();
    }
  }

  /** For messages. */
  get name(): string {
    const { operation, warm, count } = this.cell;
    return `${operation.name}, ${warm ? "warm" : "cold"}, ${count} at once`;
  }
}

/** A box for each cell, in as many isolates as they need. */
export async function boxesFor(
  stage: Stage,
  cells: readonly Cell[],
  patience?: Patience,
  settings?: Settings,
): Promise<Box[]> {
  const boxes: Box[] = [];
  let { isolate } = stage;
  for (const [index, cell] of cells.entries()) {
    if (index > 0 && index % BOXES === 0) isolate = await stage.neighbour();
    boxes.push(new Box(stage, isolate, cell, String(index), patience, settings));
  }
  return boxes;
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, LOOK_MS));
}
