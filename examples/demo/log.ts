/** Leeward's events, one line each, for whoever watches the terminal. */
import type { CacheEvent } from "leeward";

export function logEvent(event: CacheEvent): void {
  console.log(`leeward: ${describe(event)}  (request ${event.request})`);
}

function describe(event: CacheEvent): string {
  switch (event.type) {
    case "attempt":
      return `attempt ${event.attempt} to connect${event.probe ? ", a probe" : ""}`;
    case "reuse":
      return `waits for attempt ${event.attempt}`;
    case "connection": {
      const next = event.until === null ? "" : `, next attempt in ${Math.max(0, event.until - event.at)} ms`;
      return `connection ${event.from} -> ${event.to}${because(event.error)}${because(event.message)}${next}`;
    }
    case "failure":
      return `exchange failed${because(event.error)}${because(event.message)}`;
    case "read":
      return `read ${event.key}: ${event.outcome}${because(event.reason)}${event.shared ? ", shared" : ""}`;
    case "fill":
      return `fill ${event.key}: ${event.stored ? "stored" : "not stored"}${because(event.reason)}`;
    case "rejected":
      return `what is stored for ${event.key} is not taken${because(event.path)}${because(event.reason)}`;
    case "unstorable":
      return `cannot store ${event.key}: ${event.path} ${event.reason}`;
    case "invalidation":
      return `invalidation ${[...event.keys, ...event.tags].join(", ")}: ${event.state}${because(event.reason)}${event.replay ? ", replayed" : ""}`;
    case "lease":
      return `waited ${event.waited} ms for another isolate's ${event.key}: ${event.outcome}`;
    case "warning":
      return `warning ${event.code}: ${event.message}`;
  }
}

function because(reason: string | null): string {
  return reason === null ? "" : `, ${reason}`;
}
