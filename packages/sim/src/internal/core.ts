/**
 * What a world is made of. Everything here is mutable and belongs to one world; the machines inside it are values.
 */
import { type Machine, type Peer, Rng } from "@starling/machine"
import type { Action, Counters, Disk, Event, Input, Network, Observer, Program, Protocol, Weather } from "./model.ts"
import * as Agenda from "./agenda.ts"
import type * as Digest from "./digest.ts"

/** A machine of the world that may run a node: it has an address, a disk and a clock on the wall, and keeps them. */
export interface Host<P extends Protocol> {
  /** Its key in the world. */
  readonly id: string
  /** Who the node on it says it is; another host's id if it is a twin. */
  readonly peerId: string
  /** In the order of joining. */
  readonly index: number
  readonly program: Program<P>
  readonly started: ReadonlyArray<P["command"]>
  /** Empty if the node is in none. */
  readonly datacenter: string
  driftPpm: number
  skewMs: number
  address: string
  incarnation: number
  /** Runs so far. */
  runs: number
  run: Run<P> | undefined
  /** The host itself is gone: nothing is answered, not even that nobody listens. */
  silent: boolean
  /** Hosts that nothing of this one reaches. */
  readonly blocked: Set<Host<P>>
  /** How packets of this one fare on their way to others, where it is not as everywhere. */
  readonly weather: Map<Host<P>, Weather>
  readonly tables: Map<string, Map<string, unknown>>
  /** Ends at other hosts that sent something to a run that died in silence: they are reset when the host is back. */
  readonly unanswered: Set<End<P>>
  diskBusyUntil: number
}

/** One run of a node, from start to crash. */
export interface Run<P extends Protocol> {
  readonly host: Host<P>
  readonly peer: Peer.Peer
  readonly step: (state: P["state"], input: Input<P>) => Machine.Step<P["state"], Action<P>>
  state: P["state"]
  alive: boolean
  /** Events that wait for a process that is stopped; undefined while it runs. */
  backlog: Array<Event<P>> | undefined
  linksOpened: number
  readonly links: Map<Machine.LinkId, End<P>>
  readonly dialing: Set<End<P>>
  readonly writes: Array<{ readonly token: number; readonly rows: ReadonlyArray<Machine.StoreRow> }>
  durableAt: number
}

/**
 * - `dialing`: asked to open, not answered.
 * - `answering`: what a dial found at the other side, until a node takes it.
 * - `open`: up as far as this end knows.
 * - `broken`: the connection is reset and this end does not know yet.
 * - `down`: this end is finished; frames that still arrive are dropped.
 */
export type Phase = "dialing" | "answering" | "open" | "broken" | "down"

/**
 * One end of a connection, with the pipe that leads from it to the other end. On the agenda it stands for the arrival of
 * the first packet of its pipe. What every frame touches comes first: an end takes several lines of the cache.
 */
export interface End<P extends Protocol> {
  readonly _tag: "Arrival"
  phase: Phase
  link: Machine.LinkId
  run: Run<P> | undefined
  readonly host: Host<P>
  /** Undefined if nobody has the address that was dialled. */
  other: End<P> | undefined
  /** Travelling packets, in order, from the first to the last. */
  first: Packet<P> | undefined
  last: Packet<P> | undefined
  travelling: number
  /** The agenda holds the arrival of the first packet. */
  scheduled: boolean
  /** Nothing gets through any more, in silence. */
  mute: boolean
  /** How packets fare on their way from here. */
  weather: Weather
  /** In 1/1024 ms: a whole number stands in the end itself, where a broken one is an object of its own, elsewhere. */
  readonly latency: number
  /** The run at this end died in silence: it owes the other end a reset. */
  orphaned: boolean
  readonly attempt: number
  readonly address: string
}

/** Something on its way. */
export type Packet<P extends Protocol> = Content<P> & {
  /** When it arrives: not before the one ahead of it. */
  readonly at: number
  /** The one behind it. */
  next: Packet<P> | undefined
}

export type Content<P extends Protocol> =
  | { readonly _tag: "Hello" }
  | { readonly _tag: "Welcome" }
  | { readonly _tag: "Refusal"; readonly failure: Machine.OpenFailure }
  | { readonly _tag: "Frame"; readonly message: P["message"] }
  /** What the receiver cannot read as a frame. */
  | { readonly _tag: "Rubbish" }
  | { readonly _tag: "Goodbye"; readonly reason: Machine.CloseReason }
  | { readonly _tag: "Reset" }

export type Task<P extends Protocol> =
  | End<P>
  | { readonly _tag: "Timer"; readonly run: Run<P>; readonly timer: P["timer"] }
  | { readonly _tag: "Event"; readonly run: Run<P>; readonly event: Event<P> }
  | { readonly _tag: "DialTimeout"; readonly end: End<P> }
  | { readonly _tag: "Durable"; readonly run: Run<P> }
  | { readonly _tag: "Broken"; readonly end: End<P> }
  | { readonly _tag: "Call"; readonly call: () => void }

export interface Core<P extends Protocol> {
  /** Steps a run. The network must not import what imports it. */
  dispatch: (run: Run<P>, event: Event<P>) => void
  readonly seed: string
  readonly network: Network<P>
  readonly disk: Disk
  readonly observer: Observer<P>
  readonly wallBase: number
  readonly digestLeavesMax: number
  readonly instantEventsMax: number
  readonly agenda: Agenda.Agenda<Task<P>>
  readonly digest: Digest.Digest
  readonly counters: { -readonly [K in keyof Counters]: number }
  readonly hosts: Map<string, Host<P>>
  readonly byAddress: Map<string, Host<P>>
  /** Pairs of hosts of which nothing of the first reaches the second. */
  cuts: number
  /** Ends whose first packet is held up by a cut, in the order in which they met it. */
  readonly stalled: Set<End<P>>
  rng: Rng.Rng
  now: number
}

/** A number in [0, 1) from the seed. */
export const draw = <P extends Protocol>(core: Core<P>): number => {
  const [unit, rng] = Rng.nextFloat(core.rng)
  core.rng = rng
  return unit
}

export const between = <P extends Protocol>(core: Core<P>, range: readonly [number, number]): number =>
  range[0] + draw(core) * (range[1] - range[0])

export const enter = <P extends Protocol>(core: Core<P>, at: number, task: Task<P>): void =>
  Agenda.push(core.agenda, at, task)

/** What a run hears next: after everything else that falls on this instant. */
export const tell = <P extends Protocol>(core: Core<P>, run: Run<P>, event: Event<P>): void =>
  enter(core, core.now, { _tag: "Event", run, event })
