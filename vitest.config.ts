import { defineConfig } from "vitest/config"

const setupFiles = [new URL("./vitest.setup.ts", import.meta.url).pathname]

/**
 * Three groups, one after the other: what is measured in `system` (real processes, real time) must not share two cores
 * with a simulation of a thousand members. Within the first two, files run side by side.
 */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          setupFiles,
          include: ["packages/*/test/**/*.test.ts"],
          testTimeout: 20_000,
          sequence: { groupOrder: 0 }
        }
      },
      {
        test: {
          name: "whole",
          setupFiles,
          include: ["test/**/*.test.ts"],
          exclude: ["test/system/**", "**/node_modules/**"],
          testTimeout: 60_000,
          execArgv: ["--max-semi-space-size=64"],
          sequence: { groupOrder: 1 }
        }
      },
      {
        test: {
          name: "system",
          setupFiles,
          include: ["test/system/**/*.test.ts"],
          testTimeout: 60_000,
          fileParallelism: false,
          sequence: { groupOrder: 2 }
        }
      }
    ]
  }
})
