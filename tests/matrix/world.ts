/** What a cell has to itself: a connection, keys and deadlines; and what a shared path is. */
import { type Gateway, startGateway } from "../../dev/gateway.mjs";
import type { Call, Ended, Load, State, Visit } from "../workerd/visit.ts";
import type { Visiting, Visitor } from "../workerd/visitor.ts";
import type { Cell, Fate } from "./cells.ts";
import { startValve, type Valve } from "./valve.ts";

/** Where cells run. */
export interface Place {
  /** The isolate in which the leaders of a path are. */
  here(path: Path): Visitor;
  /** Another one. */
  there: Visitor;
  /** A request that another worker hands on, until it is told to abort. */
  through(path: Path, name: string, visit: Visit): Visiting & { abort(): Promise<void> };
  redisPort: number;
}

export interface Timeouts {
  read?: number;
  write?: number;
  flight?: number;
}

/** Deadlines that are not to pass: they are far beyond the time in which an answer is expected. */
const PATIENT = { read: 20_000, write: 20_000, flight: 20_000 };

/** The value that callbacks give, and what is read in the end. */
export const RIGHT = "right";

/** A promise that several requests, or several isolates, have to do with. */
export interface Path {
  name: string;
  /** What cannot befall its leader, and why. */
  cannot: Partial<Record<Fate, string>>;
  /** Options of the caches. */
  options?: Record<string, unknown>;
  /** The deadlines that pass when the leader times out. */
  hasty: Timeouts;
  /** Options of the caches when it does, over the others. */
  hastyOptions?: Record<string, unknown>;
  /** Whether followers are in another isolate. */
  apart?: boolean;
  /** How many HTTP requests have been sent when all who come at the same time have asked. */
  requests?: number;
  /** What there must be before the leader comes. */
  prepare?(world: World): Promise<unknown>;
  /** What the leader asks. `load` is what befalls its callback. */
  lead(world: World, load: Load): Call[];
  /** Resolves when the leader is where others meet it. */
  met(world: World): Promise<unknown>;
  /** What the `i`th follower asks. */
  follow(world: World, i: number): Call;
  /** Resolves when the leader's deadline has passed. Default: when it has answered. */
  passed?(world: World): Promise<unknown>;
  /** Whether what the leader had under way stays in the tables, since its request is dead. Default: if its callback never settles. */
  left?(fate: Fate): boolean;
  /** How many operations of the core its call is. Default: 1. */
  operations?: number;
  /** Lets go what the leader waits for. Default: opens valve and gates. */
  release?(world: World): Promise<unknown>;
  /** Values that are right, of leader and followers. Default: `RIGHT`. */
  right?: readonly unknown[];
  /** How the leader's first call ends, where it is no read that gives its value. */
  ended?(ended: Ended | undefined, fate: Fate): void;
  /** How often callbacks of the key have run when all have answered, where the rules fix it: at least, at most. */
  callbacks?(fate: Fate, late: boolean): [number, number] | undefined;
}

/** An isolate, as the cache of a cell. */
export class Side {
  readonly #visitor: Visitor;
  readonly #visit: Omit<Visit, "calls">;

  constructor(visitor: Visitor, visit: Omit<Visit, "calls">) {
    this.#visitor = visitor;
    this.#visit = visit;
  }

  visit(calls: Call[], more: Partial<Visit> = {}): Visit {
    return { ...this.#visit, ...more, calls };
  }

  send(calls: Call[], more: Partial<Visit> = {}): Visiting {
    return this.#visitor.send("/", this.visit(calls, more));
  }

  call(call: Call): Promise<Ended> {
    return this.#visitor.call(call, this.#visit);
  }

  state(): Promise<State> {
    return this.#visitor.state(this.#visit);
  }

  until(check: (state: State) => boolean): Promise<State> {
    return this.#visitor.until(check, this.#visit);
  }

  async open(gate: string): Promise<void> {
    await this.#visitor.open(gate);
  }
}

export class World {
  readonly name: string;
  readonly gateway: Gateway;
  readonly valve: Valve;
  readonly timeouts: Timeouts;
  /** The cache that is tried. */
  readonly here: Side;
  readonly there: Side;
  /** The same connection and keys, by a cache with deadlines that do not pass: for what must be there before. */
  readonly before: Side;

  private constructor(place: Place, { path, fate }: Cell, name: string, gateway: Gateway, valve: Valve) {
    this.name = name;
    this.gateway = gateway;
    this.valve = valve;
    this.timeouts = {
      ...PATIENT,
      ...(fate === "timeout" ? path.hasty : fate === "never" ? { flight: path.hasty.flight ?? 1000 } : {}),
    };
    const options = { prefix: name, url: gateway.url, token: gateway.token, ...path.options };
    if (fate === "timeout") Object.assign(options, path.hastyOptions);
    const own = { cache: name, options: { ...options, timeout: this.timeouts } };
    this.here = new Side(place.here(path), own);
    this.there = new Side(place.there, own);
    this.before = new Side(place.here(path), {
      cache: `${name} before`,
      options: { ...options, timeout: PATIENT },
    });
  }

  static async make(place: Place, cell: Cell, name: string): Promise<World> {
    const valve = await startValve(place.redisPort);
    const gateway = await startGateway({ redisPort: valve.port });
    return new World(place, cell, name, gateway, valve);
  }

  /** A gate of this cell. */
  gate(name: string): string {
    return `${this.name}-${name}`;
  }

  /** Reads the key, with a callback that gives the right value. */
  read(key = "k", load: Load = {}): Call {
    return { op: "lookup", key, load: { value: RIGHT, ...load } };
  }

  /** Opens gates in all isolates. */
  async open(...names: string[]): Promise<void> {
    for (const name of names) {
      await Promise.all([this.here.open(this.gate(name)), this.there.open(this.gate(name))]);
    }
  }

  async stop(): Promise<void> {
    await this.gateway.stop();
    this.valve.stop();
  }
}
