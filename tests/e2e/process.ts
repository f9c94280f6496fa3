/** Processes of this machine, as `ps` tells them. */
import { execFileSync } from "node:child_process";

interface Row {
  pid: number;
  parent: number;
  state: string;
  command: string;
}

function rows(): Row[] {
  const text = execFileSync("ps", ["-A", "-o", "pid=,ppid=,stat=,command="], {
    encoding: "utf8",
    maxBuffer: 2 ** 26,
  });
  return text.split("\n").flatMap((line) => {
    const [, pid, parent, state, command] = /^\s*(\d+)\s+(\d+)\s+(\S+)\s+(.*)$/.exec(line) ?? [];
    return pid && parent && state && command
      ? [{ pid: Number(pid), parent: Number(parent), state, command }]
      : [];
  });
}

/** A process and everything it has started, and that has started, now. */
export function family(pid: number): number[] {
  const all = rows();
  const found = [pid];
  // `found` grows while it is walked.
  for (const parent of found) {
    for (const row of all) if (row.parent === parent && !found.includes(row.pid)) found.push(row.pid);
  }
  return found;
}

/** Those of `pids` that still run; one that is dead and not yet collected does not. */
export function alive(pids: readonly number[]): string[] {
  return rows()
    .filter(({ pid, state }) => pids.includes(pid) && !state.startsWith("Z"))
    .map(({ pid, command }) => `${pid} ${command}`);
}
