/**
 * The six components of a member, and what each speaks.
 *
 * This table is the only place that knows all of them by type. `Wiring` says who hears whom, `Member` runs them as one
 * machine, and the agent runs each as an actor of its own.
 *
 * @since 0.1.0
 */
import { Clock, type Hlc, NodeClock, type Stamp } from "@starling/clock"
import { Facts } from "@starling/fleet"
import { BroadcastTree, LazyPushRepair, Shuffler, ViewManager } from "@starling/gossip"
import type { Codec, Machine } from "@starling/machine"

/** @since 0.1.0 @category models */
export type Component = "view-manager" | "shuffler" | "broadcast-tree" | "lazy-push-repair" | "clock" | "facts"

/** In the order in which a member starts them. @since 0.1.0 */
export const components: ReadonlyArray<Component> = [
  "clock",
  "facts",
  "broadcast-tree",
  "lazy-push-repair",
  "shuffler",
  "view-manager"
]

/**
 * The channel on which a component's frames travel. Numbers are for ever: a new component takes a new one. Channel 0
 * belongs to the link itself.
 *
 * @since 0.1.0
 */
export const channels: Readonly<Record<Component, number>> = {
  "view-manager": 1,
  shuffler: 2,
  "broadcast-tree": 3,
  "lazy-push-repair": 4,
  clock: 5,
  facts: 6
}

/** The component whose frames travel on a channel, or undefined. @since 0.1.0 */
export const ofChannel = (channel: number): Component | undefined =>
  components.find((component) => channels[component] === channel)

/** What a component is made of. @since 0.1.0 @category models */
export interface Types {
  readonly "view-manager": {
    readonly state: ViewManager.State
    readonly event: ViewManager.Event
    readonly message: ViewManager.Message
    readonly timer: ViewManager.Timer
    readonly output: ViewManager.Output
    readonly input: Machine.Input<ViewManager.Event>
  }
  readonly shuffler: {
    readonly state: Shuffler.State
    readonly event: Shuffler.Event
    readonly message: Shuffler.Message
    readonly timer: Shuffler.Timer
    readonly output: Shuffler.Output
    readonly input: Machine.Input<Shuffler.Event>
  }
  readonly "broadcast-tree": {
    readonly state: BroadcastTree.State
    readonly event: BroadcastTree.Event
    readonly message: BroadcastTree.Message
    readonly timer: BroadcastTree.Timer
    readonly output: BroadcastTree.Output
    readonly input: Machine.Input<BroadcastTree.Event>
  }
  readonly "lazy-push-repair": {
    readonly state: LazyPushRepair.State
    readonly event: LazyPushRepair.Event
    readonly message: LazyPushRepair.Message
    readonly timer: LazyPushRepair.Timer
    readonly output: LazyPushRepair.Output
    readonly input: Machine.Input<LazyPushRepair.Event>
  }
  readonly clock: {
    readonly state: Clock.State
    readonly event: Clock.Event
    readonly message: Clock.Message
    readonly timer: Clock.Timer
    readonly output: Clock.Output
    readonly input: Clock.Input
  }
  readonly facts: {
    readonly state: Facts.State
    readonly event: Facts.Event
    readonly message: Facts.Message
    readonly timer: Facts.Timer
    readonly output: Facts.Output
    readonly input: Facts.Input
  }
}

/** @since 0.1.0 @category models */
export type StateOf<C extends Component> = Types[C]["state"]
/** @since 0.1.0 @category models */
export type EventOf<C extends Component> = Types[C]["event"]
/** @since 0.1.0 @category models */
export type MessageOf<C extends Component> = Types[C]["message"]
/** @since 0.1.0 @category models */
export type TimerOf<C extends Component> = Types[C]["timer"]
/** @since 0.1.0 @category models */
export type OutputOf<C extends Component> = Types[C]["output"]
/** @since 0.1.0 @category models */
export type InputOf<C extends Component> = Types[C]["input"]
/** @since 0.1.0 @category models */
export type ActionOf<C extends Component> = Machine.Action<MessageOf<C>, TimerOf<C>, OutputOf<C>>

/**
 * A component's code: the same for the actor, the simulator and the tests.
 *
 * `input` adds what the component's input carries beside time and event; it may draw a stamp, hence the reading.
 *
 * @since 0.1.0
 * @category models
 */
export interface Spec<C extends Component> {
  readonly step: (state: StateOf<C>, input: InputOf<C>) => Machine.Step<StateOf<C>, ActionOf<C>>
  readonly encode: (message: MessageOf<C>) => ReadonlyArray<unknown>
  readonly decode: Codec.Decoder<MessageOf<C>>
  readonly invariants: (state: StateOf<C>) => ReadonlyArray<string>
  readonly input: (event: EventOf<C>, at: Moment) => InputOf<C>
  /** What the component is told instead, if this message may be left out on a link whose queue is long; else undefined. */
  readonly shed?: (link: Machine.LinkId, message: MessageOf<C>) => EventOf<C> | undefined
}

/**
 * When something happens to a component: `now` on the monotonic clock, `wall` in milliseconds since 1970 as the machine
 * shows it, and what the clock cell holds. `stamp` draws a fresh stamp from the cell, of now or of a moment that had to
 * wait; only facts ask for one.
 *
 * @since 0.1.0
 * @category models
 */
export interface Moment {
  readonly now: Machine.Instant
  readonly wall: number
  readonly reading: Hlc.Reading
  readonly stamp: (occurred?: Machine.Instant) => Stamp.Stamp
}

/** What had to wait bears the stamp, and the wall, of when it happened. */
const factsInput = (event: Facts.Event, at: Moment): Facts.Input => {
  const occurred = "at" in event ? event.at : undefined
  const wall = occurred === undefined ? at.wall : NodeClock.momentOf(at, occurred).wall
  return { now: at.now, event, wall, stamp: at.stamp(occurred) }
}

/** @since 0.1.0 */
export const specs: { readonly [C in Component]: Spec<C> } = {
  "view-manager": { ...ViewManager, input: (event, at) => ({ now: at.now, event }) },
  shuffler: { ...Shuffler, input: (event, at) => ({ now: at.now, event }) },
  "broadcast-tree": {
    ...BroadcastTree,
    input: (event, at) => ({ now: at.now, event }),
    // Who is slow is told of a broadcast, and asks for it when it can.
    shed: (link, message) => (message._tag === "Gossip" ? { _tag: "Shed", link, id: message.id } : undefined)
  },
  "lazy-push-repair": { ...LazyPushRepair, input: (event, at) => ({ now: at.now, event }) },
  clock: { ...Clock, input: (event, at) => ({ now: at.now, event, wall: at.wall, reading: at.reading }) },
  facts: { ...Facts, input: factsInput }
}

/**
 * Whether data were refused since a later version may say more than this one understands: such a frame is counted and dropped,
 * and any other refusal ends its link.
 *
 * @since 0.1.0
 */
export const isUnknownKind = (decoded: Codec.Decoded<unknown>): boolean =>
  !decoded.ok && decoded.reason.startsWith("unknown kind")
