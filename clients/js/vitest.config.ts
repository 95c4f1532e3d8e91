import { defineConfig } from "vitest/config";

// Most of the time is spent waiting, so files run side by side; two processes are what a small machine can bear.
export default defineConfig({
  test: { include: ["test/**/*.test.ts"], testTimeout: 30_000, hookTimeout: 30_000, pool: "forks", maxWorkers: 2 },
});
