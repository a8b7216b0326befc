/** What a world is made of, and what it knows of the machines in it. `World` says it to the outside. */
import type { Machine, NodeId, Peer } from "@starling/machine"

/**
 * The types of the machine that runs: what it keeps, says to others, waits for, puts out, and hears beside the events
 * of the shell.
 *
 * @since 0.1.0
 * @category models
 */
export interface Protocol {
  readonly state: unknown
  readonly message: unknown
  readonly timer: unknown
  readonly output: unknown
  readonly command: { readonly _tag: string }
}

/** @since 0.1.0 @category models */
export type Event<P extends Protocol> = Machine.ShellEvent<P["message"], P["timer"]> | P["command"]

/** @since 0.1.0 @category models */
export type Action<P extends Protocol> = Machine.Action<P["message"], P["timer"], P["output"]>

/** `wall` is the node's own wall clock, in milliseconds since 1970. @since 0.1.0 @category models */
export interface Input<P extends Protocol> extends Machine.Input<Event<P>> {
  readonly wall: number
}

/** What a run of a node begins with. @since 0.1.0 @category models */
export interface Boot {
  readonly peer: Peer.Peer
  /** What is durable: tables, and in each the rows by key. */
  readonly stored: ReadonlyMap<string, ReadonlyMap<string, unknown>>
  readonly now: Machine.Instant
  readonly wall: number
  /** Different for every run of every node. */
  readonly seed: string
}

/** The machine of a run; `rows` are durable before its first event. @since 0.1.0 @category models */
export interface Booted<P extends Protocol> extends Machine.Machine<P["state"], Event<P>, Action<P>, Input<P>> {
  readonly rows?: ReadonlyArray<Machine.StoreRow>
}

/** Makes the machine of each run of a node. @since 0.1.0 @category models */
export type Program<P extends Protocol> = (boot: Boot) => Booted<P>

/**
 * How packets fare on their way. Nothing overtakes within a link: what is late holds up all behind it.
 *
 * - `delayMs`: added to the latency: a slow link.
 * - `jitterMs`: added to each packet, 0 to this.
 * - `jitterTimes`: each packet takes its link's latency 1 to this many times.
 * - `tailMs`: scale of a heavy tail that is added to each packet: half of them are later by 0.4 of this, one in a hundred by
 *   9 times, one in ten thousand by 99 times (a Pareto distribution of shape 2, from 0 to 100 times).
 * - `lossShare`: of the packets, which are lost on their way and sent again after `resendMs`, twice that, and so on.
 * - `resetShare`: of the frames, which tear their link instead of arriving: loss, as a process sees it.
 * - `duplicateShare`: of the frames, which arrive twice. TCP does not do this; a protocol may want to bear it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Weather {
  readonly delayMs: number
  readonly jitterMs: number
  readonly jitterTimes: number
  readonly tailMs: number
  readonly lossShare: number
  readonly resetShare: number
  readonly duplicateShare: number
}

/**
 * The weather on all links, as long as `setWeather` does not change it for some, and:
 *
 * - `latencyMs`: one way. Drawn once for each pair of nodes from a range, or given by ids (`Regions.latencyOf`).
 * - `dialTimeoutMs`: after that an unanswered dial is `Unreachable`.
 * - `resendMs`: how long after a cut healed what waited flows again.
 * - `queueMax`: packets that one end may have under way; one more and the link ends with `Overflow`.
 * - `admit`: refuses a dial in the handshake.
 * - `carry`: what a frame becomes on the wire, for instance through its codec and back; undefined: it is lost as garbage.
 *
 * @since 0.1.0
 * @category models
 */
export interface Network<P extends Protocol> extends Weather {
  readonly latencyMs: readonly [from: number, to: number] | ((from: NodeId.NodeId, to: NodeId.NodeId) => number)
  readonly dialTimeoutMs: number
  readonly resendMs: readonly [from: number, to: number]
  readonly queueMax: number
  readonly admit?: (
    host: Peer.Peer,
    guest: Peer.Peer
  ) => { readonly code: string; readonly message: string } | undefined
  readonly carry?: (message: P["message"]) => P["message"] | undefined
}

/** @since 0.1.0 @category models */
export interface Disk {
  readonly latencyMs: readonly [from: number, to: number]
  /** What a crash does to writes that are not yet durable: of a real disk one knows only that they are a first part. */
  readonly onCrash: "keep-some" | "lose-all"
}

/**
 * Our choices: links within a continent, one disk that syncs, and the bounds of an agent's link.
 *
 * @since 0.1.0
 */
export const defaults: Required<Omit<Options<Protocol>, "seed" | "network" | "disk" | "observer">> & {
  readonly network: Omit<Network<Protocol>, "admit" | "carry">
  readonly disk: Disk
} = {
  network: {
    latencyMs: [10, 50],
    delayMs: 0,
    jitterMs: 2,
    jitterTimes: 1,
    tailMs: 0,
    lossShare: 0,
    resetShare: 0,
    duplicateShare: 0,
    dialTimeoutMs: 3000,
    resendMs: [50, 1000],
    queueMax: 10_000
  },
  disk: { latencyMs: [1, 10], onCrash: "keep-some" },
  /** 2024-06-14T13:40:00Z. */
  wallBase: 1_718_372_400_000,
  digestLeavesMax: 64,
  instantEventsMax: 1_000_000
}

/** When and where something happens: at `node`, which says it is `peer`. They differ in a twin. @since 0.1.0 @category models */
export interface Occasion {
  readonly now: Machine.Instant
  readonly wall: number
  readonly node: NodeId.NodeId
  readonly peer: Peer.Peer
}

/**
 * Looks on. `step`: after each step, before its actions are carried out: the place for invariants. `output`: of each
 * `Emit`. An observer may crash the node it looks at; the actions that are left are then not carried out.
 *
 * @since 0.1.0
 * @category models
 */
export interface Observer<P extends Protocol> {
  readonly step?: (at: Occasion, event: Event<P>, state: P["state"], actions: ReadonlyArray<Action<P>>) => void
  readonly output?: (at: Occasion, output: P["output"]) => void
}

/** @since 0.1.0 @category models */
export interface Options<P extends Protocol> {
  readonly seed: number | string
  readonly network?: Partial<Network<P>>
  readonly disk?: Partial<Disk>
  readonly observer?: Observer<P>
  /** Milliseconds since 1970 when virtual time is 0. */
  readonly wallBase?: number
  /** How many numbers and texts of each event go into the digest of the history. */
  readonly digestLeavesMax?: number
  /** More events on one instant than this are taken for an endless loop. */
  readonly instantEventsMax?: number
}

/** @since 0.1.0 @category models */
export interface JoinOptions<P extends Protocol> {
  /** Heard first, at every start. */
  readonly started?: ReadonlyArray<P["command"]>
  /** How far ahead the wall clock of this node is; negative if behind. */
  readonly skewMs?: number
  /** By how many millionths the wall clock runs too fast. */
  readonly driftPpm?: number
}

/**
 * `dropped`: frames sent on a link that this end, or arrived at one that the other end, had finished. `garbled`: lost in
 * `carry`. `writesLost`: to crashes. `overflows`: links ended because `queueMax` was reached. `violations`: links that
 * their receiver ended because of what is no frame.
 *
 * @since 0.1.0
 * @category models
 */
export type Counters = Readonly<
  Record<
    | "events"
    | "outputs"
    | "frames"
    | "dropped"
    | "duplicated"
    | "garbled"
    | "resets"
    | "overflows"
    | "violations"
    | "dials"
    | "dialsFailed"
    | "writes"
    | "writesLost"
    | "crashes",
    number
  >
>
