import { defineConfig } from "vitest/config"

const setupFiles = [new URL("./vitest.setup.ts", import.meta.url).pathname]

/** What is measured in real time: alone on the machine, one file after the other. */
const timed = ["test/system/fleet.test.ts", "test/system/demo.test.ts"]

/**
 * Ends what hangs; none of ours takes a fifth of it on a quiet machine. Where others use the processor too, a simulation may
 * take several times as long, which says nothing about what it checks.
 */
const testTimeout = 240_000
const hookTimeout = 60_000

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
          testTimeout,
          hookTimeout,
          sequence: { groupOrder: 0 }
        }
      },
      {
        test: {
          name: "whole",
          setupFiles,
          include: ["test/**/*.test.ts"],
          exclude: ["test/system/**", "**/node_modules/**"],
          testTimeout,
          hookTimeout,
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
          testTimeout,
          hookTimeout,
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
          testTimeout,
          hookTimeout,
          fileParallelism: false,
          sequence: { groupOrder: 3 }
        }
      }
    ]
  }
})
