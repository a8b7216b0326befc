import { defineConfig } from "vitest/config"

const setupFiles = [new URL("./vitest.setup.ts", import.meta.url).pathname]

/** What is measured in real time: alone on the machine, one file after the other. */
const timed = ["test/system/fleet.test.ts", "test/system/demo.test.ts"]

/**
 * Four groups, one after the other, because processes that are timed must not share two cores with a simulation of a
 * thousand members. Within the first three, files run side by side.
 */
export default defineConfig({
  test: {
    // The default leaves one core to the runner itself, which has little to do: on two cores nothing would run side by side.
    maxWorkers: 2,
    // A process for each of 140 files took 200 s of processor time. Nothing here keeps state between files: they share two.
    isolate: false,
    projects: [
      {
        test: {
          name: "unit",
          setupFiles,
          include: ["packages/*/test/**/*.test.ts"],
          testTimeout: 60_000,
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
          // Simulations run a seventh faster on native imports than through the runner's export getters (measured).
          experimental: { viteModuleRunner: false },
          sequence: { groupOrder: 1 }
        }
      },
      {
        test: {
          name: "system",
          setupFiles,
          include: ["test/system/**/*.test.ts"],
          exclude: [...timed, "**/node_modules/**"],
          testTimeout: 60_000,
          // They mostly wait for the processes that they started.
          maxWorkers: 3,
          sequence: { groupOrder: 2 }
        }
      },
      {
        test: {
          name: "timed",
          setupFiles,
          include: timed,
          testTimeout: 60_000,
          fileParallelism: false,
          sequence: { groupOrder: 3 }
        }
      }
    ]
  }
})
