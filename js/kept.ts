/**
 * What must outlive an instance of the core, as plain data: for each connection what the instance has handed out to be kept,
 * and writes that it did not live to journal. The next instance is given it before anything else.
 */

/** A write whose invalidation is still to be sent. */
export interface Debt {
  /** Of an expiry. */
  readonly soft: boolean;
  /** Characters that are held for it. */
  readonly size: number;
  /** The names of its fences, asked of the present instance. */
  names(): string[];
}

/** The one to give it to. */
export interface Heir {
  restore(name: string, record: string): void;
  /** The record of a write that is still to be sent. */
  owed(soft: boolean): string;
}

/** At most so many writes, and characters in them: beyond, they are told as refused. */
const MAX_DEBTS = 4096;
const MAX_SIZE = 1 << 20;

export class Kept {
  /** By name, what the core has handed out: as many as it has room for itself. */
  readonly #records = new Map<string, string>();
  /** Given to no instance yet. */
  readonly #debts: Debt[] = [];
  /** Names of those that the present instance has been given, and has not handed out again: of expiries, of the others. */
  readonly #given = { soft: new Set<string>(), hard: new Set<string>() };
  #size = 0;

  /** Keeps what the present instance has handed out, in place of what was kept there. */
  keep(name: string, record: string | undefined): void {
    this.#given.soft.delete(name);
    this.#given.hard.delete(name);
    if (record === undefined) this.#records.delete(name);
    else this.#records.set(name, record);
  }

  /** Takes on a write; `false`: there is no room. */
  owe(debt: Debt): boolean {
    if (this.#debts.length >= MAX_DEBTS || this.#size + debt.size > MAX_SIZE) return false;
    this.#debts.push(debt);
    this.#size += debt.size;
    return true;
  }

  /** Whether there are writes that no instance has been given. */
  get isOwing(): boolean {
    return this.#debts.length > 0;
  }

  /** Gives all of it to an instance that has nothing of it yet. */
  giveAll(heir: Heir): void {
    for (const [name, record] of this.#records) heir.restore(name, record);
    for (const name of this.#given.soft) heir.restore(name, heir.owed(true));
    for (const name of this.#given.hard) heir.restore(name, heir.owed(false));
    this.giveDebts(heir);
  }

  /** Gives what has been taken on since. */
  giveDebts(heir: Heir): void {
    for (let debt = this.#debts[0]; debt !== undefined; debt = this.#debts[0]) {
      const record = heir.owed(debt.soft);
      const given = debt.soft ? this.#given.soft : this.#given.hard;
      for (const name of debt.names()) {
        heir.restore(name, record);
        given.add(name);
      }
      // Last: should the instance fail over it, the next one is given it.
      this.#debts.shift();
      this.#size -= debt.size;
    }
  }
}
