/** The slow service that owns the learners, as the worker sees it. Its failures are the visitor's: 404, or 502. */
import { Failure } from "./http.js";

const TIMEOUT = 10_000;

export interface BankedXp {
  learner: string;
  name: string;
  banked: number;
  submissions: number;
  streak: number;
  streakEndsAt: string | null;
  unlocked: string[];
  computedAt: string;
}

export interface Submission {
  lesson: string;
  xp: number;
}

export class Upstream {
  readonly #url: string | undefined;

  constructor(url: string | undefined) {
    this.#url = url;
  }

  xp(id: string, signal: AbortSignal): Promise<BankedXp> {
    return this.#fetch<BankedXp>(`/learners/${id}/xp`, { signal });
  }

  submit(id: string, submission: Submission): Promise<unknown> {
    const headers = { "content-type": "application/json" };
    return this.#fetch(`/learners/${id}/submissions`, {
      method: "POST",
      headers,
      body: JSON.stringify(submission),
    });
  }

  /** How often it has computed so far. */
  async computations(): Promise<number> {
    return (await this.#fetch<{ computations: number }>("/counters", {})).computations;
  }

  async #fetch<T>(path: string, init: RequestInit): Promise<T> {
    if (!this.#url) throw new Failure(502, "UPSTREAM_URL is not set");
    const timeout = AbortSignal.timeout(TIMEOUT);
    const signal = init.signal ? AbortSignal.any([init.signal, timeout]) : timeout;
    let response: Response;
    let body: unknown;
    try {
      response = await fetch(new URL(path, this.#url), { ...init, signal });
      body = await response.json();
    } catch {
      throw new Failure(502, "the upstream does not answer");
    }
    if (response.ok) return body as T;
    const { error } = (body ?? {}) as { error?: unknown };
    // What it says about the request is the visitor's; what it says about itself is not.
    if (response.status < 500)
      throw new Failure(response.status, typeof error === "string" ? error : "refused");
    throw new Failure(502, "the upstream failed");
  }
}

/** The submission in a request's body. */
export async function readSubmission(request: Request): Promise<Submission> {
  const body: unknown = await request.json().catch(() => undefined);
  const { lesson, xp } = (body ?? {}) as Record<string, unknown>;
  if (typeof lesson !== "string" || typeof xp !== "number") {
    throw new Failure(400, 'expected a JSON body such as {"lesson":"fractions-4","xp":20}');
  }
  return { lesson, xp };
}
