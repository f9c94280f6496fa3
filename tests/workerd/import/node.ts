/** The worker of nothing.ts as a program for node: prints what its two pages say. */
import "./node-env.ts";
import worker from "./nothing.ts";

const context = { waitUntil() {} };
const said: unknown[] = [];
for (const path of ["/", "/used"]) {
  const response = await worker.fetch(
    new Request(`http://localhost${path}`),
    process.env as Record<string, string>,
    context,
  );
  said.push(await response.json());
}
process.stdout.write(`${JSON.stringify(said)}\n`);
