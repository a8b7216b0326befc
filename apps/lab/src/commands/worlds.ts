/**
 * `bench sim`: what the simulator takes for an event and for a node, from a thousand nodes to a hundred thousand, and
 * `docs/benchmarks/sim.md` with it.
 *
 * @since 0.1.0
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as ChildProcess from "effect/process/ChildProcess"
import * as ChildProcessSpawner from "effect/process/ChildProcessSpawner"
import process from "node:process"
import { fileURLToPath } from "node:url"
import * as Machine from "../bench/Machine.ts"
import * as Worlds from "../bench/Worlds.ts"
import { exitCodes, Failure } from "../Failure.ts"
import * as Options from "../options.ts"
import * as SoakLog from "../SoakLog.ts"

/** What the page shows. */
const sizesOfPage = [1000, 10_000, 30_000, 100_000]

/** The world alone, beside its peer. */
const talkSizes = [1000, 10_000]

const talkSeconds = 10

const program = fileURLToPath(new URL("../../bench/sim/main.ts", import.meta.url))

const pagePath = fileURLToPath(new URL("../../../../docs/benchmarks/sim.md", import.meta.url))

/** A third of this machine's memory would not hold more, and a hundred thousand nodes take less. */
const heapMib = 12_000

/**
 * Room for young objects. Each step makes a state anew, and the one before dies: where a node's turn comes again only after
 * there was more to make than fits, all states grow old, and dead ones are found only by a walk over the whole heap.
 */
const youngMib = (size: number): number => Math.max(64, 2 ** Math.ceil(Math.log2((size * youngBytesOfNode) / 2 ** 20)))

/** What a hundred thousand nodes were measured to need (768 MiB in all), and a little more. */
const youngBytesOfNode = 8192

/**
 * V8 takes what outlives a collection for what lives long, and makes its like among old objects from then on. Of states that
 * is wrong: each lives as long as its node waits for its turn. A wave of 100,000 joins takes seven minutes of the processor this
 * way; with the 64 MiB of the smaller ones and V8's own choice it was not over after twenty.
 */
const young = "--no-allocation-site-pretenuring"

/** @since 0.1.0 @category commands */
export const worlds = Command.make(
  "sim",
  {
    sizes: Flag.String("sizes").pipe(
      Flag.withMetavar("N,M"),
      Flag.withDescription(`Nodes, each in a process of its own; default ${sizesOfPage.join(",")}`),
      Flag.filterMap(
        sizesOf,
        (text) => `Expected --sizes from 2 to 100000, with commas between them, got ${JSON.stringify(text)}`
      ),
      Flag.optional
    ),
    json: Options.json
  },
  Effect.fnUntraced(function* ({ json, sizes }) {
    const before = Machine.load()
    const fleets: Array<typeof Worlds.Fleet.Type> = []
    for (const size of Option.getOrElse(sizes, () => sizesOfPage))
      fleets.push(yield* ask(Worlds.Fleet, size, ["fleet", "--size", String(size)]))
    const talks: Array<typeof Worlds.Talk.Type> = []
    for (const size of Option.isSome(sizes) ? sizes.value : talkSizes) {
      yield* Console.error(`${size} nodes that greet each other, and the same by simjs`)
      talks.push(yield* ask(Worlds.Talk, size, ["talk", "--size", String(size), "--seconds", String(talkSeconds)]))
    }
    const report: Worlds.Report = {
      when: yield* SoakLog.when,
      machine: `${SoakLog.machine.cpu}, ${SoakLog.machine.cores} cores, Node ${SoakLog.machine.node}`,
      load: { before, after: Machine.load() },
      fleets,
      talks
    }
    const page = Worlds.page(report)
    if (Option.isNone(sizes)) {
      const files = yield* FileSystem.FileSystem
      yield* files.writeFileString(pagePath, page)
    }
    yield* Console.error(
      Option.isNone(sizes)
        ? "bench: written to docs/benchmarks/sim.md"
        : "bench: docs/benchmarks/sim.md is left as it is: only a whole run with nothing changed goes there"
    )
    yield* Console.log(json ? JSON.stringify(report, undefined, 2) : page)
  })
).pipe(
  Command.withDescription("The simulator: events per second and memory per node, up to 100,000 nodes; beside simjs")
)

function sizesOf(text: string): Option.Option<ReadonlyArray<number>> {
  const sizes = text.split(",").map(Number)
  return sizes.every((size) => Number.isSafeInteger(size) && size >= 2 && size <= 100_000)
    ? Option.some(sizes)
    : Option.none()
}

/** Starts the program and reads its answer. */
const ask = <A>(schema: Schema.Codec<A, unknown>, size: number, args: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
    const room = [`--max-semi-space-size=${youngMib(size)}`, `--max-old-space-size=${heapMib}`]
    const node = ["--expose-gc", ...room, young, program]
    const text = yield* spawner.string(ChildProcess.make(process.execPath, [...node, ...args], { stderr: "inherit" }))
    return yield* Schema.decodeEffect(Schema.fromJsonString(schema))(text)
  }).pipe(
    Effect.mapError(
      (error) =>
        new Failure({
          code: exitCodes.findings,
          message: `bench sim ${args.join(" ")} gave no answer: ${error.message}`
        })
    )
  )
