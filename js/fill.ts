/** What a callback gets: what it can say about the value that it computes. */
import type { Duration, Fill } from "./index.d.ts";
import { checkTags, MAX_TAGS } from "./names.ts";
import { callOption } from "./options.ts";
import type { ReadOperation } from "./read.ts";

export function fillOf(operation: ReadOperation): Fill {
  const adapt = (name: "ttl" | "swr" | "staleIfError", span: Duration) => {
    const { exports } = operation;
    if (exports !== undefined) operation.life[name] = callOption(exports, "Read", name, span);
  };
  return {
    get signal() {
      return operation.signal;
    },
    get stale() {
      return operation.stale;
    },
    ttl(ttl) {
      adapt("ttl", ttl);
    },
    swr(swr) {
      adapt("swr", swr);
    },
    staleIfError(staleIfError) {
      adapt("staleIfError", staleIfError);
    },
    skip() {
      operation.skipped = true;
    },
    notModified() {
      return operation.notModified() as never;
    },
    tags(names) {
      const declared = operation.declared ?? [];
      const given = checkTags(names, MAX_TAGS - declared.length);
      operation.declared = [...declared, ...given];
      // Asked for when somebody waits: who only declares them pays for no command.
      let known: Promise<void> | undefined;
      return {
        // biome-ignore lint/suspicious/noThenProperty: to be awaited is what it is for.
        then(resolve, reject) {
          known ??= operation.ask(given);
          return known.then(resolve, reject);
        },
      };
    },
  };
}
