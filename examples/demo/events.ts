/** What the page asks for once a second: all that may have changed, as it was at one moment. */
import type { Connection, Stats } from "leeward";
import type { News } from "./feed.js";

export interface Events extends News {
  /** The isolate's clock: times in here are by it, and the visitor's may be another. */
  readonly now: number;
  /** Whether Redis may be broken here. */
  readonly demo: boolean;
  /** What Redis does; `null` where nobody can say. */
  readonly fault: string | null;
  readonly connection: Connection & { readonly stats: Stats };
}
