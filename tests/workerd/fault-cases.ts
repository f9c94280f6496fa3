/** The ways in which Redis fails, and what is to become of calls meanwhile. */
import type { ErrorKind, RedisError } from "leeward";
import type { FaultName, FaultOptions } from "../../dev/gateway.mjs";
import { SECRET } from "./fault-operations.ts";

export interface FaultCase {
  name: string;
  fault: FaultName;
  options?: FaultOptions;
  /** What the event says that names the cause. */
  error: ErrorKind;
  message: RegExp;
  /** What a write comes to. */
  write: "pending" | "refused";
  /**
   * What a raw command comes to that has met the fault, or with what it is answered: whatever Redis says. Who meets a connection
   * that is known to be down is not executed.
   */
  raw: RedisError["code"] | { readonly reply: unknown };
  /** Redis never answers: calls end by their own deadlines. */
  silent?: true;
  /** So large that not every operation can meet it in a reasonable time: those that are alike are left out. */
  large?: true;
  /** What the isolate's clock jumps by, while the fault lasts, ms. */
  jump?: number;
}

const cause = (
  name: string,
  fault: FaultName,
  error: ErrorKind,
  message: RegExp,
  options: FaultOptions = {},
): FaultCase => ({ name, fault, error, message, options, write: "pending", raw: "unknown-outcome" });

const redis = (error: string, kind: ErrorKind, message: RegExp): FaultCase => ({
  ...cause(`redis answers ${error.split(" ")[0]}`, "redisError", kind, message, {
    error: `${error}: ${SECRET}`,
  }),
  raw: "redis-error",
});

const status = (code: number, kind: ErrorKind, message: RegExp): FaultCase => ({
  ...cause(`HTTP status ${code}`, "status", kind, message, { code, body: { error: `ERR ${SECRET}` } }),
  // Refused credentials let nothing in.
  raw: kind === "auth" ? "not-executed" : "unknown-outcome",
});

const broken = /connection to redis failed or broke/;
const deadline = /no answer within the deadline/;

export const CASES: readonly FaultCase[] = [
  cause("refused connections", "refuse", "transport", broken),
  { ...cause("silence", "hang", "timeout", deadline), silent: true },
  { ...cause("silence after the headers", "hangAfterHeaders", "timeout", deadline), silent: true },
  {
    ...cause("a body that trickles", "slow", "timeout", deadline, {
      delayMs: 0,
      chunkBytes: 1,
      chunkMs: 100,
    }),
    silent: true,
  },
  cause("a reset before the headers", "resetBeforeHeaders", "transport", broken),
  cause("a reset after the headers", "resetAfterHeaders", "transport", broken),
  cause("a reset in the body", "resetMidBody", "transport", broken),
  cause("replies that get lost", "loseReply", "transport", broken),
  status(500, "server", /HTTP status 500/),
  status(401, "auth", /HTTP status 401/),
  status(403, "auth", /HTTP status 403/),
  status(429, "server", /HTTP status 429/),
  status(503, "server", /HTTP status 503/),
  cause("HTML", "html", "protocol", /malformed reply/, { body: `<h1>${SECRET}</h1>` }),
  cause("half a body", "truncated", "protocol", /malformed reply/),
  cause("wrong container", "wrongTypes", "protocol", /malformed reply/, { shape: "container" }),
  {
    ...cause("wrong results", "wrongTypes", "protocol", /malformed reply|expected/, { shape: "results" }),
    raw: { reply: { an: "object" } },
  },
  cause("too few results", "wrongTypes", "protocol", /malformed reply/, { shape: "fewer" }),
  cause("too many results", "wrongTypes", "protocol", /malformed reply/, { shape: "more" }),
  cause("an empty body", "empty", "protocol", /malformed reply/),
  {
    ...cause("a reply over the limit", "oversize", "too-large", /over the size limit/, { megabytes: 17 }),
    large: true,
  },
  {
    ...cause("a reply over the limit, unannounced", "oversize", "too-large", /over the size limit/, {
      megabytes: 17,
      announced: false,
    }),
    large: true,
  },
  redis("LOADING Redis is loading the dataset in memory", "server", /redis answered/),
  redis("OOM command not allowed when used memory > 'maxmemory'", "server", /redis answered/),
  // A replica that has become one may be a primary again soon.
  redis("READONLY You can't write against a read only replica", "server", /redis answered/),
  { ...redis("NOPERM this user has no permissions", "server", /redis answered/), write: "refused" },
  redis("ERR max daily request limit exceeded", "server", /redis answered/),
  {
    ...cause("a clock that jumps forwards an hour in an outage", "status", "server", /HTTP status 503/),
    jump: 3_600_000,
  },
  {
    ...cause("a clock that jumps back an hour in an outage", "status", "server", /HTTP status 503/),
    jump: -3_600_000,
  },
];
