import { SqliteStore } from "@starling/platform-node"
import * as Effect from "effect/Effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { stores } from "./stores.ts"

stores({
  name: "SqliteStore",
  disk: Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(`${tmpdir()}/starling-store-`)),
    (directory) => Effect.sync(() => rmSync(directory, { recursive: true }))
  ).pipe(Effect.map((directory) => SqliteStore.layer(`${directory}/data`)))
})
