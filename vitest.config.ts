import { defineConfig } from "vitest/config"

const setupFiles = [new URL("./vitest.setup.ts", import.meta.url).pathname]

export default defineConfig({
  test: {
    projects: [
      { test: { name: "unit", setupFiles, include: ["packages/*/test/**/*.test.ts"] } },
      { test: { name: "whole", setupFiles, include: ["test/**/*.test.ts"], testTimeout: 60_000 } }
    ]
  }
})
