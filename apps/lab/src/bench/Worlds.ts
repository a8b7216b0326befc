/**
 * `docs/benchmarks/sim.md`: the page made of what the simulator measured of itself.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/** One kind of load. @since 0.1.0 @category models */
export const Load = Schema.Struct({
  name: Schema.String,
  nodes: Schema.Finite,
  virtualSeconds: Schema.Finite,
  events: Schema.Finite,
  seconds: Schema.Finite,
  processorSeconds: Schema.Finite,
  allocatedBytes: Schema.Finite
})

/** @since 0.1.0 @category models */
export const Fleet = Schema.Struct({
  size: Schema.Finite,
  loads: Schema.Array(Load),
  heapBytesOfNode: Schema.Finite,
  residentMib: Schema.Finite,
  history: Schema.String
})

/** Nanoseconds of the processor for each event, round by round. @since 0.1.0 @category models */
export const Talk = Schema.Struct({
  size: Schema.Finite,
  seconds: Schema.Finite,
  starling: Schema.Array(Schema.Finite),
  simjs: Schema.Array(Schema.Finite)
})

/** @since 0.1.0 @category models */
export interface Report {
  /** Date and commit. */
  readonly when: string
  readonly machine: string
  readonly load: { readonly before: number; readonly after: number }
  readonly fleets: ReadonlyArray<typeof Fleet.Type>
  readonly talks: ReadonlyArray<typeof Talk.Type>
}

const intro = `# The simulator, measured

Written by \`npx -y pnpm@12 bench sim\`; do not edit. What is measured stands in [apps/lab/bench/sim](../../apps/lab/bench/sim). An
**event** is one step of a node's machine, with all that the world does for it: the agenda, the network, the digest of the
history. Time is that of the processor, of all threads, so garbage collection counts with its own; the wall's is beside it. A
process for each size, with room for young objects that grows with it, from 64 MiB on, and V8 told to make none among old
ones (\`--no-allocation-site-pretenuring\`): states outlive a collection, and not for long.
`

/** @since 0.1.0 */
export const page = (report: Report): string => {
  const { fleets, load, machine, talks, when } = report
  return [
    intro,
    `${when}; ${machine}; load ${load.before.toFixed(1)} before, ${load.after.toFixed(1)} after.`,
    "",
    "## The overlay",
    "",
    "View manager, shuffler, broadcast tree and lazy-push repair of each node, with the settings of an agent: a keepalive to",
    "each of five neighbours every second, a shuffle every ten. All nodes join within ten seconds, each at one that joined before;",
    "one node sends ten broadcasts a second along a tree that has grown; a tenth of all nodes crashes at once.",
    "",
    "| nodes | load | events | events per second | ns of the processor | ns by the wall | bytes allocated | processor seconds per virtual second |",
    "| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ...fleets.flatMap(({ loads, size }) => loads.map((load) => row(size, load))),
    "",
    ...goalOf(fleets, talks),
    "What a node takes, once all have joined and rest:",
    "",
    "| nodes | heap of a node, KiB | process at its largest, MiB | processor, µs for a virtual second of an idle node |",
    "| ---: | ---: | ---: | ---: |",
    ...fleets.map(
      ({ heapBytesOfNode, loads, residentMib, size }) =>
        `| ${whole(size)} | ${(heapBytesOfNode / 1024).toFixed(1)} | ${whole(residentMib)} | ${idleOf(loads)} |`
    ),
    "",
    "## The world alone, beside simjs",
    "",
    "Each node greets five others every second, and each greeting is answered: nothing else, so what it costs is the simulator's.",
    "`simjs` 2.0.3, of the registry, hands a message to an object after a delay. The world does that over links that were dialled,",
    "which keep their order, break and are cut, with a latency for each pair, between machines whose state is a value, and",
    "puts every field of every event into the digest. In turns, in one process; median of the rounds, and their range.",
    "",
    "| nodes | world, ns | range | simjs, ns | range | world to simjs |",
    "| ---: | ---: | ---: | ---: | ---: | ---: |",
    ...talks.map(({ simjs, size, starling }) => {
      const [ours, theirs] = [spread(starling), spread(simjs)]
      const ratio = (ours.median / theirs.median).toFixed(2)
      return `| ${whole(size)} | ${whole(ours.median)} | ${ours.range} | ${whole(theirs.median)} | ${theirs.range} | ${ratio} × |`
    }),
    ""
  ].join("\n")
}

/** What was hoped for, and what there is to say of it. */
const goalOf = (
  fleets: ReadonlyArray<typeof Fleet.Type>,
  talks: ReadonlyArray<typeof Talk.Type>
): ReadonlyArray<string> => {
  const [least] = fleets
  const fleet = fleets.find(({ size }) => size === goal.size)
  const idle = fleet === undefined ? undefined : idleIn(fleet)
  const talk = talks.find(({ size }) => size === goal.size)
  if (fleet === undefined || idle === undefined || talk === undefined) return []
  const reached = idle.events / idle.processorSeconds
  const said = `Goal: ${whole(goal.rate)} events a second at ${whole(goal.size)} nodes. Idle it is ${whole(reached)}`
  if (reached >= goal.rate) return [`**${said}: reached.**`, ""]
  const heapMib = (fleet.heapBytesOfNode * goal.size) / 2 ** 20
  const small = least === undefined || least === fleet ? undefined : idleIn(least)
  const less =
    least === undefined || small === undefined
      ? ""
      : ` With ${whole(least.size)} nodes it takes ${whole((1e9 * small.processorSeconds) / small.events)} in all.`
  return [
    `**${said}: missed by a factor of ${(goal.rate / reached).toFixed(1)}.** ` +
      `Of the ${whole(1e9 / reached)} ns of such an event the world itself takes some ${whole(spread(talk.starling).median)} ` +
      `(below), and the machines their steps ([gossip.md](gossip.md)).${less} What comes ` +
      `on top grows with the states, ${whole(heapMib)} MiB here, of which each step needs another part: it is taken for waiting ` +
      "for memory, which nobody measured.",
    ""
  ]
}

const idleIn = ({ loads }: Pick<typeof Fleet.Type, "loads">) => loads.find(({ name }) => name.startsWith("idle"))

const goal = { size: 10_000, rate: 1_000_000 }

const whole = (value: number): string => Math.round(value).toLocaleString("en")

const row = (size: number, load: typeof Load.Type): string => {
  const { allocatedBytes, events, name, processorSeconds, seconds, virtualSeconds } = load
  const cells = [
    whole(size),
    name,
    whole(events),
    whole(events / processorSeconds),
    whole((1e9 * processorSeconds) / events),
    whole((1e9 * seconds) / events),
    whole(allocatedBytes / events),
    (processorSeconds / virtualSeconds).toFixed(2)
  ]
  return `| ${cells.join(" | ")} |`
}

const idleOf = (loads: ReadonlyArray<typeof Load.Type>): string => {
  const idle = idleIn({ loads })
  return idle === undefined ? "" : whole((1e6 * idle.processorSeconds) / idle.virtualSeconds / idle.nodes)
}

const spread = (values: ReadonlyArray<number>): { readonly median: number; readonly range: string } => {
  const sorted = values.toSorted((a, b) => a - b)
  return {
    median: sorted[(sorted.length - 1) >> 1] ?? Number.NaN,
    range: `${whole(sorted[0] ?? Number.NaN)}–${whole(sorted.at(-1) ?? Number.NaN)}`
  }
}
