/** Addresses, tokens, redirects and objects that somebody hostile gives: nothing leaves for elsewhere, nothing is polluted. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { CacheOptions } from "leeward";
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { ofType, rejection, type Stage, startStage, until } from "./stage.ts";

let stage: Stage;
beforeEach(async () => {
  stage = await startStage();
});
afterEach(() => {
  vi.restoreAllMocks();
  expect(Object.keys(Object.prototype)).toEqual([]);
  expect(({} as Record<string, unknown>).polluted).toBeUndefined();
});

/** A server that nothing must reach, and what reached it. */
async function trap(): Promise<{ url: string; seen: string[] }> {
  const seen: string[] = [];
  const server = createServer((request, response) => {
    seen.push(`${request.method} ${request.url} ${JSON.stringify(request.headers)}`);
    response.end('[{"result":"OK"}]');
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen };
}

test.for([
  301, 302, 303, 307, 308,
])("a redirect (%i) is followed by no operation, and the token stays", async (code) => {
  const { url, seen } = await trap();
  const { cache, events } = stage.cache();
  await stage.gateway.fault("redirect", { code, location: `${url}/pipeline` });
  expect(await cache.getOrSet("key", () => "own", { tags: ["tag"] })).toBe("own");
  expect(await rejection(cache.set("key", 1))).toMatchObject({ state: "pending" });
  expect(await rejection(cache.invalidate({ tags: ["tag"] }))).toMatchObject({ state: "pending" });
  expect(await rejection(cache.namespace("a").expire({ all: true }))).toMatchObject({ state: "pending" });
  const mutated = await cache.mutate({ keys: ["key"] }, () => "value");
  expect(mutated).toMatchObject({ value: "value", invalidation: { state: "pending" } });
  expect(ofType(events, "failure")[0]?.message).toMatch(/redirects are not followed/);
  // What is pending is sent again to where it was meant for.
  await stage.gateway.fault("healthy");
  await until(() => cache.stats().journal === 0);
  expect(seen).toEqual([]);
});

describe("an address", () => {
  const BAD = [
    ...["http://good@evil.test", "http://good:80@evil.test", "http://evil.test\\@good", "http:\\\\evil.test"],
    ...[
      "http://good#@evil.test",
      "http://good?@evil.test",
      "//evil.test",
      "http:evil.test",
      "http://",
      "javascript:1",
    ],
    ...[
      "file:///etc/passwd",
      "data:,[]",
      "http://evil\u0000.test",
      "http://evil\r\nHost: x",
      "http://evil .test",
    ],
    ...[
      "http://evil.test/\r\nX: y",
      "http://evil.test/?x",
      "http://evil.test/#x",
      "http://ｅvil.test",
      "http://[::1",
      "http://a:99999",
    ],
  ];

  test.for(BAD)("like %j sends nothing, and is not repeated", async (url) => {
    const fetch = vi.spyOn(globalThis, "fetch");
    const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
    const { cache, events } = stage.cache({ url, token: "planted-secret" });
    expect(await cache.getOrSet("key", () => "own")).toBe("own");
    expect(await rejection(cache.set("key", 1))).toMatchObject({ code: "unconfigured" });
    expect(fetch).not.toHaveBeenCalled();
    const told = JSON.stringify([events, warn.mock.calls]);
    expect(told).not.toMatch(/evil|planted/);
    expect(ofType(events, "warning").length).toBe(1);
  });

  test("that is taken goes to the host that it seems to name, and nowhere else", async () => {
    const fetch = vi.spyOn(globalThis, "fetch").mockRejectedValue(new Error("no network here"));
    const GOOD = [
      "http://a.test",
      "HTTP://A.test:81/x",
      "http://a.test/..%2f..//b",
      "http://[::1]:9/",
      "http://a.test/:80",
    ];
    for (const url of GOOD) {
      const { cache } = stage.cache({ url, token: "token" });
      await cache.getOrSet("key", () => "own");
      const sent = new URL(String(fetch.mock.lastCall?.[0]));
      expect(sent.host).toBe(new URL(url).host);
      expect([sent.username, sent.password, sent.search, sent.hash]).toEqual(["", "", "", ""]);
      expect(fetch.mock.lastCall?.[1]).toMatchObject({ redirect: "manual", method: "POST" });
    }
    expect(fetch).toHaveBeenCalledTimes(GOOD.length);
  });
});

test.for([
  "a\r\nX-Evil: 1",
  "a\nb",
  "a\u0000b",
  "a b",
  "é",
  "\ud800",
  "a\u2028b",
  "x".repeat(4097),
])("a token like %j splits no header: nothing is sent, and it is not repeated", async (end) => {
  const fetch = vi.spyOn(globalThis, "fetch");
  const token = `planted-secret${end}`;
  const { cache, events } = stage.cache({ token });
  expect(await cache.getOrSet("key", () => "own")).toBe("own");
  const error = await rejection(cache.delete("key"));
  expect(error).toMatchObject({ code: "unconfigured" });
  expect(fetch).not.toHaveBeenCalled();
  expect(JSON.stringify(events) + String((error as Error).stack)).not.toContain("planted");
});

test("keys, tags and values get into the body alone: no header has anything of them", async () => {
  const fetch = vi.spyOn(globalThis, "fetch");
  const { cache } = stage.cache();
  const evil = "evil\r\nX-Evil: 1\r\n\r\n";
  await cache.set(evil, evil, { tags: [evil] });
  expect(await cache.get(evil, { tags: [evil] })).toBe(evil);
  await cache.invalidate({ keys: [evil], tags: [evil] });
  for (const [url, init] of fetch.mock.calls) {
    expect(String(url)).not.toMatch(/evil/i);
    expect(init?.headers).toEqual({
      Authorization: `Bearer ${stage.gateway.token}`,
      "Content-Type": "application/json",
    });
  }
});

describe("an object that would pollute prototypes", () => {
  const EVIL =
    '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"a":[{"__proto__":null}]}';

  test("comes back as data, from Redis and from another caller", async () => {
    const { cache } = stage.cache();
    const load = () => JSON.parse(EVIL) as Record<string, string>;
    const values = await Promise.all([cache.getOrSet("key", load), cache.getOrSet("key", load)]);
    await stage.filled(cache, 1);
    values.push((await cache.get("key")) as Record<string, string>);
    for (const value of values) {
      expect(JSON.stringify(value)).toBe(EVIL);
      expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
      expect((value as Record<string, unknown>).polluted).toBeUndefined();
    }
  });

  test("as a cache's options is a warning, and as a call's a TypeError", async () => {
    for (const text of [
      '{"__proto__":{"ttl":1}}',
      '{"constructor":1}',
      '{"timeout":{"__proto__":{"read":1}}}',
    ]) {
      const { cache, events } = stage.cache(JSON.parse(text) as CacheOptions);
      expect(await cache.getOrSet("key", () => "own")).toBe("own");
      expect(ofType(events, "warning")[0]?.message).toMatch(/unknown option/);
    }
    const { cache } = stage.cache();
    for (const text of ['{"__proto__":{"ttl":1}}', '{"constructor":1}', '{"toString":"1s"}']) {
      const options = JSON.parse(text) as { ttl: number };
      const what = JSON.parse(text) as { keys: string[] };
      const calls = [
        ...[cache.getOrSet("key", () => 1, options), cache.set("key", 1, options), cache.invalidate(what)],
        cache.mutate({ keys: ["key"] }, () => 1, options as { timeout?: number }),
      ];
      for (const error of await Promise.all(calls.map(rejection))) expect(error).toBeInstanceOf(TypeError);
    }
  });

  test("whose getters throw, as options, costs no answer", async () => {
    const thrower = new Proxy(
      {},
      {
        get: () => {
          throw new Error("planted-secret");
        },
        ownKeys: () => ["ttl"],
      },
    );
    const { cache } = { cache: (await import("leeward")).createCache(thrower) };
    const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
    expect(await cache.getOrSet("key", () => "own")).toBe("own");
    expect(warn.mock.calls.length).toBeLessThanOrEqual(1);
  });
});
