/**
 * What experiments on the overlay share: a fleet that joined and settled, its graph, and a watch that counts what
 * broadcasts cost.
 *
 * @since 0.1.0
 */
import { type NodeId, Rng } from "@starling/machine"
import { World } from "@starling/sim"
import { Graph, OverlayFleet } from "@starling/testing"

/** @since 0.1.0 @category models */
export type Fleet = World.World<OverlayFleet.Protocol>

/** @since 0.1.0 @category models */
export interface Joining {
  readonly size: number
  readonly seed: number | string
  readonly settings: OverlayFleet.Settings
  readonly network: Partial<World.Network<OverlayFleet.Protocol>>
  /** Between two nodes that join. */
  readonly everyMs: number
  readonly progress: (text: string) => void
}

/** Nodes join one by one at the first. @since 0.1.0 @category constructors */
export const joined = ({ everyMs, network, progress, seed, settings, size }: Joining): Fleet => {
  const world = OverlayFleet.make({ seed, network })
  const contact = OverlayFleet.peer(seed, 0)
  for (let n = 0; n < size; n++) {
    OverlayFleet.join(world, OverlayFleet.peer(seed, n), n === 0 ? [] : [contact.address], settings)
    World.pass(world, everyMs)
    if ((n + 1) % 2500 === 0) progress(`${n + 1} of ${size} nodes have joined`)
  }
  return world
}

/** The nodes that run, and the links that both ends have. @since 0.1.0 */
export const graphOf = (world: Fleet): Graph.Graph =>
  Graph.make(
    new Map(
      World.running(world).map(({ peer, state }) => [peer.id, state.view.active.map((neighbor) => neighbor.peer.id)])
    )
  )

/** So many of the nodes that run; the same for the same label. @since 0.1.0 */
export const choose = (
  world: Fleet,
  label: string,
  count: number,
  spared?: NodeId.NodeId
): ReadonlyArray<NodeId.NodeId> =>
  Rng.sample(
    Rng.make(label),
    World.running(world).flatMap(({ peer }) => (peer.id === spared ? [] : [peer.id])),
    count
  )[0]

/** One broadcast, or several at once, of which these are means. @since 0.1.0 @category models */
export interface Round {
  /** Share of the nodes that run. */
  readonly reached: number
  readonly payloads: number
  /** Announcements, prunes, grafts and adoptions. */
  readonly control: number
  readonly grafts: number
  /** Payloads for each receiver but the first one: m / (n - 1) - 1 (TR DI-FCUL 07-14, §4.1: relative message redundancy). */
  readonly redundancy: number
  /** Hops of the last delivery. */
  readonly lastHop: number
  /** Milliseconds from the first broadcast to the last delivery. */
  readonly lastMs: number
}

/** Counts what broadcasts cost, by what the machines counted, and sees the last hop. @since 0.1.0 @category models */
export class Watch {
  private reached = 0
  private lastHops = new Map<string, number>()
  private lastAt = 0
  private tokens = 0

  readonly observer: World.Observer<OverlayFleet.Protocol> = {
    output: ({ now }, { id, round }) => {
      const key = `${id.origin}.${id.seq}`
      this.reached++
      this.lastHops.set(key, Math.max(round, this.lastHops.get(key) ?? 0))
      this.lastAt = now
    }
  }

  /** One broadcast of each of these nodes, all at once, and what it took within `ms`. */
  round(world: Fleet, roots: ReadonlyArray<NodeId.NodeId>, ms: number): Round {
    const before = costOf(world)
    const begin = World.now(world)
    this.reached = 0
    this.lastHops = new Map()
    this.lastAt = begin
    for (const root of roots) OverlayFleet.broadcast(world, root, ++this.tokens)
    World.pass(world, ms)
    const after = costOf(world)
    const running = World.running(world).length
    const of = (cost: keyof Cost): number => (after[cost] - before[cost]) / roots.length
    const receivers = this.reached / roots.length - 1
    const hops = [...this.lastHops.values()]
    return {
      reached: this.reached / roots.length / running,
      payloads: of("payloads"),
      control: of("control"),
      grafts: of("grafts"),
      redundancy: receivers > 0 ? of("payloads") / receivers - 1 : 0,
      lastHop: hops.reduce((sum, hop) => sum + hop, 0) / Math.max(1, hops.length),
      lastMs: this.lastAt - begin
    }
  }
}

interface Cost {
  payloads: number
  control: number
  grafts: number
}

const costOf = (world: Fleet): Cost => {
  const sum: Cost = { payloads: 0, control: 0, grafts: 0 }
  for (const { state } of World.running(world)) {
    const { adoptsSent, graftsSent, payloadsReceived, prunesSent } = state.tree.counters
    const { announced } = state.repair.counters
    sum.payloads += payloadsReceived
    sum.grafts += graftsSent
    sum.control += announced + prunesSent + graftsSent + adoptsSent
  }
  return sum
}
