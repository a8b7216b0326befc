import { defineConfig } from "vitest/config"

/** Part of `.ci/run`, not of `test`: nine processes of two versions, alone on the machine. */
export default defineConfig({
  test: {
    setupFiles: [new URL("./vitest.setup.ts", import.meta.url).pathname],
    include: ["test/upgrade/*.fleet.ts"],
    testTimeout: 240_000,
    hookTimeout: 120_000
  }
})
