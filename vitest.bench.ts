import { defineConfig } from "vitest/config"

/** Native imports: the module runner's export getters would be measured too. */
export default defineConfig({
  test: {
    experimental: { viteModuleRunner: false },
    benchmark: { include: ["packages/*/bench/**/*.bench.ts"] }
  }
})
