/**
 * The entry `leeward/testing`: a Redis in memory for users' tests. It shares the gateway's protocol and faults, see
 * dev/service.mjs.
 */
import { Counter } from "../../dev/counter.mjs";
import type { FaultOptions as GatewaysOptions } from "../../dev/fault-options.mjs";
import { FaultSwitch } from "../../dev/fault-switch.mjs";
import { HeldRequests } from "../../dev/held-requests.mjs";
import { RequestLog } from "../../dev/log.mjs";
import { plainReply } from "../../dev/resp.mjs";
import { Service } from "../../dev/service.mjs";
import { milliseconds } from "../duration.ts";
import type { TestRedis, TestRedisOptions, TestReply } from "../testing.d.ts";
import { Clock } from "./clock.ts";
import { NAMES } from "./command.ts";
import { entriesIn } from "./entries.ts";
import { broken, FetchExchange } from "./exchange.ts";
import { incoming, isForeign, rebuilt } from "./incoming.ts";
import { type Fetch, install, originOf } from "./install.ts";
import { bytes, Failure, wire } from "./reply.ts";
import { Server } from "./server.ts";

const MAX_BODY = 10 * 1024 * 1024;

/** Taken now: a runner's fake timers must not stop `idle`. */
const { setTimeout } = globalThis;

export function createTestRedis(options: TestRedisOptions = {}): TestRedis {
  const clock = new Clock(startOf(options));
  const server = new Server(clock);
  const origin = `https://leeward-${crypto.randomUUID()}.test`;
  const token = crypto.randomUUID();
  const counter = new Counter();
  const faults = new FaultSwitch();
  const held = new HeldRequests({ after: (ms, work) => clock.after(ms, work) });
  const log = new RequestLog();
  const maxBytes = MAX_BODY;
  const poolOf = (shown: string | undefined) => (shown === token ? server : undefined);
  const service = new Service({ poolOf, maxBytes, counter, faults, held, log });
  const open = new Set<FetchExchange>();
  const elsewhere = globalThis.fetch;

  const refused = () => faults.state.name === "refuse";
  const cutAll = () => {
    for (const exchange of open) exchange.cut(broken("ECONNRESET"));
  };

  const fetch: Fetch = async (input, init) => {
    if (originOf(input) !== origin)
      return isForeign(input) ? elsewhere(...(await rebuilt(input, init))) : elsewhere(input, init);
    const { url, method, headers, signal, body: bodyOf } = incoming(input, init);
    signal?.throwIfAborted();
    if (refused()) throw broken("ECONNREFUSED");
    const body = await bodyOf();
    const exchange = new FetchExchange({ body, clock, signal, withoutBody: method === "HEAD" });
    open.add(exchange);
    void exchange.closed.then(() => open.delete(exchange));
    const target = url.pathname + url.search;
    // What is thrown here is a bug, and must not look like a fault that was asked for.
    service.handle(exchange, { method, target, headers, connection: 1 }).catch((bug) => exchange.cut(bug));
    return exchange.response;
  };

  return {
    url: origin,
    token,
    env: { UPSTASH_REDIS_REST_URL: origin, UPSTASH_REDIS_REST_TOKEN: token },
    install: () => install(origin, fetch),
    fetch,
    get now() {
      return clock.now;
    },
    set now(now) {
      clock.now = checkedTime(now);
    },
    advance: (duration) => clock.advance(milliseconds(duration)),
    entries: () => entriesIn(server.store, Math.floor(clock.now)),
    command(...words) {
      const reply = server.administer(words.map((word) => bytes(String(word))));
      if (reply instanceof Failure && reply.text.startsWith("ERR unknown command"))
        throw new Error(`${reply.text}; a test Redis knows ${NAMES}`);
      return plainReply(wire(reply)) as TestReply;
    },
    fault(name, ...[given]) {
      // `undefined` is the default, at the gateway, too; its types are older than that rule.
      faults.set(name, (given ?? {}) as GatewaysOptions);
      if (refused()) cutAll();
    },
    release: (match) => held.release(match),
    settled: () => held.settled(),
    get outOfMemory() {
      return server.outOfMemory;
    },
    set outOfMemory(is) {
      server.outOfMemory = is;
    },
    get readOnly() {
      return server.readOnly;
    },
    set readOnly(is) {
      server.readOnly = is;
    },
    get noScripts() {
      return server.noScripts;
    },
    set noScripts(is) {
      server.noScripts = is;
    },
    get counters() {
      const {
        httpRequests,
        redisCommands,
        errors,
        faults: applied,
        openRequests,
        byCommand,
      } = counter.read();
      const counted = {
        requests: httpRequests,
        commands: redisCommands,
        errors,
        faults: applied,
        open: openRequests,
      };
      return { ...counted, byCommand: { ...byCommand }, byScript: { ...server.runs } };
    },
    get requests() {
      return log.entries.map(({ id, at, method, path, commands, fault, executions, status }) => {
        return { id, at, method, path, commands, fault, executions, status };
      }) as TestRedis["requests"];
    },
    async idle() {
      for (let before = -1; before !== counter.read().httpRequests; ) {
        before = counter.read().httpRequests;
        await counter.idle();
        await new Promise((resolve) => setTimeout(resolve, 0));
      }
    },
    reset() {
      faults.set("healthy", {});
      held.drop();
      cutAll();
      clock.reset();
      server.reset();
      counter.reset();
      log.clear();
    },
  };
}

/** @throws TypeError for an option that is misspelt: a clock that was to stand still must not run. */
function startOf(options: TestRedisOptions): number | undefined {
  const unknown = Object.keys(options).find((name) => name !== "now");
  if (unknown !== undefined)
    throw new TypeError(`unknown option ${JSON.stringify(unknown)} of createTestRedis, expected now`);
  return options.now === undefined ? undefined : checkedTime(options.now);
}

function checkedTime(now: unknown): number {
  if (typeof now === "number" && Number.isFinite(now) && now >= 0) return now;
  throw new TypeError(`bad now: expected Unix milliseconds, got ${String(now)}`);
}
