/**
 * A fleet split in half, and a fleet of which nearly everybody fails: whether what is left finds together again.
 *
 * HyParView alone does not mend a partition (TR DI-FCUL 07-13 does not speak of it; n0-computer/iroh-gossip#86): both
 * halves are full and refuse each other, and passive views forget the other side within some ten shuffles. Asked is how
 * soon the halves are one component, and how soon they hang together by as many links as if nothing had happened.
 *
 * @since 0.1.0
 */
import { type NodeId, type Peer, Rng } from "@starling/machine"
import { World } from "@starling/sim"
import { Graph, type OverlayFleet } from "@starling/testing"
import { check, figure } from "../Checks.ts"
import * as Fleets from "../Fleets.ts"
import * as Markdown from "../Markdown.ts"
import type { Part } from "./Part.ts"

/** All stories of one kind share a fleet that has settled. */
interface Order {
  readonly size: number
  readonly seed: number
  readonly story: "partition" | "failure"
}

interface Result extends Order {
  readonly healed: ReadonlyArray<Healed>
  readonly failed: ReadonlyArray<Failed>
}

/** Two halves that were apart for so many shuffle periods. */
interface Healed {
  readonly periods: number
  /** Nobody remembers the neighbours that it lost, as if every node had been started anew meanwhile. */
  readonly forgotten: boolean
  /** Links between the halves before they were cut. */
  readonly undisturbed: number
  readonly before: Sight
  /** From the moment on at which the cut ended. */
  readonly after: ReadonlyArray<Sight>
}

interface Sight {
  /** Shuffle periods since the cut ended. */
  readonly at: number
  readonly components: number
  readonly cross: number
  /** Share of what passive views hold that is of the other half. */
  readonly passiveCross: number
  readonly degree: number
}

interface Failed {
  /** Whether the hosts of the dead answer that nobody listens, or nothing does. */
  readonly how: "reset" | "silent"
  readonly survivors: number
  readonly isolated: number
  readonly after: ReadonlyArray<{ readonly seconds: number; readonly components: number; readonly largest: number }>
}

/** The shuffler's default. */
const periodMs = 10_000

const settleMs = 60_000

const apart = [0.1, 1, 10, 100]

/** What facts hand the view manager at most. */
const remembered = 256

const failedPercent = 95

/** @since 0.1.0 */
export const partitions: Part<Order, Result> = {
  name: "partitions",
  title: "Partitions",
  about:
    "A fleet is cut in half for 0.1 to 100 shuffle periods; then 95 of a hundred nodes fail at once. All settings are those of an agent; nodes know one contact.",
  sizes: [2000],
  orders: (sizes, seed) =>
    sizes.flatMap((size) => (["partition", "failure"] as const).map((story) => ({ size, seed, story }))),
  label: ({ size, story }) => `${story} of ${size}`,
  run: (order, progress) => {
    const { seed, size, story } = order
    const world = Fleets.joined({ size, seed, settings: {}, network: {}, everyMs: 50, progress })
    World.pass(world, settleMs)
    return {
      ...order,
      healed: story === "partition" ? split(world, progress) : [],
      failed: story === "failure" ? (["reset", "silent"] as const).map((how) => strike(world, how, progress)) : []
    }
  },
  checks: (results) => [
    ...results.flatMap(({ healed, size }) =>
      healed.flatMap((one) => {
        const [joined, mixed] = [joinedAt(one), mixedAt(one)]
        return [
          check(
            `${nameOf(one)}, n = ${size}: shuffle periods to one component`,
            "≤ 3",
            show(joined),
            joined !== null && joined <= 3
          ),
          check(
            `${nameOf(one)}, n = ${size}: shuffle periods to 90 % of the ${one.undisturbed} cross links`,
            "≤ 30",
            show(mixed),
            mixed !== null && mixed <= 30
          )
        ]
      })
    ),
    ...results.flatMap(({ failed, size }) =>
      failed.map(({ after, how, survivors }) => {
        const last = after.at(-1)
        const at = after.find(({ components }) => components === 1)
        return check(
          `${failedPercent} % of ${size} fail at once (${how}): one component of all ${survivors} survivors`,
          "yes",
          at === undefined ? `${last?.components} components` : `after ${Markdown.count(at.seconds)} s`,
          last?.components === 1
        )
      })
    )
  ],
  figures: (results) => [
    ...results.flatMap(({ healed }) =>
      healed.flatMap((one) => [
        figure(`${nameOf(one)}: periods to one component`, joinedAt(one), "less", 1),
        figure(`${nameOf(one)}: periods to 90 % of the cross links`, mixedAt(one), "less", 5)
      ])
    ),
    ...results.flatMap(({ failed }) =>
      failed.map(({ after, how }) =>
        figure(
          `${failedPercent} % fail (${how}): seconds to one component`,
          after.find(({ components }) => components === 1)?.seconds ?? null,
          "less",
          20
        )
      )
    )
  ],
  page: (results) => [
    "![Links between the halves](beyond/partitions-cross.svg)",
    "",
    "_Forgotten_: when the cut ended, no node remembered which neighbours it had lost, so that only contacts, passive views",
    "and the swaps that follow a merge were left. From the tenth to the 91st period apart keepalives came every",
    "10 s, for the sake of time.",
    "",
    ...Markdown.table(
      [
        "apart, periods",
        "forgotten",
        "cross links before",
        "periods after",
        "components",
        "cross links",
        "passive views",
        "mean degree"
      ],
      results.flatMap(({ healed }) =>
        healed.flatMap((one) =>
          one.after.map((sight) => [
            String(one.periods),
            one.forgotten ? "yes" : "no",
            String(one.undisturbed),
            String(sight.at),
            String(sight.components),
            `${sight.cross} (${Markdown.percentOf(sight.cross / one.undisturbed)})`,
            Markdown.percentOf(sight.passiveCross),
            Markdown.fixed(sight.degree, 2)
          ])
        )
      )
    ),
    "",
    `After ${failedPercent} % have failed at once, each survivor remembers ${remembered} nodes at random, dead or alive:`,
    "",
    ...Markdown.table(
      ["hosts of the dead", "survivors", "isolated at first", "seconds", "components", "largest"],
      results.flatMap(({ failed }) =>
        failed.flatMap(({ after, how, isolated, survivors }) =>
          after.map(({ components, largest, seconds }) => [
            how === "reset" ? "answer" : "are gone",
            String(survivors),
            String(isolated),
            String(seconds),
            String(components),
            String(largest)
          ])
        )
      )
    )
  ],
  plots: (results) => ({
    cross: {
      title: "Links between the halves after a partition",
      x: "shuffle periods since the cut ended",
      y: "per cent of the links before",
      yMax: 120,
      series: results.flatMap(({ healed }) =>
        healed.map((one) => ({
          name: nameOf(one),
          points: one.after.map(({ at, cross }) => [at, (100 * cross) / one.undisturbed] as const)
        }))
      )
    }
  })
}

const nameOf = ({ forgotten, periods }: Healed): string => `${periods} periods apart${forgotten ? ", forgotten" : ""}`

const show = (periods: number | null): string => (periods === null ? "never" : String(periods))

const joinedAt = ({ after }: Healed): number | null => after.find(({ components }) => components === 1)?.at ?? null

const mixedAt = ({ after, undisturbed }: Healed): number | null =>
  after.find(({ cross }) => cross >= 0.9 * undisturbed)?.at ?? null

// --- a partition -----------------------------------------------------------------------------------------------------

/** One cut, that ends in another world after each of the times. */
const split = (world: Fleets.Fleet, progress: (text: string) => void): ReadonlyArray<Healed> => {
  const half = new Set(Fleets.choose(world, "half", World.ids(world).length / 2))
  const others = World.ids(world).filter((id) => !half.has(id))
  const undisturbed = sightOf(world, half, 0).cross
  World.cut(world, half, others)
  const begun = World.now(world)
  let current = world
  return apart.flatMap((periods) => {
    if (periods > 10) {
      current = World.fork(current, { alter: withKeepalives(10) })
      World.run(current, begun + (periods - 9) * periodMs)
      current = World.fork(current, { alter: withKeepalives(1) })
    }
    World.run(current, begun + periods * periodMs)
    return (periods > 1 ? [false, true] : [false]).map((forgotten) => {
      const healing = World.fork(current, forgotten ? { alter: forget } : {})
      const before = sightOf(healing, half, 0)
      World.healAll(healing)
      const after = watch(healing, half, undisturbed)
      const healed = { periods, forgotten, undisturbed, before, after }
      progress(
        `${nameOf(healed)}: one component after ${show(joinedAt(healed))} periods, 90 % of the cross links after ${show(mixedAt(healed))}`
      )
      return healed
    })
  })
}

/** Twice a period for three periods, then every other; at least twelve periods, until the halves are mixed. */
const watch = (world: Fleets.Fleet, half: ReadonlySet<NodeId.NodeId>, undisturbed: number): ReadonlyArray<Sight> => {
  const begun = World.now(world)
  const seen: Array<Sight> = []
  for (let at = 0.5; at <= 30; at += at < 3 ? 0.5 : 1.5) {
    World.run(world, begun + at * periodMs)
    const sight = sightOf(world, half, at)
    seen.push(sight)
    if (at >= 12 && sight.cross >= 0.9 * undisturbed) break
  }
  return seen
}

const sightOf = (world: Fleets.Fleet, half: ReadonlySet<NodeId.NodeId>, at: number): Sight => {
  let [cross, known, crossKnown, degree] = [0, 0, 0, 0]
  const running = World.running(world)
  for (const { peer, state } of running) {
    const isOther = (other: Peer.Peer) => half.has(other.id) !== half.has(peer.id)
    const { active, passive } = state.view
    degree += active.length
    for (const neighbor of active) if (isOther(neighbor.peer)) cross++
    for (const other of passive) if (isOther(other)) crossKnown++
    known += passive.length
  }
  return {
    at,
    components: Graph.components(Fleets.graphOf(world)).length,
    // Each link is seen from both ends.
    cross: Math.round(cross / 2),
    passiveCross: crossKnown / Math.max(1, known),
    degree: degree / Math.max(1, running.length)
  }
}

/** Everything that keepalives are waited for takes so many times as long. */
const withKeepalives =
  (times: number) =>
  (state: OverlayFleet.State): OverlayFleet.State => {
    const { config } = state.view
    const slow = {
      keepaliveMs: 1000 * times,
      silenceMs: 5000 * times,
      labelMs: 20_000 * times,
      labelStableMs: 15_000 * times
    }
    return { ...state, view: { ...state.view, config: { ...config, ...slow } } }
  }

const forget = (state: OverlayFleet.State): OverlayFleet.State => ({ ...state, view: { ...state.view, lost: [] } })

// --- a failure -------------------------------------------------------------------------------------------------------

const strike = (world: Fleets.Fleet, how: "reset" | "silent", progress: (text: string) => void): Failed => {
  const peers = World.running(world).map(({ peer }) => peer)
  const failing = World.fork(world, { alter: (state) => withRemembered(state, peers) })
  const victims = Fleets.choose(world, "victims", Math.round((peers.length * failedPercent) / 100))
  for (const id of victims) World.crash(failing, id, how)
  const begun = World.now(failing)
  const after: Array<Failed["after"][number]> = []
  let isolated = 0
  for (let seconds = 10; seconds <= 300; seconds += 10) {
    World.run(failing, begun + seconds * 1000)
    const graph = Fleets.graphOf(failing)
    const components = Graph.components(graph)
    if (seconds === 10) isolated = graph.filter(({ length }) => length === 0).length
    after.push({ seconds, components: components.length, largest: components[0] ?? 0 })
    if (components.length === 1 && seconds >= 60) break
  }
  const last = after.at(-1)
  progress(`${failedPercent} % failed (${how}): ${last?.components} components after ${last?.seconds} s`)
  return { how, survivors: peers.length - victims.length, isolated, after }
}

/** As facts hand it over: some of the fleet, the node itself not among them. */
const withRemembered = (state: OverlayFleet.State, peers: ReadonlyArray<Peer.Peer>): OverlayFleet.State => {
  const { self } = state.view.config
  const known = Rng.sample(Rng.make(`remembered/${self.id}`), peers, remembered + 1)[0]
  const others = known.filter((peer) => peer.id !== self.id).slice(0, remembered)
  return { ...state, view: { ...state.view, remembered: others } }
}
