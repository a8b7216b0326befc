/**
 * What the view manager speaks and remembers. `ViewManager` is the door to all of this; the types live here so that its
 * helpers need not import the door.
 */
import type { Machine, NodeId, Peer, Rng } from "@starling/machine"
import type * as HashMap from "effect/HashMap"

export type Event =
  | Machine.ShellEvent<Message, Timer>
  | { readonly _tag: "Started" }
  | { readonly _tag: "Remembered"; readonly peers: ReadonlyArray<Peer.Peer> }
  | {
      readonly _tag: "Integrate"
      readonly received: ReadonlyArray<Peer.Peer>
      readonly sent: ReadonlyArray<Peer.Peer>
    }
  | { readonly _tag: "Leave" }

export type Cause = "closed" | "refused" | "timeout" | "left" | "evicted" | "replaced"

export type Output =
  | {
      readonly _tag: "Views"
      readonly version: number
      readonly active: ReadonlyArray<Machine.Neighbor>
      readonly passive: ReadonlyArray<Peer.Peer>
      readonly news: "both" | "passive"
    }
  | { readonly _tag: "NeighborUp"; readonly neighbor: Machine.Neighbor }
  | {
      readonly _tag: "NeighborDown"
      readonly peer: Peer.Peer
      readonly link: Machine.LinkId
      readonly cause: Exclude<Cause, "refused">
    }
  | { readonly _tag: "NeighborRefused"; readonly peer: Peer.Peer; readonly cause: "refused" }

export type Action = Machine.Action<Message, Timer, Output>

export type DisconnectReason = "evicted" | "replaced" | "left" | "asymmetric"

/** The component a node believes to be in: its lowest node, and how often that node has been heard to live. */
export interface Label {
  readonly leader: Peer.Peer["id"]
  readonly incarnation: number
  readonly beat: number
  /** The label has not changed its leader for `labelStableMs`. */
  readonly stable: boolean
  /** It took the place of another that had been stable, and whose leader still lives: two components became one. */
  readonly merged?: true
}

/**
 * Paper, §4.3: `high` from a node without neighbours, always accepted; `low` accepted if there is a free slot. Ours:
 * `split` from a node with two free slots that was refused again and again. The one asked may evict a neighbour for it,
 * who is told of the newcomer and takes its second slot: one link becomes two and nobody has fewer.
 */
export type Priority = "high" | "low" | "split"

/**
 * What a request asks for beside a free slot; an older node takes it for a plain request of low priority.
 *
 * - `Near`: a near slot. `rttMs` is the round trip that the sender measured, null if it did not.
 * - `Swap`: the sender gives up its neighbour `gives` for this link. Who is asked gives up one of its own, and the two
 *   left over are told of each other: two links become two others, and nobody has fewer. `cross`: to gain a link between
 *   two data centres.
 */
export type Wish =
  | { readonly _tag: "Near"; readonly rttMs: number | null }
  | { readonly _tag: "Swap"; readonly gives: Peer.Peer; readonly cross: boolean }

export type Message =
  | { readonly _tag: "Join"; readonly peer: Peer.Peer }
  | { readonly _tag: "ForwardJoin"; readonly peer: Peer.Peer; readonly ttl: number }
  | { readonly _tag: "Neighbor"; readonly peer: Peer.Peer; readonly priority: Priority; readonly wish?: Wish }
  | {
      readonly _tag: "NeighborReply"
      readonly accepted: boolean
      readonly sample: ReadonlyArray<Peer.Peer>
      /** The first of the sample was refused, or evicted for a swap, a moment ago: it has a free slot. */
      readonly hinted: boolean
      /** Who asks was expelled lately because it took no more frames. An older node skips this. */
      readonly slow?: true
    }
  | { readonly _tag: "Disconnect"; readonly reason: DisconnectReason; readonly sample: ReadonlyArray<Peer.Peer> }
  | { readonly _tag: "Ping"; readonly seq: number; readonly claim: boolean; readonly label: Label }
  | { readonly _tag: "Pong"; readonly seq: number; readonly claim: boolean; readonly label: Label }
  | {
      readonly _tag: "Probe"
      readonly peer: Peer.Peer
      readonly label: Label
      readonly sample: ReadonlyArray<Peer.Peer>
    }
  | { readonly _tag: "ProbeReply"; readonly label: Label; readonly sample: ReadonlyArray<Peer.Peer> }

export type Timer =
  | { readonly _tag: "Tick"; readonly round: number }
  | { readonly _tag: "Repair"; readonly round: number }

/** Everything in the configuration that has a default. */
export interface Settings {
  /** Unbiased links a node keeps: log10(n) + c with c = 1. Paper, §4.1 and §5.1: 5 at n = 10,000. */
  readonly activeMax: number
  /** Known peers in reserve: k(log10(n) + c) with k = 6. Paper, §5.1: 30. */
  readonly passiveMax: number
  /**
   * Links a node in a data centre keeps beside those to others of it, once it has heard of a second one. It accepts one
   * more. Our choice, as GoCast and episub split their views; 0 keeps the paper's overlay.
   */
  readonly nearMax: number
  /** Links to other data centres that a node sees to among its unbiased ones. Our choice; 0 keeps the paper's overlay. */
  readonly farMin: number
  /** Period in which a node looks after its near links and those to other data centres. Our choice. */
  readonly upkeepMs: number
  /** A near link gives way only to one whose round trip is at most this share of its own. Our choice. */
  readonly nearGain: number
  /** How long a near link is kept before its round trip is believed. Our choice: eight keepalives, as corrosion counts. */
  readonly nearSettledMs: number
  /** Hops of a ForwardJoin (active random walk length). Paper, §5.1: 6. */
  readonly arwl: number
  /** Hops left when a ForwardJoin leaves the newcomer in a passive view. Paper, §5.1: 3. */
  readonly prwl: number
  /** Peers in a sample beside a refusal or a goodbye. Our choice: as many as a shuffle carries (paper, §5.1: 8). */
  readonly sampleMax: number
  /** Period of the keepalive, milliseconds. Our choice: idle links break in silence, and a broadcast may be rare. */
  readonly keepaliveMs: number
  /** A neighbour silent for this long is given up. Our choice: four keepalives may be late. */
  readonly silenceMs: number
  /** How long a dial, or an answer to a request, is waited for. Our choice: one lost SYN and its repetition. */
  readonly handshakeMs: number
  /** A link that nobody made a neighbour's is closed after this. Our choice: enough for one shuffle reply. */
  readonly idleMs: number
  /** The views are told again this often, so that a lost change heals. Our choice. */
  readonly snapshotMs: number
  /** Mean pause before a free slot is filled; drawn from 0..2x. Our choice: neighbours of a dead node do not march. */
  readonly repairMs: number
  /** A peer that refused is not asked again for this long, doubled twice if it refuses again. Our choice. */
  readonly refusedMs: number
  /** Refusals in a row after which a node with two free slots asks to split a link. Our choice. */
  readonly splitAfter: number
  /** First pause after all known addresses were tried in vain, doubled up to `rejoinMaxMs`. Our choice. */
  readonly rejoinMinMs: number
  readonly rejoinMaxMs: number
  /** A peer that closed the link on us is not picked for this long. Our choice: its view has settled by then. */
  readonly cooldownMs: number
  /**
   * A peer that was expelled for taking no more frames is not asked for this long, and refused unless it has nobody else;
   * told so, it does not ask either (paper, §5.5). Our choice: three shuffles.
   */
  readonly slowMs: number
  /**
   * A peer that could not be dialled is not taken into the passive view for this long, unless a link to it comes up. Our
   * choice: as long as its id may come back with other nodes' shuffles.
   */
  readonly deadMs: number
  /** How long a run of a node that left or was superseded stays barred. Our choice: longer than its id can circulate. */
  readonly tombstoneMs: number
  /** Period of the probe of a known address outside both views. Our choice. */
  readonly probeMs: number
  /** Refill time of one eviction for the sake of a Join, a walk's end or a merge. Our choice: four a second. */
  readonly forcedMs: number
  /** Evictions of that kind that may come at once. Our choice. */
  readonly forcedBurst: number
  /** Swaps of each node after two components became one. Our choice, measured: a link is swapped about twice; 0 for none. */
  readonly remixSwaps: number
  /**
   * Mean pause between two of them. Our choice: one and a half shuffles, so that passive views mix as well, and longer than
   * a tree over the links takes to grow again: with 5 s agents sent each other several times as much for a minute.
   */
  readonly remixMs: number
  /** A component label not refreshed for this long is dropped. Our choice: 20 keepalives, several diameters. */
  readonly labelMs: number
  /** A label must have had one leader for this long before two labels are taken for two components. Our choice. */
  readonly labelStableMs: number
}

export interface Config extends Settings {
  readonly self: Peer.Peer
  /** Addresses (`host:port`) given by the operator. Tried for ever, in random order, when nothing better is known. */
  readonly contacts: ReadonlyArray<string>
}

/**
 * What a link is to this node. `asked`: our request is under way and holds a slot. `courting`: it asked for a near slot.
 * `swapping`: it takes the place of the neighbour on the link `gives`.
 */
export type Role = "idle" | "asked" | "courting" | "swapping" | "probing" | "active"

export interface Link {
  readonly link: Machine.LinkId
  readonly peer: Peer.Peer
  readonly role: Role
  /** Since when it has this role. */
  readonly since: Machine.Instant
  readonly heardAt: Machine.Instant
  readonly pingSeq: number
  /** When the ping `pingSeq` left, or null if it is answered. */
  readonly pingAt: Machine.Instant | null
  readonly rttMs: number | null
  /** The neighbour's link that ends if this one is accepted. */
  readonly gives?: Machine.LinkId
}

/**
 * Why a dial is under way. `fill` holds a slot; `swap` ends a ForwardJoin at a full node; `verify` looks whether a lost
 * neighbour still listens; `probe` looks for another component; `near` asks for a near slot; `cross` swaps a link for
 * one to another data centre, `mix` for one to anybody.
 */
export type Purpose = "fill" | "swap" | "verify" | "probe" | "near" | "cross" | "mix"

export interface Attempt {
  readonly attempt: number
  readonly address: string
  /** Whom we expect there, if the address came with a peer. */
  readonly peer: Peer.Peer | undefined
  readonly purpose: Purpose
  /** The address came from the last resort: a remembered peer or a contact, hence a Join if we are isolated. */
  readonly lastResort: boolean
  readonly at: Machine.Instant
}

/** A neighbour whose link broke without a goodbye. */
export interface Lost {
  readonly peer: Peer.Peer
  /** It was dialled once more, or is being dialled. */
  readonly verified: boolean
  /** Its host answered that nobody listens, and we said so. */
  readonly refused: boolean
  /** It fell silent, as it does when the net between us is cut. */
  readonly silent: boolean
  readonly at: Machine.Instant
}

/**
 * Not to be picked before `until`. `refused`: had no slot; `cooling`: closed the link on us; `dead`: could not be
 * dialled, and is not taken into the passive view either; `slow`: one of us was expelled by the other for taking no more
 * frames.
 */
export interface Pause {
  readonly id: NodeId.NodeId
  readonly incarnation: number
  readonly kind: "refused" | "cooling" | "dead" | "slow"
  /** Of `slow`: it expelled us, and said so. Then it may come back when it likes. */
  readonly told?: true
  readonly strikes: number
  readonly until: Machine.Instant
}

/** Runs of a node below `incarnation` are barred until `until`. */
export interface Floor {
  readonly incarnation: number
  readonly until: Machine.Instant
}

export interface Counters {
  readonly joins: number
  readonly accepted: number
  readonly refusedOthers: number
  readonly refusedByOthers: number
  readonly evictions: number
  readonly dials: number
  readonly dialFailures: number
  readonly handshakeTimeouts: number
  readonly silent: number
  readonly asymmetric: number
  readonly violations: number
  readonly strayFrames: number
  readonly barred: number
  readonly linksRefused: number
  readonly stalls: number
  readonly merges: number
  readonly floorsDropped: number
  /** Pauses that were not over yet when others took their room. */
  readonly pausesDropped: number
  /** Swaps that this node asked for and got. */
  readonly swaps: number
  /** Near links that gave way to nearer ones. */
  readonly nearer: number
  /** Neighbours expelled because they took no more frames. */
  readonly slow: number
  /** Requests of such, refused with that reason. */
  readonly slowRefused: number
}

export interface State {
  readonly config: Config
  readonly rng: Rng.Rng
  readonly started: boolean
  readonly leaving: boolean
  /** This state was rebuilt: its numbers stay clear of its predecessor's, even within one millisecond. */
  readonly rebuilt: boolean
  /** Number of the last `Views`. */
  readonly version: number
  readonly viewsAt: Machine.Instant
  readonly active: ReadonlyArray<Machine.Neighbor>
  readonly passive: ReadonlyArray<Peer.Peer>
  /** By number, ascending. */
  readonly links: ReadonlyArray<Link>
  readonly attempts: ReadonlyArray<Attempt>
  readonly lastAttempt: number
  readonly remembered: ReadonlyArray<Peer.Peer>
  readonly lost: ReadonlyArray<Lost>
  /** Peers likely to have a free slot, told by who evicted or refused us; tried first. */
  readonly hints: ReadonlyArray<NodeId.NodeId>
  /** Peers that we refused lately, so they have a free slot: told to the next one that we refuse. */
  readonly seekers: ReadonlyArray<{ readonly peer: Peer.Peer; readonly until: Machine.Instant }>
  readonly pauses: ReadonlyArray<Pause>
  readonly floors: HashMap.HashMap<NodeId.NodeId, Floor>
  /** Who was found behind a contact's address. */
  readonly contactIds: ReadonlyArray<readonly [address: string, id: NodeId.NodeId]>
  readonly tick: { readonly round: number; readonly due: Machine.Instant }
  readonly repair: {
    readonly round: number
    readonly due: Machine.Instant
    readonly armed: boolean
    /** Refusals in a row. */
    readonly refusals: number
  }
  /** The round through all last-resort addresses. */
  readonly resort: {
    readonly tried: ReadonlyArray<string>
    readonly failures: number
    readonly notBefore: Machine.Instant
  }
  readonly probeAt: Machine.Instant
  /** Swaps that this node still owes after a merge, and when the next is due. */
  readonly remix: { readonly left: number; readonly at: Machine.Instant }
  /** A node of another data centre was heard of. */
  readonly isApart: boolean
  /** Others of this data centre, for near slots. */
  readonly nearby: ReadonlyArray<Peer.Peer>
  readonly upkeepAt: Machine.Instant
  /** When to look for another data centre next, and how often that was in vain. */
  readonly cross: { readonly notBefore: Machine.Instant; readonly failures: number }
  readonly forced: { readonly tokens: number; readonly at: Machine.Instant }
  readonly label: Label & { readonly since: Machine.Instant; readonly heardAt: Machine.Instant }
  /** The last leader given up on, with its last beat: an echo of it proves nothing. */
  readonly deadLabel: Label | undefined
  readonly counters: Counters
}
