/** Guards the other tests here: what they hold to be absent is seen when it is there. */
import { describe, expect, test } from "vitest";
import { complaints, RUNTIMES, startStage } from "./stage.ts";

describe.each(RUNTIMES)("the harness, $name", (runtime) => {
  test("hears a request that hangs", async () => {
    const { isolate, settled } = await startStage(runtime, { handler: "broken-worker.ts" });
    expect((await isolate.send("/hang", {}).answer).status).toBe(500);
    expect((await complaints(isolate)).join("\n")).toContain("hung");
    await expect(settled()).rejects.toThrow();
  });

  test("hears an error that nobody has caught", async () => {
    const { isolate } = await startStage(runtime, { handler: "broken-worker.ts" });
    expect((await isolate.send("/throw", {}).answer).status).toBe(500);
    expect((await complaints(isolate)).join("\n")).toMatch(/uncaught exception.*thrown on purpose/i);
  });

  test("hears a rejection that nobody has handled", async () => {
    const { isolate } = await startStage(runtime, { handler: "broken-worker.ts" });
    expect(await isolate.send("/reject", {}).answer).toEqual({ status: 200, text: "ok" });
    const { text } = await isolate.send("/unhandled", {}).answer;
    expect(JSON.parse(text)).toEqual(["Error: rejected on purpose"]);
  });

  test("knows when a client has gone", async () => {
    const stage = await startStage(runtime, { flags: ["enable_request_signal"] });
    const { isolate } = stage;
    const visiting = isolate.send("/", { calls: [{ op: "getOrSet", key: "k", load: { gate: "never" } }] });
    await isolate.until(({ books }) => books.k?.waiting === 1);
    visiting.reset();
    await isolate.until(({ gone }) => gone === 1);
    await expect(visiting.answer).rejects.toThrow();
  });
});
