/** `createCache`: settings, kept as they were given until the first call needs them. */
import { isThenable } from "./callback.ts";
import { CacheClient } from "./client.ts";
import { currentHost } from "./host.ts";
import type {
  Cache,
  CacheEvent,
  CacheOptions,
  Checked,
  Computes,
  ExecutionContextLike,
  Fill,
  FillWrapOptions,
  WrapOptions,
  Wrapped,
} from "./index.d.ts";
import { hasBegun, type Instance, instance, keptOf, type Link, leave } from "./isolate.ts";
import type { Heir } from "./kept.ts";
import { NONE } from "./l1.ts";
import { Place } from "./names.ts";
import { bindingOf, giveOptions, versionIn } from "./options.ts";
import { type Holding, type Home, Session } from "./session.ts";
import { isTrap } from "./trap.ts";
import { wrap } from "./wrap.ts";

/** A cache's settings, and what follows from them in the present instance. */
export class CacheHome implements Home {
  readonly options: CacheOptions;
  #instance: Instance | undefined;
  /** The build that the instance has been told of, where a binding names it. */
  #build: string | undefined;
  #cache = 0;
  #flaw: string | undefined;
  #link: (Holding & { readonly url: unknown; readonly token: unknown }) | undefined;
  readonly #warned = new Set<string>();
  #values = 0;
  #observed = false;

  constructor(options: CacheOptions) {
    this.options = options;
  }

  get cache(): number {
    return this.#cache;
  }

  get values(): number {
    return this.#values;
  }

  get observed(): boolean {
    return this.#observed;
  }

  prepare(env: unknown): Instance {
    const present = instance();
    const given = env ?? currentHost().env();
    const build = this.#buildIn(given);
    if (this.#instance === present && this.#build === build) return present;
    this.#ask(present, () => this.#introduce(present, given));
    this.#link = undefined;
    this.#instance = present;
    this.#build = build;
    // Should there be none again, that is news.
    this.#warned.delete("unavailable");
    return present;
  }

  /** What a binding says of the build, or what is wrong with it; `undefined`: no binding is asked. */
  #buildIn(env: unknown): string | undefined {
    try {
      const binding = bindingOf(this.options);
      return binding === undefined ? undefined : `=${versionIn(env, binding)}`;
    } catch (flaw) {
      return `!${flaw}`;
    }
  }

  /** Makes the cache known to an instance. */
  #introduce(present: Instance, env: unknown): void {
    this.#flaw = undefined;
    const observed = this.#observer() !== undefined;
    this.#observed = observed;
    try {
      giveOptions(present.core, this.options, env);
    } catch (flaw) {
      if (flaw instanceof WebAssembly.RuntimeError) throw flaw;
      this.#flaw = flaw instanceof Error ? flaw.message : String(flaw);
    }
    const id = present.core.cache(observed);
    if (id === undefined)
      throw new Error("there are too many caches with different settings in this isolate");
    this.#cache = id;
    this.#values = present.core.holds(id);
  }

  link(env: unknown): Link {
    const present = this.prepare(env);
    const { url, token } = this.#credentials(present, env);
    let link = this.#link?.link;
    if (link === undefined || this.#link?.url !== url || this.#link.token !== token) {
      link = this.#ask(present, () => this.#open(present, url, token));
      this.#link = { url, token, link, spots: present.l1.spots(this.#cache, link.id) };
    }
    const { id, kept } = link;
    // Before the operation that this is for.
    if (kept?.isOwing) this.#ask(present, () => kept.giveDebts(heirOf(present, id)));
    return link;
  }

  holding(env: unknown): Holding | undefined {
    const known = this.#link;
    if (this.#values === NONE || known === undefined || this.#instance?.dead !== false) return undefined;
    // What is owed comes first.
    if (known.link.kept?.isOwing === true) return undefined;
    if (this.#build !== undefined && this.#buildIn(env ?? currentHost().env()) !== this.#build)
      return undefined;
    const { options } = this;
    if (options.url === known.url && options.token === known.token) return known;
    const { url, token } = this.#credentials(this.#instance, env);
    return url === known.url && token === known.token ? known : undefined;
  }

  existing(env: unknown): { readonly instance: Instance; readonly link: Link } | undefined {
    // Looking at the state is no use of the cache: it makes nothing.
    if (!hasBegun()) return undefined;
    try {
      return { instance: this.prepare(env), link: this.link(env) };
    } catch {
      return undefined;
    }
  }

  emit(event: CacheEvent): void {
    const onEvent = this.#observer();
    if (onEvent !== undefined) {
      try {
        const ended: unknown = onEvent(event);
        // It may be async: a rejection that nobody waits for would end a process.
        if (isThenable(ended)) ended.then(undefined, () => {});
      } catch {
        // An observer does not decide over the answer.
      }
    } else if (event.type === "warning") {
      console.warn(`leeward: ${event.message}`);
    }
  }

  warn(code: string, message: string): void {
    if (this.#warned.has(code)) return;
    this.#warned.add(code);
    this.emit({ type: "warning", at: Date.now(), request: 0, code, message });
  }

  trapped(present: Instance, error: unknown): void {
    const told = leave(present, error);
    if (told === undefined) return;
    // The pause is told here, and needs no warning of its own.
    if (told.paused) this.#warned.add("unavailable");
    const then = told.paused
      ? "not the first time: callbacks run for 10 s, then it is made anew"
      : "it is made anew";
    const message = `the core has failed (${told.cause}); calls under way go on uncached, and ${then}`;
    this.emit({ type: "warning", at: Date.now(), request: 0, code: "trapped", message });
  }

  /** Asks the core for something outside of any operation. */
  #ask<T>(present: Instance, work: () => T): T {
    try {
      return work();
    } catch (error) {
      if (isTrap(error)) this.trapped(present, error);
      throw error;
    }
  }

  /** Who listens. Anything may have been given for options: null, and what throws when it is looked at. */
  #observer(): ((event: CacheEvent) => unknown) | undefined {
    try {
      const onEvent: unknown = this.options?.onEvent;
      return typeof onEvent === "function" ? (onEvent as (event: CacheEvent) => unknown) : undefined;
    } catch {
      return undefined;
    }
  }

  #credentials(present: Instance, env: unknown): { url: string; token: string } {
    const options = this.options ?? {};
    if (options.url !== undefined || options.token !== undefined) {
      return { url: options.url ?? "", token: options.token ?? "" };
    }
    const given = env ?? currentHost().env();
    if (typeof given === "object" && given !== null) {
      const variables = given as Record<string, unknown>;
      const names = credentialNames(present);
      for (let i = 0; i < names.length; i += 2) {
        const url = textIn(variables, names[i]);
        const token = textIn(variables, names[i + 1]);
        if (url !== "" || token !== "") return { url, token };
      }
    }
    return { url: "", token: "" };
  }

  #open(present: Instance, url: string, token: string): Link {
    const { core, connections, links } = present;
    // What cannot work has a connection of its own for each cause, which warns once.
    const flawed = this.#flaw !== undefined;
    const usable = !flawed && url !== "" && token !== "";
    const key = usable ? `${url}\n${token}` : `\n${this.#cache}\n${this.#flaw ?? ""}`;
    const known = connections.get(key);
    if (known !== undefined) return known;
    // What is disabled has nothing that could be sent again.
    const kept = usable ? keptOf(key) : undefined;
    const id = flawed ? core.openDisabled(this.#flaw ?? "") : core.open(url, token);
    if (id === undefined) throw new Error("there are too many connections in this isolate");
    const link: Link = { id, instance: present, url: core.url(id) ?? "", token, kept };
    kept?.giveAll(heirOf(present, id));
    links[id] = link;
    connections.set(key, link);
    return link;
  }
}

function heirOf({ core, exports }: Instance, id: number): Heir {
  return {
    restore: (name, record) => void core.restore(id, name, record, Date.now()),
    owed: (soft) => exports.Core.owed(soft),
  };
}

const NAMES = new WeakMap<Instance, string[]>();

function credentialNames(present: Instance): string[] {
  let names = NAMES.get(present);
  if (names === undefined) {
    names = present.exports.Core.credentials();
    NAMES.set(present, names);
  }
  return names;
}

function textIn(env: Record<string, unknown>, name: string | undefined): string {
  const value = name === undefined ? undefined : env[name];
  return typeof value === "string" ? value.trim() : "";
}

/** A client that can be bound to a request. */
class UnboundClient extends CacheClient implements Cache {
  readonly #session: Session;
  readonly #place: Place;

  constructor(session: Session, place: Place) {
    super(session, place);
    this.#session = session;
    this.#place = place;
  }

  for(env?: unknown, ctx?: ExecutionContextLike): CacheClient {
    return new CacheClient(this.#session.for(env, ctx), this.#place);
  }

  override wrap<A extends unknown[], T>(
    name: string,
    fn: Computes<A, T>,
    options?: WrapOptions<A> & Checked<NoInfer<T>>,
  ): Wrapped<A, T>;
  override wrap<A extends unknown[], T>(
    name: string,
    fn: Computes<[fill: Fill, ...args: A], T>,
    options: FillWrapOptions<A> & Checked<NoInfer<T>>,
  ): Wrapped<A, T>;
  override wrap(name: unknown, fn: unknown, options?: unknown): Wrapped<unknown[], unknown> {
    return Object.assign(wrap(this, name, fn, options), {
      for: (env?: unknown, ctx?: ExecutionContextLike) => wrap(this.for(env, ctx), name, fn, options),
    });
  }

  override namespace(name: string): UnboundClient {
    return new UnboundClient(this.#session, this.#place.within(name));
  }
}

export function createCache(options: CacheOptions = {}): Cache {
  return new UnboundClient(new Session(new CacheHome(options)), new Place());
}
