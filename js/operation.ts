/** Operations as the driver holds them: the caller's promise, and the values, which never enter the core. */
import type { Shared } from "./shared.ts";
import type { Text } from "./value.ts";

/** Anything that can be under way. */
export interface Operation {
  /** The core's number for it; 0 before it has one. */
  id: number;
  /** The promise that it waits for. */
  shared: Shared | undefined;
  /** Settles when nothing more comes for it, so that its request can be kept alive. */
  background: (() => void) | undefined;
  /** The text that is to be stored. */
  readonly text: Text | undefined;
  /** The same, compressed, until it is known which of them. */
  compressed?: Text | undefined;
  /** It is the compressed one. */
  useCompressed?(): void;
  /** The core has failed: answer without it. */
  passThrough(): void;
  /** The core has no room for it. */
  noRoom(): void;
  /** Nothing more comes for it. */
  finished(): void;
}

/** How a caller's promise is settled. */
export interface Settlers {
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

/** Work of the core's own, behind an answer. */
export class BackgroundOperation implements Operation {
  id = 0;
  shared: Shared | undefined;
  background: (() => void) | undefined;
  readonly text = undefined;

  noRoom(): void {}

  passThrough(): void {
    this.background?.();
  }

  finished(): void {
    this.background?.();
  }
}
