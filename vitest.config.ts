import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["tests/**/*.test.ts", "examples/**/*.test.ts"],
    // The tests start real servers (redis-server, workerd, wrangler dev); more at once than there are cores only makes them wait.
    maxWorkers: 2,
    // The matrix: its tests mostly wait.
    maxConcurrency: 32,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // A file of tests that is empty by mistake must not look like a success.
    passWithNoTests: false,
  },
});
