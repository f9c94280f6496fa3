/** The worker under `wrangler dev`, with everything around it in this process, where a test can reach it. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Gateway, startGateway } from "../../dev/gateway.mjs";
import { startRedis } from "../../dev/redis.mjs";
import { startUpstream } from "../../dev/upstream.mjs";
import { freePort } from "../../scripts/start/port.mjs";
import { startWrangler, untilAnswering } from "../../scripts/start/wrangler.mjs";
import { Visitor } from "./visitor.js";

export interface Stage {
  visitor: Visitor;
  gateway: Gateway;
  upstream: Awaited<ReturnType<typeof startUpstream>>;
  stop(): Promise<void>;
}

/**
 * @param vars of the worker, over those that make it work
 * @param options `demo`: whether the page may break Redis, as under `npm start`; `delay`: of the upstream, ms
 */
export async function startStage(
  vars: Record<string, string> = {},
  { demo = false, delay = 50 } = {},
): Promise<Stage> {
  const data = mkdtempSync(join(tmpdir(), "leeward-stage-"));
  const stops: (() => unknown)[] = [() => rmSync(data, { recursive: true, force: true })];
  const stop = async () => {
    for (const one of stops.splice(0).reverse()) await one();
  };
  try {
    const upstream = await startUpstream({ port: 0, delay, file: join(data, "learners.json") });
    stops.push(upstream.stop);
    const redis = await startRedis();
    stops.push(redis.stop);
    const gateway = await startGateway({ redisPort: redis.port });
    stops.push(gateway.stop);
    const worker = startWrangler({
      port: await freePort(),
      vars: {
        UPSTREAM_URL: upstream.url,
        UPSTASH_REDIS_REST_URL: gateway.url,
        UPSTASH_REDIS_REST_TOKEN: gateway.token,
        ...(demo ? { DEMO: "1", GATEWAY_CONTROL_URL: gateway.controlUrl } : {}),
        ...vars,
      },
    });
    stops.push(worker.stop);
    await untilAnswering(worker, "/connection");
    return { visitor: new Visitor(worker.url), gateway, upstream, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
