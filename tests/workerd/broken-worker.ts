/** A worker that does what none should, to see that it is noticed. */
const unhandled: string[] = [];

addEventListener("unhandledrejection", (event) => {
  unhandled.push(String((event as PromiseRejectionEvent).reason));
});

export default {
  async fetch(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    if (pathname === "/hang") await new Promise(() => {});
    if (pathname === "/throw") throw new Error("thrown on purpose");
    if (pathname === "/reject") Promise.reject(new Error("rejected on purpose"));
    if (pathname === "/unhandled") return Response.json(unhandled);
    return new Response("ok");
  },
};
