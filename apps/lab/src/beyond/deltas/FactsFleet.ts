/**
 * Nodes with whole facts, for a thousand of them.
 *
 * A fleet joins without facts, and then every node is given all documents at once, the same objects: how a thousand
 * documents come to a thousand nodes for the first time is not the question here.
 *
 * @since 0.1.0
 */
import { Facts, NodeDoc } from "@starling/fleet"
import { type Machine, type NodeId, Rng } from "@starling/machine"
import { World } from "@starling/sim"
import * as HashMap from "effect/HashMap"
import * as Hosts from "./Hosts.ts"
import type { Cost, Seen, Subject } from "./Subject.ts"

type Command = { readonly _tag: "Begin" } | { readonly _tag: "Emit"; readonly round: number }

/** @since 0.1.0 @category models */
export interface Guest extends Hosts.Guest {
  readonly state: Facts.State
  readonly message: Facts.Message
  readonly timer: Facts.Timer
  readonly output: never
  readonly command: Command
}

/** @since 0.1.0 @category constructors */
export const make = (
  order: { readonly size: number; readonly seed: number; readonly jitterMs: number },
  settings: Partial<Facts.Config>,
  seen: Seen,
  progress: (text: string) => void
): Subject => {
  const { jitterMs, seed, size } = order
  const index = new Map<NodeId.NodeId, number>()
  /** By origin: the version that its last change made. */
  const wanted: Array<number> = Array.from({ length: size }, () => Number.POSITIVE_INFINITY)
  const observer: World.Observer<Hosts.Protocol<Guest>> = {
    step: ({ now, peer }, event, { guest }) => {
      if (event._tag !== "Received" || event.message.channel !== "guest" || guest === undefined) return
      const { message } = event.message
      if (message._tag !== "Delta") return
      const node = index.get(peer.id) ?? 0
      for (const { id, to } of message.docs) {
        const origin = index.get(id) ?? 0
        const version = wanted[origin] ?? 0
        // It may have begun after a gap.
        if (id !== peer.id && to >= version && HashMap.getUnsafe(guest.docs, id).version >= version) {
          seen(node, origin, now)
        }
      }
    }
  }
  // Nobody emits anything but what the experiment asks for.
  const config = { ...settings, pulseMs: Hosts.neverMs }
  const joined = Hosts.make<Guest>(
    { size, seed, network: { latencyMs: [10, 50], jitterMs } },
    step(config),
    observer,
    progress
  )
  for (const id of World.ids(joined)) World.inject(joined, id, { _tag: "Ask", command: { _tag: "Begin" } })
  const world = World.fork(joined, { observer, alter: knowingAll(joined) })
  for (const [at, id] of World.ids(world).entries()) index.set(id, at)
  return {
    pass: (ms) => World.pass(world, ms),
    now: () => World.now(world),
    at: (ms, run) => World.at(world, ms, run),
    alive: () => Hosts.idsOf(world).map((id) => index.get(id) ?? 0),
    relays: () =>
      World.running(world).flatMap(({ peer, state }) =>
        state.guest !== undefined && HashMap.has(state.guest.relays, peer.id) ? [index.get(peer.id) ?? 0] : []
      ),
    emit: (node, round) => {
      const id = World.ids(world)[node] ?? ""
      const facts = World.state(world, id)?.guest
      if (facts === undefined) return false
      wanted[node] = HashMap.getUnsafe(facts.docs, id).version + 1
      return World.inject(world, id, { _tag: "Ask", command: { _tag: "Emit", round } })
    },
    kill: (node) => World.crash(world, World.ids(world)[node] ?? ""),
    cost: () => new Map(World.running(world).map(({ peer, state }) => [index.get(peer.id) ?? 0, costOf(state.guest)])),
    frames: () => World.counters(world).frames
  }
}

const costOf = (facts: Facts.State | undefined): Cost => ({
  received: facts?.counters.deltasReceived ?? 0,
  repeated: facts?.counters.deltasRepeated ?? 0,
  pulled: facts?.counters.documentsPulled ?? 0
})

const step =
  (settings: Partial<Facts.Config>): Hosts.GuestStep<Guest> =>
  (facts, { now, self, view, wall }, event) => {
    // The events of a node have one instant each, or the same: a counter is not needed to tell stamps apart.
    const stamp = { epoch: 0, wall, counter: 0, node: self.id }
    const on = (state: Facts.State, next: Facts.Event) => Facts.step(state, { now, wall, stamp, event: next })
    if (event._tag === "Begin") {
      const config = {
        ...Facts.defaults,
        ...settings,
        self: { ...self, name: self.id, datacenter: "lab", labels: {} },
        startedAt: wall
      }
      const [first, timers] = on(Facts.make(config, new Map(), Rng.make(`${self.id}/facts`), wall), { _tag: "Started" })
      // Beside what the view manager says, which begins with 1. The digests to the neighbours are left out: everybody is
      // about to know everything.
      const [second, more] = on(first, { _tag: "Neighbors", version: 0.5, neighbors: view.active })
      return [second, [...timers, ...more].filter((action) => action._tag === "SetTimer")]
    }
    if (facts === undefined) return [undefined, []]
    const [next, actions] = on(
      facts,
      event._tag === "Emit" ? { _tag: "Handles", patterns: [`round/${event.round}`] } : event
    )
    return [next, actions.filter(isForHost)]
  }

/** Nobody hears what facts tell their application. */
const isForHost = (
  action: Facts.Action
): action is Extract<Facts.Action, { readonly _tag: "Send" | "SetTimer" | "Write" }> =>
  action._tag === "Send" || action._tag === "SetTimer" || action._tag === "Write"

/** What every node is given: all documents, and neighbours that have them too. */
const knowingAll = (world: Hosts.Fleet<Guest>): ((state: Hosts.State<Guest>) => Hosts.State<Guest>) => {
  const docs = World.running(world).flatMap(({ peer, state }) => {
    if (state.guest === undefined) return []
    const doc = HashMap.getUnsafe(state.guest.docs, peer.id)
    return NodeDoc.since(doc, NodeDoc.unknown, Hosts.neverMs)?.delta ?? []
  })
  const first = World.running(world)[0]
  if (first?.state.guest === undefined) return (state) => state
  const link: Machine.LinkId = [...HashMap.keys(first.state.guest.links)][0] ?? 0
  const [all] = Facts.step(first.state.guest, {
    now: World.now(world),
    wall: 0,
    stamp: { epoch: 0, wall: 0, counter: 0, node: first.peer.id },
    event: { _tag: "Received", link, message: { _tag: "Delta", docs, via: [] } }
  })
  const known = HashMap.map(all.docs, NodeDoc.knownOf)
  return (state) => {
    if (state.guest === undefined) return state
    const links = HashMap.map(state.guest.links, (one) => ({
      ...one,
      known,
      speaks: true,
      dirty: HashMap.empty<NodeId.NodeId, null>()
    }))
    const { docsHash, heard } = all
    return { ...state, guest: { ...state.guest, docs: all.docs, docsHash, heard, links } }
  }
}
