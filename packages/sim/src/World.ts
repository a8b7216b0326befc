/**
 * A world for any machine: nodes in virtual time, with links, disks and wall clocks that fail as real ones do.
 *
 * Give it the machine you would run on a host, and it runs a thousand of them in one thread. All chance comes from one
 * seed: the same seed, the same joins and the same faults give the same history to the last event (`history` is its
 * digest), so a failure that one seed found is replayed by that seed.
 *
 * What nodes may rely on is what the shell of an agent promises (`Machine.ShellEvent`, `Machine.Action`), and no more:
 *
 * - A **link** behaves as TCP does. Frames arrive in order and without gaps, or the link ends. Each end learns of a
 *   close in its own time, and what it sends until then is lost in silence.
 * - A **cut** is silent. Frames wait for it to heal, as TCP sends again what is not acknowledged; no end is told. A dial
 *   hangs, then is `Unreachable`.
 * - A **crash** closes links (`reset`), or does not even do that (`silent`: the host is gone; peers wait for ever, and
 *   are reset when the host is back and they had sent something).
 * - A **disk** has latency. What was not yet durable at a crash is lost, but for a first part that reached it unnoticed.
 * - A **wall clock** is the node's own: it has a skew, may drift and jump. `now` is monotonic, and shared.
 *
 * Frames of one link never overtake each other, as on TCP; frames of different links do, and so do those of a node's former
 * and present link.
 *
 * ```ts
 * const world = World.make<MyProtocol>({ seed: 7 })
 * World.join(world, { id: "00000000000a", incarnation: 1, address: "a:1" }, (boot) => MyMachine.make(boot.stored), {
 *   started: [{ _tag: "Started" }]
 * })
 * World.run(world, 60_000)
 * ```
 *
 * The world itself is mutable; the machines in it are values.
 *
 * @since 0.1.0
 */
import { type Machine, type NodeId, type Peer, Rng } from "@starling/machine"
import * as Agenda from "./internal/agenda.ts"
import { type Core, enter, type Host, tell } from "./internal/core.ts"
import * as Digest from "./internal/digest.ts"
import * as Fork from "./internal/fork.ts"
import { defaults } from "./internal/model.ts"
import type { Boot, Counters, JoinOptions, Observer, Options, Program, Protocol, Weather } from "./internal/model.ts"
import * as Links from "./internal/network.ts"
import * as Process from "./internal/process.ts"

export { defaults } from "./internal/model.ts"
export type {
  Action,
  Boot,
  Booted,
  Counters,
  Disk,
  Event,
  Input,
  JoinOptions,
  Network,
  Observer,
  Occasion,
  Options,
  Program,
  Protocol,
  Weather
} from "./internal/model.ts"

/** Opaque: read it and change it with the functions of this module. @since 0.1.0 @category models */
export interface World<P extends Protocol> {
  /** @internal */
  readonly core: Core<P>
}

/** An empty world at virtual time 0. @since 0.1.0 @category constructors */
export const make = <P extends Protocol>(options: Options<P>): World<P> => {
  const core: Core<P> = {
    dispatch: (run, event) => Process.dispatch(core, run, event),
    seed: String(options.seed),
    network: { ...defaults.network, ...options.network },
    disk: { ...defaults.disk, ...options.disk },
    observer: options.observer ?? {},
    wallBase: options.wallBase ?? defaults.wallBase,
    digestLeavesMax: options.digestLeavesMax ?? defaults.digestLeavesMax,
    instantEventsMax: options.instantEventsMax ?? defaults.instantEventsMax,
    agenda: Agenda.make(),
    digest: Digest.make(),
    counters: {
      events: 0,
      outputs: 0,
      frames: 0,
      dropped: 0,
      duplicated: 0,
      garbled: 0,
      resets: 0,
      overflows: 0,
      violations: 0,
      dials: 0,
      dialsFailed: 0,
      writes: 0,
      writesLost: 0,
      crashes: 0
    },
    hosts: new Map(),
    byAddress: new Map(),
    cuts: 0,
    stalled: new Set(),
    rng: Rng.make(`${options.seed}/world`),
    now: 0
  }
  return { core }
}

/**
 * A second world with the same past, that goes its own way: settle a fleet once, then try one fault after the other on
 * it. Without `alter` it has the same future too, as long as nothing else is done to it. `alter` changes what every node
 * holds, for instance a setting of its machine. Throws if a call of `at` is still ahead.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fork = <P extends Protocol>(
  world: World<P>,
  options: { readonly observer?: Observer<P>; readonly alter?: (state: P["state"]) => P["state"] } = {}
): World<P> => ({ core: Fork.fork(world.core, options.observer ?? {}, options.alter) })

// ---------------------------------------------------------------------------------------------------------------------
// Nodes
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Adds a node with an empty disk and starts it. Its id and its address must be new to the world.
 *
 * @since 0.1.0
 */
export const join = <P extends Protocol>(
  world: World<P>,
  peer: Peer.Peer,
  program: Program<P>,
  options: JoinOptions<P> = {}
): void => {
  const { core } = world
  if (core.hosts.has(peer.id)) throw new Error(`the world has a node ${peer.id} already`)
  if (core.byAddress.has(peer.address)) throw new Error(`the world has a node at ${peer.address} already`)
  enroll(core, {
    id: peer.id,
    peerId: peer.id,
    program,
    started: options.started ?? [],
    driftPpm: options.driftPpm ?? 0,
    datacenter: peer.datacenter ?? "",
    skewMs: options.skewMs ?? 0,
    address: peer.address,
    incarnation: peer.incarnation,
    tables: new Map()
  })
}

/**
 * Starts a second node with the id, the incarnation and a copy of the disk of one that runs: a copied machine. In the world
 * it goes by the id `as`. False if there is nothing to copy, or its id or address are taken.
 *
 * @since 0.1.0
 */
export const twin = <P extends Protocol>(
  world: World<P>,
  id: NodeId.NodeId,
  as: { readonly id: NodeId.NodeId; readonly address: string }
): boolean => {
  const { core } = world
  const host = hostOf(world, id)
  if (host.run === undefined || core.hosts.has(as.id) || core.byAddress.has(as.address)) return false
  const tables = new Map([...host.tables].map(([table, rows]) => [table, new Map(rows)]))
  enroll(core, { ...host, ...as, tables })
  return true
}

/** What a host begins with; nothing has happened on it yet. */
type Newborn<P extends Protocol> = Pick<
  Host<P>,
  "id" | "peerId" | "program" | "started" | "datacenter" | "driftPpm" | "skewMs" | "address" | "incarnation" | "tables"
>

const enroll = <P extends Protocol>(core: Core<P>, newborn: Newborn<P>): void => {
  const { id, peerId, program, started, datacenter, driftPpm, skewMs, address, incarnation, tables } = newborn
  const host: Host<P> = {
    // What every step looks at stands together: a host takes several lines of the cache.
    index: core.hosts.size,
    driftPpm,
    skewMs,
    id,
    peerId,
    program,
    started,
    datacenter,
    address,
    incarnation,
    runs: 0,
    run: undefined,
    silent: false,
    blocked: new Set(),
    weather: new Map(),
    tables,
    unanswered: new Set(),
    diskBusyUntil: 0
  }
  core.hosts.set(host.id, host)
  core.byAddress.set(host.address, host)
  Process.boot(core, host)
}

/**
 * Ends the run of a node. `reset`: the process dies, and its host closes what it had open. `silent`: the host is gone,
 * and nobody is told. False if the node was not running.
 *
 * @since 0.1.0
 */
export const crash = <P extends Protocol>(
  world: World<P>,
  id: NodeId.NodeId,
  how: "reset" | "silent" = "reset"
): boolean => {
  const { run } = hostOf(world, id)
  if (run === undefined) return false
  Process.crash(world.core, run, how)
  return true
}

/**
 * Starts a node again, with the next incarnation and what its disk holds; `disk: "lost"` empties it first. False if the
 * node is running.
 *
 * @since 0.1.0
 */
export const restart = <P extends Protocol>(
  world: World<P>,
  id: NodeId.NodeId,
  options: { readonly disk?: "kept" | "lost"; readonly address?: string; readonly incarnation?: number } = {}
): boolean => {
  const { core } = world
  const host = hostOf(world, id)
  if (host.run !== undefined) return false
  if (options.address !== undefined && options.address !== host.address) {
    if (core.byAddress.has(options.address)) throw new Error(`the world has a node at ${options.address} already`)
    core.byAddress.delete(host.address)
    core.byAddress.set(options.address, host)
    host.address = options.address
  }
  if (options.disk === "lost") host.tables.clear()
  host.incarnation = options.incarnation ?? host.incarnation + 1
  Process.boot(core, host)
  return true
}

/**
 * Two nodes that are down swap their addresses: each will start at the other's. False if one is running.
 *
 * @since 0.1.0
 */
export const swapAddresses = <P extends Protocol>(
  world: World<P>,
  id: NodeId.NodeId,
  other: NodeId.NodeId
): boolean => {
  const { byAddress } = world.core
  const [one, two] = [hostOf(world, id), hostOf(world, other)]
  if (one.run !== undefined || two.run !== undefined) return false
  const { address } = one
  one.address = two.address
  two.address = address
  byAddress.set(one.address, one)
  byAddress.set(two.address, two)
  return true
}

/**
 * Stops a process without ending it (SIGSTOP, a long garbage collection, a suspended machine). Its links stay open and new
 * ones are accepted, but nothing is read, so that what is sent to it piles up under way; its timers wait, in order. On
 * `resume` it hears first what waited in it, then what waited to be read.
 *
 * @since 0.1.0
 */
export const pause = <P extends Protocol>(world: World<P>, id: NodeId.NodeId): void => {
  const host = hostOf(world, id)
  if (host.run === undefined || host.run.backlog !== undefined) return
  host.run.backlog = []
  Process.record(world.core, host, "pause")
}

/** @since 0.1.0 */
export const resume = <P extends Protocol>(world: World<P>, id: NodeId.NodeId): void => {
  const host = hostOf(world, id)
  if (host.run?.backlog === undefined) return
  Process.record(world.core, host, "resume")
  Process.resume(world.core, host.run)
}

/** Sets how far ahead the wall clock of a node is, beside what it drifts: it jumps. @since 0.1.0 */
export const setSkew = <P extends Protocol>(world: World<P>, id: NodeId.NodeId, skewMs: number): void => {
  hostOf(world, id).skewMs = skewMs
}

/** The wall clock of a node jumps ahead by so much, or back. @since 0.1.0 */
export const shiftClock = <P extends Protocol>(world: World<P>, id: NodeId.NodeId, byMs: number): void => {
  hostOf(world, id).skewMs += byMs
}

/**
 * From now on the wall clock of a node runs too fast by so many millionths; at -1,000,000 it stands still. It does not jump.
 *
 * @since 0.1.0
 */
export const setDrift = <P extends Protocol>(world: World<P>, id: NodeId.NodeId, driftPpm: number): void => {
  const host = hostOf(world, id)
  host.skewMs += (world.core.now * (host.driftPpm - driftPpm)) / 1_000_000
  host.driftPpm = driftPpm
}

/** What a node writes in the next `ms` becomes durable only after that. @since 0.1.0 */
export const stallDisk = <P extends Protocol>(world: World<P>, id: NodeId.NodeId, ms: number): void => {
  const host = hostOf(world, id)
  host.diskBusyUntil = Math.max(host.diskBusyUntil, world.core.now + ms)
}

/** Hands a command to a node, at this instant; false if it is not running. @since 0.1.0 */
export const inject = <P extends Protocol>(world: World<P>, id: NodeId.NodeId, command: P["command"]): boolean => {
  const { run } = hostOf(world, id)
  if (run === undefined) return false
  tell(world.core, run, command)
  return true
}

// ---------------------------------------------------------------------------------------------------------------------
// Links
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Cuts the network between two groups of nodes, in silence; "there" only from the first to the second.
 *
 * @since 0.1.0
 */
export const cut = <P extends Protocol>(
  world: World<P>,
  some: Iterable<NodeId.NodeId>,
  others: Iterable<NodeId.NodeId>,
  direction: "both" | "there" = "both"
): void => {
  for (const [from, to] of pairs(world, some, others)) {
    Links.block(world.core, from, to)
    if (direction === "both") Links.block(world.core, to, from)
  }
}

/** Heals every cut between two groups; what waited flows again after a while. @since 0.1.0 */
export const heal = <P extends Protocol>(
  world: World<P>,
  some: Iterable<NodeId.NodeId>,
  others: Iterable<NodeId.NodeId>
): void => {
  for (const [from, to] of pairs(world, some, others)) {
    Links.unblock(world.core, from, to)
    Links.unblock(world.core, to, from)
  }
}

/** @since 0.1.0 */
export const healAll = <P extends Protocol>(world: World<P>): void => {
  for (const host of world.core.hosts.values()) {
    for (const other of host.blocked) Links.unblock(world.core, host, other)
  }
}

/**
 * Resets the open links of a node, all or those to `other`. What is under way from it `arrives` before that, or is `lost`, as
 * if the reset came in the middle of a frame. Returns how many.
 *
 * @since 0.1.0
 */
export const resetLinks = <P extends Protocol>(
  world: World<P>,
  id: NodeId.NodeId,
  other?: NodeId.NodeId,
  underWay: "arrives" | "lost" = "arrives"
): number => {
  const ends = endsOf(world, id, other)
  for (const end of ends) Links.reset(world.core, end, underWay)
  return ends.length
}

/**
 * Makes the open links of a node to `other` half-open, as a router does that forgets them. `told`: this node hears of a reset,
 * and the other never does. `nobody`: both believe the link to be open, and nothing gets through. New links are as ever.
 * Returns how many.
 *
 * @since 0.1.0
 */
export const halfOpen = <P extends Protocol>(
  world: World<P>,
  id: NodeId.NodeId,
  other: NodeId.NodeId | undefined,
  who: "told" | "nobody"
): number => {
  const ends = endsOf(world, id, other)
  for (const end of ends) {
    if (who === "told") Links.forget(world.core, end)
    else Links.silence(end)
  }
  return ends.length
}

/**
 * Changes the weather between two groups of nodes, for the links there are and those to come; "there" only from the first to
 * the second. What is not given is as on all other links.
 *
 * @since 0.1.0
 */
export const setWeather = <P extends Protocol>(
  world: World<P>,
  some: Iterable<NodeId.NodeId>,
  others: Iterable<NodeId.NodeId>,
  weather: Partial<Weather>,
  direction: "both" | "there" = "both"
): void => {
  const { core } = world
  const { delayMs, duplicateShare, jitterMs, jitterTimes, lossShare, resetShare, tailMs } = core.network
  const changed: Weather = { delayMs, duplicateShare, jitterMs, jitterTimes, lossShare, resetShare, tailMs, ...weather }
  for (const [one, other] of pairs(world, some, others)) {
    for (const [from, to] of direction === "both" ? bothWays(one, other) : [[one, other] as const]) {
      from.weather.set(to, changed)
      Links.changeWeather(core, from, to)
    }
  }
}

/** The weather between two groups is as everywhere again, both ways. @since 0.1.0 */
export const clearWeather = <P extends Protocol>(
  world: World<P>,
  some: Iterable<NodeId.NodeId>,
  others: Iterable<NodeId.NodeId>
): void => {
  for (const [one, other] of pairs(world, some, others)) {
    for (const [from, to] of bothWays(one, other)) {
      if (from.weather.delete(to)) Links.changeWeather(world.core, from, to)
    }
  }
}

/** @since 0.1.0 */
export const clearAllWeather = <P extends Protocol>(world: World<P>): void => {
  for (const host of world.core.hosts.values()) {
    const others = [...host.weather.keys()]
    host.weather.clear()
    for (const other of others) Links.changeWeather(world.core, host, other)
  }
}

/**
 * Lets a frame come to `to` on a link of `from`, as if `from` had sent it: what a faulty or hostile node would send. False if
 * there is no open link.
 *
 * @since 0.1.0
 */
export const forge = <P extends Protocol>(
  world: World<P>,
  from: NodeId.NodeId,
  to: NodeId.NodeId,
  message: P["message"]
): boolean => {
  const end = openEnd(world, from, to)
  if (end?.run === undefined) return false
  Links.send(world.core, end.run, end.link, message)
  return true
}

/**
 * Lets come to `to` on a link of `from` what is no frame: behind what is under way, and then `to` closes the link for a
 * `violation`, as the shell of an agent does by itself. False if there is no open link.
 *
 * @since 0.1.0
 */
export const forgeRubbish = <P extends Protocol>(world: World<P>, from: NodeId.NodeId, to: NodeId.NodeId): boolean => {
  const end = openEnd(world, from, to)
  if (end === undefined) return false
  Links.sendRubbish(world.core, end)
  return true
}

// ---------------------------------------------------------------------------------------------------------------------
// Running
// ---------------------------------------------------------------------------------------------------------------------

/** Lets everything happen that falls before or on `untilMs`, then makes that the present. @since 0.1.0 */
export const run = <P extends Protocol>(world: World<P>, untilMs: number): void => {
  const { core } = world
  let ofInstant = 0
  for (let at = Agenda.nextAt(core.agenda); at <= untilMs; at = Agenda.nextAt(core.agenda)) {
    ofInstant = at > core.now ? 0 : ofInstant + 1
    if (ofInstant > core.instantEventsMax) {
      throw new Error(
        `seed ${core.seed}: more than ${core.instantEventsMax} events at ${core.now} ms; an endless loop?`
      )
    }
    core.now = Math.max(core.now, at)
    happen(core)
  }
  core.now = Math.max(core.now, untilMs)
}

/** `run`, counted from now. @since 0.1.0 */
export const pass = <P extends Protocol>(world: World<P>, ms: number): void => run(world, world.core.now + ms)

/**
 * Runs until `isTrue`, asked every `everyMs` (10 unless told), and returns true; or for `withinMs`, and returns what it
 * says then.
 *
 * @since 0.1.0
 */
export const runUntil = <P extends Protocol>(
  world: World<P>,
  isTrue: (world: World<P>) => boolean,
  options: { readonly withinMs: number; readonly everyMs?: number }
): boolean => {
  const end = world.core.now + options.withinMs
  while (!isTrue(world)) {
    if (world.core.now >= end) return false
    run(world, Math.min(end, world.core.now + (options.everyMs ?? 10)))
  }
  return true
}

/** Calls back at a virtual time, now at the earliest: for faults and commands in the middle of a run. @since 0.1.0 */
export const at = <P extends Protocol>(world: World<P>, atMs: number, call: (world: World<P>) => void): void =>
  enter(world.core, Math.max(atMs, world.core.now), { _tag: "Call", call: () => call(world) })

// ---------------------------------------------------------------------------------------------------------------------
// Looking
// ---------------------------------------------------------------------------------------------------------------------

/** Virtual milliseconds since the beginning. @since 0.1.0 */
export const now = <P extends Protocol>(world: World<P>): number => world.core.now

/** Sixteen hexadecimal digits over all that happened, in order. @since 0.1.0 */
export const history = <P extends Protocol>(world: World<P>): string => Digest.toText(world.core.digest)

/** @since 0.1.0 */
export const counters = <P extends Protocol>(world: World<P>): Counters => ({ ...world.core.counters })

/** Ids of all nodes, running or not, in the order of joining. @since 0.1.0 */
export const ids = <P extends Protocol>(world: World<P>): ReadonlyArray<NodeId.NodeId> => [...world.core.hosts.keys()]

/** Whether a node has joined, running or not. @since 0.1.0 */
export const has = <P extends Protocol>(world: World<P>, id: NodeId.NodeId): boolean => world.core.hosts.has(id)

/** The running nodes, with what they hold; a twin is `node` and says it is `peer`. @since 0.1.0 */
export const running = <P extends Protocol>(
  world: World<P>
): ReadonlyArray<{ readonly node: NodeId.NodeId; readonly peer: Peer.Peer; readonly state: P["state"] }> => {
  const out: Array<{ readonly node: NodeId.NodeId; readonly peer: Peer.Peer; readonly state: P["state"] }> = []
  for (const { id: node, run } of world.core.hosts.values()) {
    if (run !== undefined) out.push({ node, peer: run.peer, state: run.state })
  }
  return out
}

/** What a node holds, or undefined if it is not running. @since 0.1.0 */
export const state = <P extends Protocol>(world: World<P>, id: NodeId.NodeId): P["state"] | undefined =>
  hostOf(world, id).run?.state

/** A link as the node at this end sees it, though the other end may have finished it. @since 0.1.0 @category models */
export interface LinkView {
  readonly link: Machine.LinkId
  readonly peer: NodeId.NodeId
  /** The other end has it open, too. */
  readonly whole: boolean
}

/** The links that a node believes to be open. @since 0.1.0 */
export const links = <P extends Protocol>(world: World<P>, id: NodeId.NodeId): ReadonlyArray<LinkView> =>
  [...(hostOf(world, id).run?.links.values() ?? [])].map((end) => ({
    link: end.link,
    peer: end.other?.host.id ?? "",
    whole: end.phase === "open" && end.other?.phase === "open"
  }))

/** What is durable at a node. @since 0.1.0 */
export const disk = <P extends Protocol>(world: World<P>, id: NodeId.NodeId): Boot["stored"] => hostOf(world, id).tables

/** What the wall clock of a node shows. @since 0.1.0 */
export const wall = <P extends Protocol>(world: World<P>, id: NodeId.NodeId): number =>
  Process.wallOf(world.core, hostOf(world, id))

const happen = <P extends Protocol>(core: Core<P>): void => {
  const task = Agenda.pop(core.agenda)
  switch (task?._tag) {
    case "Arrival":
      return Links.onArrival(core, task)
    case "Timer":
      return Process.dispatch(core, task.run, { _tag: "TimerFired", timer: task.timer })
    case "Event":
      return Process.dispatch(core, task.run, task.event)
    case "Durable":
      return Process.onDurable(core, task.run)
    case "DialTimeout":
      return Links.onDialTimeout(core, task.end)
    case "Broken":
      return Links.onBroken(core, task.end)
    case "Call":
      return task.call()
  }
}

const hostOf = <P extends Protocol>(world: World<P>, id: NodeId.NodeId): Host<P> => {
  const host = world.core.hosts.get(id)
  if (host === undefined) throw new Error(`the world has no node ${id}`)
  return host
}

/** The links that a node believes to be open, all or those to `other`. */
const endsOf = <P extends Protocol>(world: World<P>, id: NodeId.NodeId, other: NodeId.NodeId | undefined) =>
  [...(hostOf(world, id).run?.links.values() ?? [])].filter(
    (end) => other === undefined || end.other?.host.id === other
  )

/** The first of its links to `other` that is open. */
const openEnd = <P extends Protocol>(world: World<P>, id: NodeId.NodeId, other: NodeId.NodeId) =>
  endsOf(world, id, other).find(({ phase }) => phase === "open")

const bothWays = <A>(one: A, other: A): ReadonlyArray<readonly [A, A]> => [
  [one, other],
  [other, one]
]

const pairs = <P extends Protocol>(
  world: World<P>,
  some: Iterable<NodeId.NodeId>,
  others: Iterable<NodeId.NodeId>
): ReadonlyArray<readonly [Host<P>, Host<P>]> => {
  const right = [...others].map((id) => hostOf(world, id))
  return [...some].flatMap((id) => right.map((to) => [hostOf(world, id), to] as const))
}
