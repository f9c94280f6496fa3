/** What is running and what to try: printed when the demo answers. */

/**
 * @param {{ worker: string, upstream: string, gateway: { url: string, controlUrl: string },
 *   redis: { port: number, pid: number, server: string } }} running
 */
export function guide({ worker, upstream, gateway, redis }) {
  return `
Leeward demo: ${worker}

Read a learner twice: slow from the upstream, then quick from Redis (see Cache-Status).
  curl -i ${worker}/learners/ada/xp
Post a submission: what is cached for the learner ends, the next read is fresh.
  curl -d '{"lesson":"fractions-4","xp":20}' ${worker}/learners/ada/submissions
The connection to Redis as the worker sees it, with its counters.
  curl ${worker}/connection

Take Redis away: type r and Enter here, or kill ${redis.pid}. Answers keep coming, at the upstream's speed.
Bring it back:   type r and Enter again, or ${redis.server} --port ${redis.port} --save ''
Other faults:    curl -X POST ${gateway.controlUrl}/fault/hang      (or html, truncated, status, refuse; healthy ends it)

Running: worker ${worker}, Redis on port ${redis.port} (pid ${redis.pid}), its HTTP gateway ${gateway.url},
         upstream ${upstream}/learners. Ctrl-C, or q and Enter, ends everything.
`;
}
