/**
 * How the six components of a member are made: at the start, from what is durable; and again, after a second crash, from
 * what can be trusted without their states.
 *
 * @since 0.1.0
 */
import { Clock, EffectiveTime, Guard, Lease, NodeClock } from "@starling/clock"
import { Facts } from "@starling/fleet"
import { BroadcastTree, LazyPushRepair, Shuffler, ViewManager } from "@starling/gossip"
import { type Machine, Peer, Rng } from "@starling/machine"
import * as HashMap from "effect/HashMap"
import type { Component, StateOf } from "./Component.ts"
import type * as Ledger from "./Ledger.ts"

/** Every table with its rows, by key, as the store holds them. @since 0.1.0 @category models */
export type Stored = ReadonlyMap<string, ReadonlyMap<string, unknown>>

/**
 * What each table holds, and who writes it.
 *
 * | table | written by | key | value |
 * | --- | --- | --- | --- |
 * | `meta` | the shell | `id`, `incarnation` | the node's identity |
 * | `meta` | clock | `high-water` | no stamp was given out above it |
 * | `meta` | broadcast tree | `sequence` | the last sequence of this incarnation, and what the one before sent |
 * | `meta` | broadcast tree | `ordered` | the last sequence of this incarnation that others come after |
 * | `windows` | broadcast tree | origin | what was delivered of it |
 * | `config` | facts | dot | a configuration entry |
 * | `events` | facts | event id | an event |
 * | `peers` | facts | node id | a node that was known |
 *
 * @since 0.1.0
 */
export const tables: ReadonlyArray<string> = ["meta", "windows", "config", "events", "peers"]

/** A second crash of a component within this time rebuilds it. Our choice. @since 0.1.0 */
export const crashPeriodMs = 5000

/**
 * Who the member is and how its machines are set; what is left out takes the machine's documented default.
 *
 * @since 0.1.0
 * @category models
 */
export interface Settings {
  readonly self: Peer.Peer
  readonly name: string
  readonly datacenter: string
  readonly labels: Readonly<Record<string, string>>
  /** Addresses to join at. */
  readonly contacts: ReadonlyArray<string>
  readonly viewManager?: Partial<ViewManager.Settings>
  readonly shuffler?: Partial<Shuffler.Settings>
  readonly broadcastTree?: Partial<BroadcastTree.Settings>
  /** `originsMax` is at least the broadcast tree's, whatever stands here: repair has room for all that the tree knows of. */
  readonly lazyPushRepair?: Partial<LazyPushRepair.Settings>
  readonly clock?: Partial<Clock.Settings>
  readonly guard?: Partial<Guard.Config>
  readonly facts?: Partial<Omit<Facts.Config, "self" | "startedAt">>
}

/** @since 0.1.0 @category models */
export type States = { readonly [C in Component]: StateOf<C> }

/** @since 0.1.0 @category constructors */
export const boot = (
  settings: Settings,
  stored: Stored,
  rng: Rng.Rng,
  wall: number
): readonly [States, NodeClock.NodeClock] => {
  const at = (component: Component): Rng.Rng => Rng.split(rng, component)
  const facts = Facts.make(factsConfig(settings, wall), stored, at("facts"), wall)
  return [
    {
      "view-manager": ViewManager.make(viewManagerConfig(settings), at("view-manager"), rememberedOf(facts)),
      shuffler: Shuffler.make(shufflerConfig(settings), at("shuffler")),
      "broadcast-tree": BroadcastTree.make(broadcastTreeConfig(settings), stored, at("broadcast-tree")),
      "lazy-push-repair": LazyPushRepair.make(repairConfig(settings), stored, at("lazy-push-repair")),
      clock: Clock.make(clockConfig(settings, facts), stored, seedOf(at("clock"))),
      facts
    },
    NodeClock.make(cellConfig(settings), Lease.initial(stored))
  ]
}

/** What is left when a component's state is not trusted. @since 0.1.0 @category models */
export interface Remains {
  readonly settings: Settings
  readonly stored: Stored
  readonly rng: Rng.Rng
  readonly wall: number
  readonly links: ReadonlyArray<Machine.Neighbor>
  readonly ledger: Ledger.Ledger
  readonly clock: NodeClock.NodeClock
}

/** @since 0.1.0 @category constructors */
export const rebuild = <C extends Component>(component: C, remains: Remains): StateOf<C> =>
  rebuilders[component](remains)

const rebuilders: { readonly [C in Component]: (remains: Remains) => StateOf<C> } = {
  "view-manager": ({ settings, links, rng, stored, wall }) =>
    ViewManager.rebuild(
      viewManagerConfig(settings),
      links,
      rememberedOf(Facts.make(factsConfig(settings, wall), stored, rng, wall)),
      rng
    ),
  shuffler: ({ settings, rng }) => Shuffler.rebuild(shufflerConfig(settings), rng),
  "broadcast-tree": ({ settings, stored, ledger, rng }) =>
    BroadcastTree.rebuild(broadcastTreeConfig(settings), stored, ledger, rng),
  "lazy-push-repair": ({ settings, ledger, rng }) => LazyPushRepair.rebuild(repairConfig(settings), ledger, rng),
  clock: ({ clock, settings, stored, rng, wall }) => {
    const facts = Facts.make(factsConfig(settings, wall), stored, rng, wall)
    const offset = Number.isNaN(clock.offset) ? undefined : clock.offset
    return Clock.rebuild(clockConfig(settings, facts), stored, seedOf(rng), offset, clock.alone)
  },
  facts: ({ settings, stored, rng, wall }) => Facts.make(factsConfig(settings, wall), stored, rng, wall)
}

/** The nodes that facts know from the store: where to dial first. */
const rememberedOf = (facts: Facts.State): ReadonlyArray<Peer.Peer> =>
  [...HashMap.values(facts.remembered)].map(({ datacenter, peer }) => Peer.within(peer, datacenter))

/** This member as its peers hand it on. */
const selfOf = ({ self, datacenter }: Settings): Peer.Peer => Peer.within(self, datacenter)

const viewManagerConfig = (settings: Settings): ViewManager.Config => ({
  ...ViewManager.defaults,
  ...settings.viewManager,
  self: selfOf(settings),
  contacts: settings.contacts
})

const shufflerConfig = (settings: Settings): Shuffler.Config => ({
  ...Shuffler.defaults,
  ...settings.shuffler,
  self: selfOf(settings)
})

const broadcastTreeConfig = (settings: Settings): BroadcastTree.Config => ({
  ...BroadcastTree.defaults,
  ...settings.broadcastTree,
  self: selfOf(settings)
})

const repairConfig = (settings: Settings): LazyPushRepair.Config => {
  const repair = { ...LazyPushRepair.defaults, ...settings.lazyPushRepair, self: selfOf(settings) }
  return { ...repair, originsMax: Math.max(repair.originsMax, broadcastTreeConfig(settings).originsMax) }
}

/** Who remembers nobody and was told of nobody is a fleet of its own. */
const clockConfig = (settings: Settings, facts: Facts.State): Clock.Config => ({
  ...Clock.defaults,
  ...settings.clock,
  self: settings.self.id,
  hasContacts: settings.contacts.length > 0 || HashMap.size(facts.remembered) > 0
})

/** Who does not ask the fleet for the time has nothing to compare a stamp with. */
const cellConfig = ({ clock, guard, self }: Settings): NodeClock.Config => ({
  node: self.id,
  guard: {
    ...Guard.defaults,
    ...guard,
    ...((clock?.source ?? Clock.defaults.source) === "own" && { policy: "accept" })
  },
  time: clock?.time ?? EffectiveTime.defaults
})

const seedOf = (rng: Rng.Rng): number => Rng.nextInt(rng, 2 ** 31)[0]

const factsConfig = (settings: Settings, wall: number): Facts.Config => ({
  ...Facts.defaults,
  ...settings.facts,
  self: { ...settings.self, name: settings.name, datacenter: settings.datacenter, labels: settings.labels },
  startedAt: wall
})
