/**
 * `starling demo`: a live fleet on this machine.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as Console from "effect/Console"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as HttpClient from "effect/http/HttpClient"
import * as Runtime from "effect/Runtime"
import * as Processes from "./processes.ts"
import * as Steps from "./steps.ts"

/** The demo ended with a wrong answer, which it has printed. */
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
const defaultApi = "127.0.0.1:7741"

/** Runs the demo to its end: with `once` after the last step, else at Ctrl-C. */
export const run = Effect.fnUntraced(
  function* (options: Options) {
    const files = yield* FileSystem.FileSystem
    const directory = yield* files.makeTempDirectoryScoped({ prefix: "starling-demo-" })
    yield* Processes.startJanitor(directory)
    const api = options.once || (yield* isTaken) ? "127.0.0.1:0" : defaultApi
    const steps: Array<Steps.Step> = []
    const show = (step: Steps.Step): Effect.Effect<void> => {
      steps.push(step)
      return options.json ? Effect.void : Console.log(lineOf(step))
    }
    if (!options.json)
      yield* Console.log(`a fleet of ${options.datacenters} × ${options.nodes} agents on this machine\n`)
    const fleet = yield* Steps.run({ ...options, directory, api }, show).pipe(
      Effect.raceFirst(Processes.parentGone),
      Effect.ensuring(
        Effect.suspend(() => (options.json ? Console.log(JSON.stringify({ items: steps }, undefined, 2)) : Effect.void))
      ),
      Effect.mapError((error) => new DemoFailed({ message: error.message }))
    )
    if (options.once) return
    const first = fleet[0]?.agent
    if (first !== undefined && !options.json) yield* Console.log(next(first, fleet[fleet.length - 1]?.agent))
    yield* Effect.mapError(Processes.parentGone, (error) => new DemoFailed({ message: error.message }))
  },
  Effect.scoped,
  Effect.provide(NodeHttpClient.layerFetch)
)

const isTaken = HttpClient.get(`http://${defaultApi}/livez`).pipe(
  Effect.timeout("500 millis"),
  Effect.as(true),
  Effect.orElseSucceed(() => false)
)

const lineOf = (step: Steps.Step): string =>
  step.ok
    ? `  ✓ ${step.step.padEnd(18)}${`${step.value} ${step.unit}`.padStart(9)}   ${step.text}`
    : `  ✗ ${step.step.padEnd(18)}${"".padStart(9)}   ${step.text}`

const next = (first: Processes.Agent, other: Processes.Agent | undefined): string => {
  const flag = first.api === `http://${defaultApi}` ? "" : ` --api ${first.api}`
  const command = (rest: string): string => `    npx -y pnpm@12 -s starling ${rest}${flag}`
  return [
    "",
    `The fleet lives until Ctrl-C. In another terminal (asking ${first.name}):`,
    "",
    command("status"),
    command("publishers"),
    command("config set sampling/rate 0.5 --wait received"),
    command("config rollout sampling/rate"),
    command("events --since 10m"),
    command("tree"),
    "",
    other === undefined ? "" : `Every agent answers the same; for instance ${other.name}: --api ${other.api}`
  ].join("\n")
}
