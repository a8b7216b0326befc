/** What lazy-push repair is made of; `LazyPushRepair` says it to the outside. */
import type { LinkGate, Machine, NodeId, Peer, Rng, SeqSet } from "@starling/machine"
import type * as HashMap from "effect/HashMap"
import type * as BroadcastTree from "../BroadcastTree.ts"
import type * as MessageId from "../MessageId.ts"
import type * as Held from "./repairHeld.ts"
import type * as Missing from "./repairMissing.ts"
import type * as Alarm from "./treeAlarm.ts"
import type * as Queue from "./treeQueue.ts"

/**
 * What happens to repair. `Seen`, `Announce`, `Known`, `Late`, `Forgotten` and `Missed` are outputs of the broadcast tree; their order is
 * that in which it emits them. `Started` once; any other event starts the machine too.
 *
 * @since 0.1.0
 * @category models
 */
export type Event =
  | Machine.ShellEvent<Message, Timer>
  | { readonly _tag: "Started" }
  | { readonly _tag: "Neighbors"; readonly version: number; readonly neighbors: ReadonlyArray<Machine.Neighbor> }
  | Extract<BroadcastTree.Output, { readonly _tag: "Seen" | "Announce" | "Known" | "Late" | "Forgotten" | "Missed" }>

/** @since 0.1.0 @category models */
export type Action = Machine.Action<Message, Timer, Output>

/**
 * - `IHave`: broadcasts the sender has, with the hops they would have taken at the receiver, and for how many milliseconds
 *   the sender has had them (absent from older nodes).
 * - `Summary`: all broadcasts whose payload the sender still has, by origin and incarnation.
 *
 * @since 0.1.0
 * @category models
 */
export type Message =
  | { readonly _tag: "IHave"; readonly items: ReadonlyArray<Announcement> }
  | { readonly _tag: "Summary"; readonly windows: ReadonlyArray<SummaryWindow> }

/** @since 0.1.0 @category models */
export type Announcement = readonly [id: MessageId.MessageId, round: number, heldMs?: number]

/** @since 0.1.0 @category models */
export type SummaryWindow = readonly [origin: NodeId.NodeId, incarnation: number, seqs: SeqSet.SeqSet]

/**
 * `Dispatch`: send what is queued. `Repair`: ask for what is due. `Summarize`: send a summary. One of another number is
 * stale.
 *
 * @since 0.1.0
 * @category models
 */
export interface Timer {
  readonly _tag: "Dispatch" | "Repair" | "Summarize"
  readonly number: number
}

/**
 * For the broadcast tree. `Graft`: ask this neighbour for these broadcasts. `Shorter`: through this neighbour the broadcast
 * would have taken `round` hops, at least `optimizeHops` fewer than it took, and would have been here at `since`.
 *
 * @since 0.1.0
 * @category models
 */
export type Output =
  | { readonly _tag: "Graft"; readonly link: Machine.LinkId; readonly ids: ReadonlyArray<MessageId.MessageId> }
  | {
      readonly _tag: "Shorter"
      readonly link: Machine.LinkId
      readonly id: MessageId.MessageId
      readonly round: number
      readonly since: Machine.Instant
    }

/** @since 0.1.0 @category models */
export interface Settings {
  /** Announcements wait this long for company. Our choice, between iroh-gossip's 5 ms and riak_core's 1 s; T1 hides it. */
  readonly dispatchMs: number
  /** Announcements queued for one neighbour; the oldest make room. Our choice. */
  readonly queueMax: number
  /**
   * T1 of the paper, how long the tree may take after an announcement, before anything was measured; then twice the
   * spread that was measured. sile/plumtree's default.
   */
  readonly graftMs: number
  /** T1 at least. Our choice: several times `dispatchMs`, and a pause of the garbage collector. */
  readonly graftMinMs: number
  /** T1 at most. Our choice: as long as a summary takes to come. */
  readonly graftMaxMs: number
  /** T2 of the paper, how long an asked neighbour may take: half of T1 (iroh-gossip: 80, 40 ms; Babel: 1000, 500 ms), and at least this. */
  readonly regraftMs: number
  /** Hops that an announcer must save to become the parent. Paper, §3.8: 3 where each sender has a tree. */
  readonly optimizeHops: number
  /** Broadcasts known to be missing. n0-computer/iroh-gossip #135 proposes the same. */
  readonly missingMax: number
  /** A random neighbour gets a summary this often, spread by a fifth. Our choice. */
  readonly summaryMs: number
  /** Broadcasts wanted because of one frame of a summary. Our choice: the next summary brings the rest. */
  readonly wantedMax: number
  /** Broadcasts wanted because of one gap, the newest. Our choice: summaries bring the rest. */
  readonly gapMax: number
  /**
   * Origins, beside this node, of which it is known what was seen. Our choice, as of the tree; above, one of which nothing is
   * advertised gives way. With fewer than the tree's, what the tree could send is not all advertised, and what it has seen is
   * asked for: a member therefore takes at least the tree's.
   */
  readonly originsMax: number
}

/** @since 0.1.0 @category models */
export interface Config extends Settings {
  readonly self: Peer.Peer
}

/** Provenance stands with each field of `Settings`. @since 0.1.0 */
export const defaults: Settings = {
  dispatchMs: 50,
  queueMax: 10_000,
  graftMs: 500,
  graftMinMs: 250,
  graftMaxMs: 5000,
  regraftMs: 250,
  optimizeHops: 3,
  missingMax: 10_000,
  summaryMs: 5000,
  wantedMax: 1000,
  gapMax: 100,
  originsMax: 65_536
}

/** Announcements in one frame. Our choice: about 16 KiB. @since 0.1.0 */
export const itemsMax = 500

/** Origins in one frame of a summary. Our choice: at most a fifth of a frame of the wire. @since 0.1.0 */
export const summaryWindowsMax = 100

/**
 * Frames of one summary. Our choice: what 60 s of a busy fleet need; what does not fit is told first by the next summary,
 * whomever it goes to.
 *
 * @since 0.1.0
 */
export const summaryFramesMax = 40

/**
 * How often something happened. `late` broadcasts came along the tree after they had been asked for. `shed` announcements and
 * `missingShed` entries met a full table; `exhausted` broadcasts were given up because nobody who announced them could give
 * them; `stale` announcements were of forgotten payloads; `originsRefused` broadcasts are not remembered, since of `originsMax`
 * others payloads are held (never by the defaults).
 *
 * Bounds that were reached, too: `summariesCut` summaries did not tell of all that is held; of `wantedCut` frames of summaries
 * more than `wantedMax` was missing; `gapsCut` gaps were wider than `gapMax`; `heldCut` broadcasts are held and not advertised,
 * for the gaps or the newer runs of their origin; `asksShed` times nobody was asked at once, or T2 was not counted anew, since
 * too much had been asked for within it.
 *
 * @since 0.1.0
 * @category models
 */
export type Counters = Readonly<
  Record<
    | "announced"
    | "shed"
    | "stale"
    | "ihavesReceived"
    | "missingShed"
    | "gaps"
    | "grafts"
    | "exhausted"
    | "late"
    | "shorter"
    | "summariesSent"
    | "summariesReceived"
    | "summariesCut"
    | "wantedCut"
    | "gapsCut"
    | "heldCut"
    | "asksShed"
    | "originsRefused"
    | "storedRefused",
    number
  >
>

/** @since 0.1.0 @category models */
export interface State {
  readonly config: Config
  readonly rng: Rng.Rng
  readonly gate: LinkGate.LinkGate<Message>
  /** As the broadcast tree's: what must not be asked for. */
  readonly seen: BroadcastTree.Windows
  readonly held: Held.Held
  /** Among the origins of `held`, the one that the next summary begins with. It moves only where not all fit into one. */
  readonly summaryFrom: number
  /** One queue for each neighbour that has something to hear. */
  readonly queues: ReadonlyArray<{ readonly link: Machine.LinkId; readonly items: Queue.Queue<Queued> }>
  readonly missing: Missing.Missing
  /** How long after an announcement the tree brought what was announced. */
  readonly spread: Spread
  /** Hops of the last broadcast of each root, where they are so many that others may save some. */
  readonly depths: HashMap.HashMap<NodeId.NodeId, number>
  readonly alarms: Readonly<Record<Timer["_tag"], Alarm.Alarm>>
  readonly counters: Counters
}

/** The longest time in this minute, which began at `begun`, and in the one before. */
export interface Spread {
  readonly begun: Machine.Instant
  readonly longestMs: number
  readonly formerMs: number
}

export interface Queued {
  readonly id: MessageId.MessageId
  readonly round: number
  readonly at: Machine.Instant
}
