/**
 * What a scenario runs, as paths of the repository: the modules of its own package that it reaches by imports, and the
 * sources of every package that these lean on. Types are erased and so do not count.
 *
 * @since 0.1.0
 */
import type { Scenarios } from "@starling/testing"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import type * as PlatformError from "effect/PlatformError"
import * as Schema from "effect/Schema"
import { fileURLToPath } from "node:url"

const scope = "@starling/"

const Manifest = Schema.fromJsonString(
  Schema.Struct({ dependencies: Schema.optional(Schema.Record(Schema.String, Schema.String)) })
)

/**
 * Sorted. `root` is the repository.
 *
 * @since 0.1.0
 */
export const of = (
  scenario: Pick<Scenarios.Scenario, "name">,
  root: URL
): Effect.Effect<ReadonlyArray<string>, PlatformError.PlatformError | Schema.SchemaError, FileSystem.FileSystem> =>
  Effect.gen(function* () {
    const files = yield* FileSystem.FileSystem
    const modules = new Set([new URL(`internal/${scenario.name}.ts`, import.meta.resolve("@starling/testing")).href])
    const packages = new Set<string>()
    // Both sets grow while they are walked.
    for (const module of modules) {
      for (const name of importsOf(yield* files.readFileString(fileURLToPath(module)))) {
        if (name.startsWith(".")) modules.add(new URL(name, module).href)
        else if (name.startsWith(scope)) packages.add(packageOf(name))
      }
    }
    for (const name of packages) {
      const text = yield* files.readFileString(fileURLToPath(new URL(`packages/${name}/package.json`, root)))
      const { dependencies = {} } = yield* Schema.decodeEffect(Manifest)(text)
      for (const other of Object.keys(dependencies)) if (other.startsWith(scope)) packages.add(packageOf(other))
    }
    const own = [...modules].map((module) => module.slice(root.href.length))
    return [...own, ...[...packages].map((name) => `packages/${name}/src`)].toSorted()
  })

const importsOf = (text: string): ReadonlyArray<string> =>
  [...text.matchAll(/^(?:import|export)(?! type)[^"]*?from "([^"]+)"/gm)].flatMap(([, name]) => name ?? [])

const packageOf = (name: string): string => name.slice(scope.length).split("/")[0] ?? ""
