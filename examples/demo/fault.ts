/**
 * The switch for Redis' faults, as the page has it: a few names, and what each is to the development gateway's control port.
 *
 * Only `npm start` tells the worker where that port is (GATEWAY_CONTROL_URL), and the names are a closed list: nothing that a
 * visitor sends becomes part of an address.
 */
import { Failure } from "./http.js";

interface Fault {
  /** What the page and the route call it. */
  readonly name: string;
  readonly gateway: string;
  readonly options: Readonly<Record<string, unknown>>;
}

/** Longer than a read waits (250 ms), shorter than an invalidation does (1 s): it hurts the one and not the other. */
const SLOW_MS = 600;

const FAULTS: readonly Fault[] = [
  { name: "healthy", gateway: "healthy", options: {} },
  { name: "refused", gateway: "refuse", options: {} },
  { name: "hung", gateway: "hang", options: {} },
  { name: "slow", gateway: "slow", options: { delayMs: SLOW_MS } },
  { name: "500", gateway: "status", options: { code: 500 } },
  { name: "truncated", gateway: "truncated", options: {} },
];

const TIMEOUT = 2000;

/** Switches a fault on; `healthy` ends it. */
export async function switchFault(controlUrl: string | undefined, name: string): Promise<string> {
  const fault = FAULTS.find((one) => one.name === name);
  if (!fault) {
    const allowed = FAULTS.map((one) => one.name).join(", ");
    throw new Failure(404, `unknown fault ${JSON.stringify(name)}, expected one of ${allowed}`);
  }
  const response = await ask(controlUrl, `/fault/${fault.gateway}`, {
    method: "POST",
    body: JSON.stringify(fault.options),
  }).catch(() => undefined);
  if (!response?.ok) throw new Failure(502, "the gateway's control port does not answer");
  return fault.name;
}

/**
 * The fault that is on: the name of a switch, or the gateway's own name for one that was set past the page; `null` when the
 * gateway does not say.
 */
export async function currentFault(controlUrl: string | undefined): Promise<string | null> {
  try {
    const response = await ask(controlUrl, "/", {});
    const { fault } = (await response.json()) as { fault: { name: string; options: { code?: unknown } } };
    const known = FAULTS.find((one) => one.gateway === fault.name && one.options.code === fault.options.code);
    return known?.name ?? fault.name;
  } catch {
    return null;
  }
}

function ask(controlUrl: string | undefined, path: string, init: RequestInit): Promise<Response> {
  if (!controlUrl) throw new Failure(502, "GATEWAY_CONTROL_URL is not set");
  return fetch(new URL(path, controlUrl), { ...init, signal: AbortSignal.timeout(TIMEOUT) });
}
