/**
 * `starling demo`: a live fleet on this machine.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as Console from "effect/Console"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import * as Stdio from "effect/Stdio"
import * as Terminal from "effect/Terminal"
import * as Closed from "../output/Closed.ts"
import * as Root from "../root.ts"
import * as Ancestors from "./ancestors.ts"
import * as Processes from "./processes.ts"
import * as Report from "./report.ts"
import * as Steps from "./steps.ts"

/** The demo ended before its time, or with a wrong answer: then the message begins with the step's name. */
export class DemoFailed extends Data.TaggedError("DemoFailed")<{ readonly message: string }> {
  override readonly [Runtime.errorExitCode] = 1
}

export interface Options {
  readonly datacenters: number
  readonly nodes: number
  readonly once: boolean
  readonly json: boolean
}

/** Where the command line looks for an agent when it is told nothing. */
const portDefault = 7741

/** Runs the demo to its end: with `once` after the last step, else at Ctrl-C, which is as good an end as any. */
export const run = Effect.fnUntraced(
  function* (options: Options) {
    yield* Effect.raceAllFirst([
      demo(options),
      endedBy(Ancestors.gone, "the process that started the demo is gone"),
      endedBy(Closed.closed, "nobody reads any more what the demo prints")
    ])
  },
  Effect.scoped,
  Effect.provide(NodeHttpClient.layerFetch)
)

const endedBy = <R>(reason: Effect.Effect<void, never, R>, message: string): Effect.Effect<never, DemoFailed, R> =>
  Effect.andThen(reason, Effect.fail(new DemoFailed({ message })))

const demo = Effect.fnUntraced(function* (options: Options) {
  const steps: Array<Report.Step> = []
  const told = options.json ? silent : yield* forPeople(options)
  const report: Report.Report = {
    ...told,
    end: (step) =>
      Effect.suspend(() => {
        steps.push(step)
        return told.end(step)
      })
  }
  const api = options.once || !(yield* Processes.isFree(portDefault)) ? "127.0.0.1:0" : `127.0.0.1:${portDefault}`
  const fleet = yield* Processes.makeStage.pipe(
    Effect.flatMap((stage) => Steps.run(stage, { ...options, api }, report)),
    // The document comes however the steps end, and before their scope does.
    Effect.ensuring(
      Effect.suspend(() => (options.json ? Console.log(JSON.stringify({ items: steps }, undefined, 2)) : Effect.void))
    ),
    Effect.mapError((error) => new DemoFailed({ message: messageOf(error) }))
  )
  if (options.once) return
  if (!options.json) yield* Console.log(next(fleet))
  return yield* Effect.never
})

const messageOf = (error: { readonly _tag: string; readonly message: string }): string =>
  error instanceof Steps.StepFailed ? `${error.step}: ${error.message}` : error.message

const silent: Report.Report = { begin: () => Effect.void, end: () => Effect.void }

const forPeople = Effect.fnUntraced(function* (options: Options) {
  const { stdoutIsTerminal } = yield* Stdio.Stdio
  const { datacenters, nodes } = options
  const fleet = `${Root.count(datacenters, "data centre")} × ${Root.count(nodes, "agent")}`
  yield* Console.log(`a fleet on this machine: ${fleet}\n`)
  return yield* Report.text(yield* Terminal.Terminal, yield* Root.screen, yield* stdoutIsTerminal)
})

const next = (fleet: ReadonlyArray<Steps.Member>): string => {
  const [first, ...others] = fleet.map(({ agent }) => agent)
  if (first === undefined) return ""
  const other = others[others.length - 1]
  const flag = first.api === `http://127.0.0.1:${portDefault}` ? "" : ` --api ${first.api}`
  const command = (rest: string): string => `    npx -y pnpm@12 -s starling ${rest}${flag}`
  return [
    "",
    `The fleet lives until Ctrl-C. In another terminal, asking ${first.name}:`,
    "",
    command("status"),
    command("publishers"),
    command("config set sampling/rate 0.5 --wait received"),
    command("config rollout sampling/rate"),
    command("events --since 10m"),
    command("tree"),
    ...(other === undefined ? [] : ["", `Every agent answers the same; ${other.name} at --api ${other.api}`])
  ].join("\n")
}
