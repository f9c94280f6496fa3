import { afterEach, describe, expect, test } from "vitest";
import { type Gateway, startGateway } from "../../dev/gateway.mjs";
import { type Redis, startRedis } from "../../dev/redis.mjs";
import { command, failure, send } from "./client.js";

const UNREACHABLE = '502 {"error":"ERR upstream Redis is unreachable"}';
const running: { stop(): Promise<void> }[] = [];
async function redisOn(port?: number): Promise<Redis> {
  const redis = await startRedis(port === undefined ? {} : { port });
  running.push(redis);
  return redis;
}
async function gatewayFor(options: Parameters<typeof startGateway>[0]): Promise<Gateway> {
  const gateway = await startGateway(options);
  running.push(gateway);
  return gateway;
}
afterEach(async () => {
  for (const server of running.splice(0).reverse()) await server.stop();
});

describe("a gateway whose Redis goes away", () => {
  test("answers 502 to everything, and works again when Redis is back", async () => {
    const first = await redisOn();
    const gateway = await gatewayFor({ redisPort: first.port });
    expect(await command(gateway, "PING")).toBe('200 {"result":"PONG"}');
    let redis = first;
    for (const end of ["stop", "kill"] as const) {
      await redis[end]();
      expect(await command(gateway, "PING")).toBe(UNREACHABLE);
      const batch = await send(gateway, "/pipeline", { body: [["PING"], ["PING"]] });
      expect(`${batch.status} ${batch.text}`).toBe(UNREACHABLE);
      const transaction = await send(gateway, "/multi-exec", { body: [["PING"]] });
      expect(`${transaction.status} ${transaction.text}`).toBe(UNREACHABLE);
      redis = await redisOn(first.port);
      expect(await command(gateway, "PING")).toBe('200 {"result":"PONG"}');
    }
  });

  test("answers what was in flight with an error, when Redis dies", async () => {
    const redis = await redisOn();
    const gateway = await gatewayFor({ redisPort: redis.port });
    await command(gateway, "SET", "k", "v");
    const spinning = command(gateway, "EVAL", "redis.call('DEL', KEYS[1]) while true do end", 1, "k");
    const queued = send(gateway, "/pipeline", { body: [["PING"], ["PING"]] });
    await gateway.seen("EVAL");
    await gateway.seen("PING");
    await redis.kill();
    expect(await spinning).toBe(UNREACHABLE);
    expect((await queued).status).toBe(502);
    expect(gateway.counters()).toMatchObject({ openRequests: 0, redisCommands: 1 });
  });

  test("starts without Redis, and finds it later", async () => {
    const gone = await redisOn();
    await gone.stop();
    const gateway = await gatewayFor({ redisPort: gone.port });
    expect(await command(gateway, "PING")).toBe(UNREACHABLE);
    await redisOn(gone.port);
    expect(await command(gateway, "PING")).toBe('200 {"result":"PONG"}');
  });

  test("knows its read-only token also after Redis has lost everything", async () => {
    const first = await redisOn();
    const gateway = await gatewayFor({ redisPort: first.port });
    const write = async () =>
      (await send(gateway, "/", { body: ["SET", "k", "v"], token: gateway.readOnlyToken })).text;
    const refused = `{"error":"NOPERM this user has no permissions to run the 'set' command"}`;
    expect(await write()).toBe(refused);
    await first.kill();
    const second = await redisOn(first.port);
    expect(await write()).toBe(refused);
    expect(await second.command("EXISTS", "k")).toBe(0);
  });

  test("does not hold up other requests behind a slow script", async () => {
    const redis = await redisOn();
    const gateway = await gatewayFor({ redisPort: redis.port });
    // Redis stands still for the script, but says BUSY to all other sockets once the limit has passed: an
    // answer, not a wait.
    await redis.command("CONFIG", "SET", "busy-reply-threshold", "1");
    const spinning = command(gateway, "EVAL", "while true do end", 0);
    await gateway.seen("EVAL");
    let answer = "";
    while (!answer.includes("BUSY")) answer = await command(gateway, "PING");
    expect(await command(gateway, "SCRIPT", "KILL")).toBe('200 {"result":"OK"}');
    expect(await spinning).toMatch(/^400 \{"error":"ERR (Error running script|Script killed)/);
  });
});

describe("a gateway that is stopped", () => {
  test("cuts what is open and refuses what comes", async () => {
    const redis = await redisOn();
    const gateway = await gatewayFor({ redisPort: redis.port });
    await gateway.fault("hang");
    const hanging = failure(command(gateway, "PING"));
    await gateway.seen("PING");
    await gateway.stop();
    expect(await hanging).toBe("ECONNRESET");
    expect(await failure(command(gateway, "PING"))).toBe("ECONNREFUSED");
    expect(await failure(fetch(gateway.controlUrl))).toBe("ECONNREFUSED");
  });

  test("gives its ports and its token to the next one, and says so when a port is taken", async () => {
    const redis = await redisOn();
    const first = await gatewayFor({ redisPort: redis.port, token: "one token" });
    const ports = { port: first.port, controlPort: Number(new URL(first.controlUrl).port) };
    await expect(startGateway({ redisPort: redis.port, port: first.port })).rejects.toThrow(
      `port ${first.port} on 127.0.0.1 is already in use`,
    );
    await expect(startGateway({ redisPort: redis.port, controlPort: ports.controlPort })).rejects.toThrow(
      "already in use",
    );
    await first.stop();
    const second = await gatewayFor({ redisPort: redis.port, ...ports, token: first.token });
    expect([second.url, second.controlUrl, second.token]).toEqual([first.url, first.controlUrl, "one token"]);
  });
});
