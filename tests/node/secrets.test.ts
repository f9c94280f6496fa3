/** No event, error or line of the console holds a secret, whichever operation meets whichever fault. */
import { inspect } from "node:util";
import type { CacheOptions } from "leeward";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { FaultName, FaultOptions } from "../../dev/gateway.mjs";
import { secretsIn } from "../secrets.ts";
import { ofType, type Stage, startStage, until } from "./stage.ts";

let stage: Stage;
beforeEach(async () => {
  stage = await startStage();
});
afterEach(() => void vi.restoreAllMocks());

const KEY = "kQ7 visitor/ä Zx9w";
const TAG = "tJ4 group=ü Vb2n";
const SPACE = "nS8 tenant+ß Fy5g";
const VALUE = "vM1 balance&ö Hc8r";
const HEADER = "wT6 soft half Pd3k";

/** Everything that is written to a console. */
function listen(): unknown[][] {
  const lines: unknown[][] = [];
  for (const name of ["log", "info", "warn", "error", "debug", "trace"] as const) {
    vi.spyOn(console, name).mockImplementation((...line: unknown[]) => void lines.push(line));
  }
  return lines;
}

/** Each operation, with what it may be given; gives what it was rejected with. */
async function everyOperation(cache: ReturnType<Stage["cache"]>["cache"]): Promise<unknown[]> {
  const tags = [TAG];
  const what = { keys: [KEY], tags };
  const read = { tags, swr: "1m", staleIfError: "1m", leaseWait: 1 } as const;
  const load = async (fill: { tags(names: string[]): PromiseLike<void> }) => {
    await fill.tags([`${TAG} late`]);
    return VALUE;
  };
  const calls = [cache, cache.namespace(SPACE)].flatMap((client) => [
    client.getOrSet(KEY, () => VALUE, read),
    client.lookup(KEY, load, read),
    client.get(KEY, { tags }),
    client.getOrSet(`${KEY} unstorable`, () => ({ at: new Date(0), [VALUE]: 1 }) as unknown as string),
    client.set(KEY, VALUE, { tags }),
    client.delete(KEY),
    client.invalidate(what),
    client.expire(what),
    client.mutate({ ...what, all: true }, () => VALUE),
  ]);
  const ended = await Promise.allSettled(calls);
  return ended.map((end) =>
    end.status === "rejected"
      ? end.reason
      : (end.value as { invalidation?: unknown } | undefined)?.invalidation,
  );
}

const FAULTS: [FaultName, FaultOptions][] = [
  ["status", { code: 401, body: { error: `WRONGPASS ${VALUE}` } }],
  ["status", { code: 500, body: `${VALUE} ${KEY} ${TAG}` }],
  ["status", { code: 400, body: { error: `ERR ${KEY} ${TAG}` } }],
  ["html", { body: `<p>${VALUE}</p>` }],
  ["redirect", { location: `http://127.0.0.1:1/${encodeURIComponent(KEY)}` }],
  ["redisError", { error: `ERR ${VALUE} ${KEY}` }],
  ["redisError", { error: `NOPERM ${VALUE} ${TAG}` }],
  ["redisError", { error: `OOM ${VALUE}` }],
  ["redisError", { error: `WRONGTYPE ${KEY}` }],
  ["truncated", {}],
  ["wrongTypes", { shape: "results" }],
  ["loseReply", {}],
  ["hang", {}],
  ["refuse", {}],
];

test("no operation tells any of it, whatever goes wrong", async () => {
  const lines = listen();
  const told: unknown[] = [];
  const secrets = [KEY, TAG, SPACE, VALUE, HEADER, stage.gateway.token];
  const observed = { timeout: { read: "200ms", write: "200ms" } } satisfies CacheOptions;
  for (const [fault, options] of FAULTS) {
    // A connection of its own for each: what is down tells nothing.
    const url = stage.gateway.url + "/".repeat(1 + FAULTS.findIndex(([, given]) => given === options));
    const { cache, events } = stage.cache({ ...observed, url, prefix: `p${told.length}` });
    await stage.gateway.fault("healthy");
    await until(async () => (await cache.lookup("probe", undefined)).outcome !== "bypass");
    told.push(...(await everyOperation(cache)));
    await stage.gateway.fault(fault, options);
    told.push(...(await everyOperation(cache)));
    expect(ofType(events, "failure").length, fault).toBeGreaterThan(0);
    told.push(...events.filter((event) => event.type !== "unstorable"), cache.connection, cache.stats());
  }
  await stage.gateway.fault("healthy");
  // An entry whose forged header holds something.
  const { cache, events } = stage.cache({ prefix: "forged" });
  await until(async () => (await cache.set("key", VALUE).catch(() => undefined))?.stored === true);
  await stage.redis.command("HSET", "forged:k::key", "g", HEADER, "h:", HEADER, "b:", HEADER);
  await cache.getOrSet("key", () => VALUE);
  told.push(...events);

  const text = [...told, ...lines.flat()]
    .map((one) => `${printed(one)} ${inspect(one, { depth: 9 })}`)
    .join("\n");
  expect(secretsIn(text, secrets)).toEqual([]);
  expect(text).not.toContain(String(stage.gateway.port));
});

test("no bad setting is told: credentials in an address, tokens of wrong types or with line breaks", async () => {
  const lines = listen();
  const secret = "uS5 credential Lm0q";
  const bad: CacheOptions[] = [
    { url: `https://user:${encodeURIComponent(secret)}@redis.test`, token: "t" },
    { url: `https://redis.test/?token=${secret}`, token: "t" },
    { url: `redis://${secret}`, token: "t" },
    { url: "https://redis.test", token: `${secret}\r\n` },
    { url: "https://redis.test", token: [secret] as unknown as string },
    { token: secret, url: "" },
  ];
  const told: unknown[] = [];
  for (const options of bad) {
    const { cache, events } = stage.cache(options);
    told.push(...(await everyOperation(cache)), events, cache.connection);
    const unobserved = (await import("leeward")).createCache(options);
    told.push(...(await everyOperation(unobserved)));
  }
  // One warning for each cause, to an observer or, where there is none, to the console.
  expect(lines.length).toBeGreaterThan(0);
  const text = [...told, ...lines.flat()]
    .map((one) => `${printed(one)} ${inspect(one, { depth: 9 })}`)
    .join("\n");
  expect(secretsIn(text, [secret])).toEqual([]);
});

test("a scan would find a secret in any disguise", () => {
  const secret = "planted secret/ä";
  for (const text of [
    ...[secret, "nted sec", encodeURIComponent(secret), JSON.stringify({ secret }), secret.toUpperCase()],
    ...["", "x", "xy", "xyz"].map((before) => Buffer.from(`${before}${secret} and more`).toString("base64")),
  ]) {
    expect(secretsIn(`before ${text} after`, [secret]), text).not.toEqual([]);
  }
  expect(secretsIn("a line without it", [secret])).toEqual([]);
});

/** As loggers print: an error's message and stack, and what JSON says of anything. */
function printed(one: unknown): string {
  if (one instanceof Error) return `${one} ${one.stack} ${JSON.stringify(one)} ${String(one.cause)}`;
  return JSON.stringify(one) ?? String(one);
}
