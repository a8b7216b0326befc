/**
 * From the flags of `starling agent` to a running node, or to everything that is wrong with them.
 *
 * @since 0.1.0
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as AgentConfig from "@starling/platform-node/AgentConfig"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { homedir, hostname, platform } from "node:os"
import process from "node:process"
import { exitCodes, Failure } from "../Failure.ts"
import * as Root from "../root.ts"
import * as Table from "../output/Table.ts"

/** @since 0.1.0 @category models */
export interface Input {
  readonly flags: Readonly<Record<string, unknown>>
  /** Of `--config`. */
  readonly config: string | undefined
  readonly check: boolean
  readonly json: boolean
}

/** @since 0.1.0 @category running */
export const run = Effect.fnUntraced(function* (input: Input) {
  const environment = process.env
  const host: AgentConfig.Host = {
    hostname: hostname(),
    dataHome: AgentConfig.dataHomeOf(platform(), homedir(), environment),
    separator: platform() === "win32" ? "\\" : "/"
  }
  const effective = yield* AgentConfig.load({ flags: input.flags, environment, host }, input.config).pipe(
    Effect.provide(NodeFileSystem.layer),
    Effect.mapError(
      ({ issues }) =>
        new Failure({
          code: exitCodes.usage,
          message: issues.map(AgentConfig.formatIssue).join("\n"),
          next: "see `starling agent --help`; `starling agent --check` prints where each value comes from"
        })
    )
  )
  if (input.check) return yield* check(effective, input.json)
  const { serve } = yield* Effect.promise(() => import("./serve.ts"))
  return yield* serve(effective)
})

const hookText = (hook: AgentConfig.Hook): string =>
  hook._tag === "File"
    ? `${hook.match} in file ${hook.file}`
    : `${hook.match} by ${hook.command.map((word) => JSON.stringify(word)).join(" ")} within ${hook.timeoutMs} ms`

const textOf = (value: unknown): string => {
  if (value === undefined) return ""
  if (Array.isArray(value)) return value.join(", ")
  if (typeof value === "object" && value !== null) {
    return Object.entries(value)
      .map(([key, item]) => `${key}=${String(item)}`)
      .join(", ")
  }
  return String(value)
}

/** What a value that was left out amounts to. */
const absent: Partial<Record<AgentConfig.Setting["key"], string>> = { advertise: "(the bound address)", otlp: "off" }

const check = Effect.fnUntraced(function* ({ config, settings }: AgentConfig.Effective, json: boolean) {
  if (json) {
    const items = settings.map(({ key, source, value }) => ({
      key,
      value: value === undefined && key === "otlp" ? "off" : (value ?? null),
      source
    }))
    return yield* Console.log(JSON.stringify({ items }, undefined, 2))
  }
  const valueText = ({ key, value }: AgentConfig.Setting): string =>
    (key === "apply" ? config.apply.map(hookText).join("; ") : textOf(value)) || (absent[key] ?? "(none)")
  const table = Table.render<AgentConfig.Setting>(
    yield* Root.screen,
    [
      { header: "KEY", of: ({ key }) => key, min: 10 },
      { header: "VALUE", of: valueText, min: 20 },
      { header: "SOURCE", of: ({ source }) => source, min: 12 }
    ],
    settings
  )
  yield* Console.log(table)
})
