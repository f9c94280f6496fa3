import { test } from "vitest";
import { RUNTIMES, startStage, together } from "./stage.ts";
test.each(RUNTIMES)("try $name", async (runtime) => {
  for (const reset of [false, true]) {
  const stage = await startStage(runtime, {flags: ["enable_request_signal"]});
  const { isolate, gateway } = stage;
  const leader = isolate.send("/", { options: { timeout: { read: "20s", write: "20s", flight: "20s" } }, calls: [{ op: "lookup", key: "k", load: { gate: "go", value: 1 } }] });
  await isolate.until((s) => s.books.k?.waiting === 1);
  const f = together(3, () => isolate.call({ op: "lookup", key: "k", load: { gate: "go", value: 2 } }));
  await isolate.until((s) => s.books.k?.asked === 4);
  if (reset) { leader.reset(); await isolate.until((s) => s.gone === 1); }
  await isolate.open("go");
  console.log(reset, JSON.stringify(await f));
  for (const e of (await isolate.state()).events) console.log(JSON.stringify(e));
  for (const e of gateway.requests) console.log(e.id, e.at, JSON.stringify(e.commands).slice(0, 100));
  }
});
