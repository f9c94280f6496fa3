/** Commands from standard input: one a line, from a person or from a pipe. */
import { execFileSync } from "node:child_process";
import { createInterface } from "node:readline";

/** @param {(command: string) => void} onCommand */
export function readCommands(onCommand) {
  // Reading from a terminal would stop a process that runs in its background (`npm start &`).
  if (process.stdin.isTTY && !inForeground()) return { close() {} };
  process.stdin.on("error", () => {});
  const lines = createInterface({ input: process.stdin });
  lines.on("line", (line) => onCommand(line.trim()));
  return {
    close() {
      lines.close();
      process.stdin.destroy();
    },
  };
}

function inForeground() {
  try {
    const ids = execFileSync("ps", ["-o", "pgid=,tpgid=", "-p", String(process.pid)], { encoding: "utf8" });
    const [own, foreground] = ids.trim().split(/\s+/);
    return own === foreground;
  } catch {
    // No `ps`: as likely as not a container with one process in front.
    return true;
  }
}
