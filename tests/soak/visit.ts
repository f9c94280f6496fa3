/** What the soak's visitors ask of its worker, and what that tells of itself: plain JSON. */
import type { Connection, ReadOptions, Stats } from "leeward";

/** How a visitor reads. */
export interface Reading extends Omit<ReadOptions, "signal"> {
  as: "getOrSet" | "lookup" | "get";
  /** The tag is declared by the callback, not named by the reader. */
  late?: boolean;
  /** The callback throws. */
  fails?: boolean;
}

/** One request. A change writes to the source, then ends what was stored in the way that `how` says. */
export interface Asked {
  key: string;
  tag: string;
  namespace?: string;
  read?: Reading;
  change?: "delete" | "key" | "tag" | "all" | "mutate" | "set" | "expire";
}

export interface Answered {
  /** The source's number for the key: what was read, or what the change has made it. `null`: a `get` found nothing. */
  version: number | null;
  /** Whether the value may be older than an invalidation: computed by another request while Redis was down. */
  unverified: boolean;
  /** The callback's own error came back. */
  own?: boolean;
  /** How a change ended. */
  state?: "applied" | "pending" | "refused";
  /** What no client should see. */
  wrong?: string;
}

/** A look into the isolate. */
export interface Look {
  stats: Stats;
  connection: Connection;
  /** By the worker's own count: reads begun, those that gave a value or none, and those that gave the callback's error. */
  reads: number;
  served: number;
  failed: number;
  callbacks: number;
  unhandled: number;
  /** Events by their type, failures by their kind, and warnings by their code. */
  events: Record<string, number>;
  /** Instances of the core so far, and the memory of the present one. */
  instances: number;
  wasmBytes: number;
  /** The core's tables: operations, requests, batches, flights. */
  underWay: number[];
}
