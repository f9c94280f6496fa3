/** The built package in a real isolate: a `workerd` of its own. */
import { type Visitor, visitorOf } from "./visitor.ts";
import { startWorkerd, type Worker } from "./workerd.ts";

export interface IsolateOptions extends Omit<Worker, "name" | "calls"> {
  /** The runtime. Default the newest. */
  binary?: string;
}

export interface Isolate extends Visitor {
  /** What workerd has written so far, all of it that belongs to requests already answered. */
  log(): Promise<string>;
  stop(): Promise<void>;
}

export async function startIsolate({ binary, ...worker }: IsolateOptions = {}): Promise<Isolate> {
  const { url, log, stop } = await startWorkerd([{ name: "main", ...worker }], binary);
  return { ...visitorOf(url("main")), log, stop };
}
