import { Store } from "@starling/agent"
import * as Effect from "effect/Effect"
import { stores } from "./stores.ts"

stores({
  name: "memory",
  disk: Effect.sync(() => {
    const tables = new Map<string, Map<string, unknown>>()
    return Store.layerMemory(tables)
  })
})
