/** Caller and callee in one, since `wrangler dev` runs one worker. */
import worker from "../workerd/worker.ts";
import caller from "./caller.ts";

type Env = Parameters<typeof caller.fetch>[1];

export default {
  fetch(request: Request, env: Env, ctx: Parameters<typeof worker.fetch>[2]): Promise<Response> {
    const { pathname } = new URL(request.url);
    const calls = pathname === "/through" || pathname === "/abort";
    return calls ? caller.fetch(request, env) : worker.fetch(request, env, ctx);
  },
};
