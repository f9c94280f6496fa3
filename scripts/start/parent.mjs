/**
 * npm runs a script through a shell, which passes no signal on: whoever ends npm ends the shell with it, and what the shell
 * has started stays. So the demo looks whether its parent is still there.
 */
const EVERY_MS = 250;

/** SIGTERM to this process, once, when npm has started it and the process that it was started by has ended. */
export function endWithParent() {
  // Started by hand, it may outlive its shell: that is what `nohup` and `disown` are for.
  if (!process.env.npm_lifecycle_event) return;
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    process.kill(process.pid, "SIGTERM");
  }, EVERY_MS);
  timer.unref();
}
