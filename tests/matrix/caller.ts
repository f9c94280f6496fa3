/** A worker that hands requests on to another by a service binding, and ceases to want the answer when it is told so. */

type Env = Record<string, { fetch(url: string, init: RequestInit): Promise<Response> }>;

const aborted = new Set<string>();

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    const name = searchParams.get("name") ?? "";
    if (pathname === "/abort") {
      aborted.add(name);
      return new Response("told");
    }
    const controller = new AbortController();
    // By a timer of its own: one request must not settle what another one waits for.
    const looking = setInterval(() => aborted.has(name) && controller.abort(), 4);
    const callee = env[searchParams.get("callee") ?? ""];
    const init = { method: "POST", body: await request.text(), signal: controller.signal };
    try {
      const response = await callee?.fetch("http://callee/", init);
      return new Response(await response?.text(), { status: response?.status ?? 404 });
    } catch {
      return new Response("aborted");
    } finally {
      clearInterval(looking);
    }
  },
};
