/** What is running and what to try: printed when the demo answers. */

/**
 * @param {{ worker: string, upstream: string, gateway: { url: string, controlUrl: string },
 *   redis: { port: number, pid: number, server: string } }} running
 */
export function guide({ worker, upstream, gateway, redis }) {
  return `
Leeward demo: ${worker}

Open it in a browser: break Redis there, and watch the answers keep coming. Or, from another terminal:

Read a learner twice: slow from the upstream, then quick from Redis (see Cache-Status).
  curl -i ${worker}/learners/ada/xp
Post a submission: what is cached for the learner ends, the next read is fresh.
  curl -d '{"lesson":"fractions-4","xp":20}' ${worker}/learners/ada/submissions
The connection to Redis as the worker sees it, with its counters.
  curl ${worker}/connection

Take Redis away: type r and Enter here, or kill ${redis.pid}. Answers keep coming, at the upstream's speed.
Bring it back:   type r and Enter again, or ${redis.server} --port ${redis.port} --save ''
Other faults:    curl -X POST ${worker}/fault/hung    (or refused, slow, 500, truncated; healthy ends it)
                 curl -X POST ${gateway.controlUrl}/fault/html    has more of them
A hundred at once, for what nobody has cached: one attempt to connect, one computation.
  curl -X POST ${worker}/burst

Running: worker ${worker}, Redis on port ${redis.port} (pid ${redis.pid}), its HTTP gateway ${gateway.url},
         upstream ${upstream}/learners. Ctrl-C, or q and Enter, ends everything.
`;
}
