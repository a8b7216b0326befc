/**
 * `lab list`: the scenarios, and what each shows.
 *
 * @since 0.1.0
 */
import { Scenarios } from "@starling/testing"
import * as Command from "effect/cli/Command"
import * as Console from "effect/Console"
import * as Options from "../options.ts"

/** @since 0.1.0 @category commands */
export const list = Command.make("list", { json: Options.json }, ({ json }) => {
  const rows = Scenarios.all.map(({ about, name, size }) => ({ name, size, about }))
  if (json) return Console.log(JSON.stringify({ items: rows }, undefined, 2))
  const width = Math.max(...rows.map(({ name }) => name.length))
  return Console.log(
    rows
      .map(({ about, name, size }) => `${name.padEnd(width)}  ${String(size).padStart(6)} members  ${about}`)
      .join("\n")
  )
}).pipe(Command.withDescription("The scenarios, with what they show"))
