/** A callback of the user's: it runs at most once, and how it ended is kept. */

export class Callback {
  state: "not yet" | "running" | "value" | "error" = "not yet";
  /** What it returned, or threw. */
  result: unknown;

  /** Runs it, unless it has been run; `ended` is called when it has ended, at the earliest before this returns. */
  run(call: () => unknown, ended: () => void): void {
    if (this.state !== "not yet") return;
    this.state = "running";
    const settle = (state: "value" | "error") => (result: unknown) => {
      // A thenable of the user's may say anything twice.
      if (this.state !== "running") return;
      this.state = state;
      this.result = result;
      ended();
    };
    let result: unknown;
    try {
      result = call();
      if (isThenable(result)) {
        result.then(settle("value"), settle("error"));
        return;
      }
    } catch (error) {
      settle("error")(error);
      return;
    }
    settle("value")(result);
  }
}

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function"
  );
}
