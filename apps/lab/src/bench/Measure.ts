/**
 * Runs the rows. Each arm of a row is a process of its own, and only one of them works at a time: after a round to warm
 * up, of twice the time, all arms measure their first round, then all their second, and so on.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as ChildProcessSpawner from "effect/process/ChildProcessSpawner"
import * as Program from "./Program.ts"
import type * as Report from "./Report.ts"
import { crowd, type Figure, type Kind, type Row } from "./Rows.ts"
import * as Text from "./Text.ts"

/** While a round takes long, it is said this often. Our choice: less than the five seconds that are promised. */
const heartbeat = "4 seconds"

const Rate = Schema.Struct({ work: Schema.Finite, seconds: Schema.Finite })
const Latency = Schema.Struct({ p50: Schema.Finite, p99: Schema.Finite, samples: Schema.Finite })
const Bytes = Schema.Struct({ bytes: Schema.Finite, actors: Schema.Finite })
const Wait = Schema.Struct({ p50: Schema.Finite, p99: Schema.Finite, max: Schema.Finite, samples: Schema.Finite })
const Waits = Schema.Struct({ timer: Wait, echo: Wait })
const CrowdRound = Schema.Struct({ ...Rate.fields, crashes: Schema.Finite, heap: Schema.Array(Schema.Finite) })

type Spawner = ChildProcessSpawner.ChildProcessSpawner

/**
 * - `pin`: what keeps arms on their core, see `Program.pinnedTo`.
 * - `beams`: where Erlang's modules are.
 * - `say`: shows how far it has come.
 *
 * @since 0.1.0
 * @category models
 */
export interface Run {
  readonly settings: Pick<Report.Settings, "rounds" | "roundMs" | "probeMs" | "crowdSeconds">
  readonly pin: ReadonlyArray<string>
  readonly beams: string
  readonly say: (text: string) => Effect.Effect<void>
}

/** A round that makes 100,000 actors takes as long as that takes. Measured on two cores of a virtual machine. */
const memoryMs = 4000

/** How long it should take, with what processes need to start and to end a batch. @since 0.1.0 */
export const estimateMs = (rows: ReadonlyArray<Row>, withCrowd: boolean, settings: Report.Settings): number => {
  const { crowdSeconds, probeMs, roundMs, rounds } = settings
  const rowMs = ({ figures, kind }: Row) =>
    figures.length * ((rounds + 2) * (kind === "bytes" ? memoryMs : roundMs * 1.3) + 500) + probeMs
  const crowdMs = (crowd.children / crowd.crashesPerSecond) * 1000 + 2 * rounds * (crowdSeconds * 1000 + 500) + probeMs
  return rows.reduce((sum, row) => sum + rowMs(row), withCrowd ? crowdMs : 0)
}

/** @since 0.1.0 */
export const measureRow = (run: Run, row: Row): Effect.Effect<Report.RowReport, Program.ProgramFailed, Spawner> =>
  Effect.scoped(
    Effect.gen(function* () {
      const { roundMs, rounds } = run.settings
      const programs: Array<readonly [Figure, Program.Program, Array<ReadonlyArray<number>>]> = []
      for (const figure of row.figures) {
        programs.push([
          figure,
          yield* Program.start(run.pin, Program.commandOf(figure.arm, run.beams), figure.args),
          []
        ])
      }
      for (let n = 0; n <= rounds; n++) {
        for (const [figure, program, values] of programs) {
          const where = `${row.id} · ${n === 0 ? "warm-up" : `round ${n} of ${rounds}`} · ${nameOf(figure)}`
          const value = yield* shown(run, where, round(program, row.kind, n === 0 ? 2 * roundMs : roundMs))
          if (n > 0) values.push(value)
          yield* run.say(`${where} · ${Text.values(row.kind, value)}`)
        }
      }
      const starling = programs.find(([{ arm }]) => arm === "starling")
      if (starling === undefined) return yield* Effect.die(new Error(`${row.id} has no figure of Starling`))
      const waits = yield* probe(run, row.id, starling[1])
      const figures = programs.map(([{ arm, label }, , values]) => ({ arm, label, rounds: values }))
      return { row, figures, waits }
    })
  )

const nameOf = ({ arm, label }: Figure): string => (label === undefined ? arm : `${arm}, ${label}`)

/** What one round of a program comes to. @since 0.1.0 */
export const round = (
  program: Program.Program,
  kind: Kind,
  ms: number
): Effect.Effect<ReadonlyArray<number>, Program.ProgramFailed> => {
  switch (kind) {
    case "rate":
      return Effect.map(program.order("run", ms, Rate), ({ seconds, work }) => [work / seconds])
    case "latency":
      return Effect.map(program.order("run", ms, Latency), ({ p50, p99 }) => [p50, p99])
    case "bytes":
      return Effect.map(program.order("run", ms, Bytes), ({ bytes }) => [bytes])
  }
}

/** In a round of its own, which is not counted: a timer and a socket that fire all the time take their share. */
const probe = (run: Run, id: string, program: Program.Program) =>
  Effect.gen(function* () {
    const where = `${id} · timers and sockets beside it`
    const waits = yield* shown(run, where, program.order("probe", run.settings.probeMs, Waits))
    yield* run.say(`${where} · p99 ${waits.timer.p99.toFixed(1)} and ${waits.echo.p99.toFixed(1)} ms`)
    return waits
  })

/** Pairs of a quiet and a crashing round, one after the other, in one process in which each child has crashed before. @since 0.1.0 */
export const measureCrowd = (
  run: Run,
  { children, crashesPerSecond }: Pick<typeof crowd, "children" | "crashesPerSecond"> = crowd
): Effect.Effect<Report.CrowdReport, Program.ProgramFailed, Spawner> =>
  Effect.scoped(
    Effect.gen(function* () {
      const { crowdSeconds, rounds } = run.settings
      const ms = crowdSeconds * 1000
      const program = yield* Program.start(run.pin, Program.commandOf("crowd", run.beams), [
        "crowd",
        "plain",
        children,
        crashesPerSecond
      ])
      const one = (order: "run" | "crash", where: string, ms: number) =>
        Effect.gen(function* () {
          const { crashes, heap, seconds, work } = yield* shown(run, where, program.order(order, ms, CrowdRound))
          yield* run.say(`${where} · ${Text.values("rate", [work / seconds])}, ${crashes} crashes`)
          return { rate: work / seconds, heap, crashes }
        })
      // A supervisor keeps why each child ended last: before all have, the heap still grows.
      yield* one("crash", "crowd · warm-up", (children / crashesPerSecond) * 1000)
      const pairs: Array<Report.CrowdReport["pairs"][number]> = []
      for (let n = 1; n <= rounds; n++) {
        const quiet = yield* one("run", `crowd · pair ${n} of ${rounds} · quiet`, ms)
        const crashing = yield* one("crash", `crowd · pair ${n} of ${rounds} · crashing`, ms)
        pairs.push({ quiet, crashing })
      }
      return { pairs, waits: yield* probe(run, "crowd", program) }
    })
  )

const shown = <A, E>(run: Run, where: string, effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.scoped(
    Effect.andThen(
      Effect.forkScoped(Effect.repeat(Effect.delay(run.say(`${where} …`), heartbeat), Schedule.forever)),
      effect
    )
  )
