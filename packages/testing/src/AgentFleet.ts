/**
 * Fleets of whole agents: real supervisors, mailboxes, links and codec over a network and disks in memory.
 *
 * Each member has a host on one `MemoryTransport` network and a disk that outlives its runs. What its application was
 * given is recorded here, through the same subscription that an application would use, over all its runs. Everything is
 * an Effect without promises, so that `SimRuntime` can run it in virtual time by a seed.
 *
 * @since 0.1.0
 */
import { Agent, Node, Store } from "@starling/agent"
import { MemoryTransport } from "@starling/wire"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import { Rng } from "@starling/machine"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Scheduler from "effect/Scheduler"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import { Gate } from "./internal/gate.ts"
import * as SimRuntime from "./SimRuntime.ts"

/** @since 0.1.0 @category models */
export interface Options {
  readonly size: number
  /** How many of the first members the others join at. Default 3. */
  readonly contacts?: number
  readonly datacenters?: number
  /** A write takes up to this long, by the seed. Default 20 ms, as a slow disk. */
  readonly diskMsMax?: number
  /** Of the weather. Default 0. */
  readonly seed?: number
  /** One way, between two members by their index, in whole milliseconds. Default 0. */
  readonly latencyMs?: (from: number, to: number) => number
  /** What differs from the others at a member. */
  readonly node?: (index: number) => Partial<Node.Options>
}

/** @since 0.1.0 @category models */
export interface AgentFleet {
  readonly options: Options
  readonly network: MemoryTransport.Network
  /** The next number in [0, 1) of those that weather is drawn from. */
  readonly draw: () => number
  readonly members: ReadonlyArray<Member>
  /** Second processes with the identity of a member, by name, also those that have ended. */
  readonly twins: Map<string, Member>
}

/** @since 0.1.0 @category models */
export interface Member {
  readonly index: number
  readonly name: string
  /** Where it is, or will be started the next time. */
  host: string
  address: string
  readonly disk: Disk
  /** Of the run under way. */
  run: Run | undefined
  /** A run begins, which takes as long as its disk. */
  isStarting: boolean
  /** Broadcast id to how often the application was given it, over all runs. */
  readonly delivered: Map<string, number>
  /** How far its wall clock is ahead of true time, beside what it has drifted. */
  skewMs: number
  /** How its wall clock drifts. */
  drift: Drift
  /** Ways that are cut since it crashed in silence. */
  silenced: ReadonlyArray<readonly [from: string, to: string]>
}

/**
 * A clock that runs too fast by so many millionths, since a moment of the monotonic clock; until then it had gained so much.
 *
 * @since 0.1.0
 * @category models
 */
export interface Drift {
  readonly ppm: number
  readonly sinceMs: number
  readonly gainedMs: number
}

/** @since 0.1.0 @category models */
export interface Run {
  readonly agent: Agent.Agent["Service"]
  readonly scope: Scope.Closeable
  /** Shut while the process stands still. */
  readonly gate: Gate
  /** How often it has stood still. */
  pauses: number
  /** Broadcast id to how often the application was given it in this run. */
  readonly delivered: Map<string, number>
  /** When it was given each first, in that order. */
  readonly givenAt: Map<string, number>
}

/**
 * What outlives a run.
 *
 * - `failing`: writes fail with this while it is set.
 * - `defect`: the next write dies with this, once: a fault of the store itself.
 * - `delayMs`: a write takes so much longer while it is set.
 *
 * @since 0.1.0
 * @category models
 */
export interface Disk {
  tables: Map<string, Map<string, unknown>>
  failing: Store.StoreError | undefined
  defect: unknown
  delayMs: number
  writes: number
}

/** @since 0.1.0 @category constructors */
export const make = (options: Options): AgentFleet => ({
  options,
  network: MemoryTransport.makeNetwork(
    options.latencyMs === undefined ? {} : { latencyMs: latencyOf(options.size, options.latencyMs) }
  ),
  draw: drawing(options.seed ?? 0),
  members: Array.from({ length: options.size }, (_, index) => newMember(index, addressOf(hostOf(index)), new Map())),
  twins: new Map()
})

const newMember = (index: number, address: string, tables: Disk["tables"]): Member => ({
  index,
  name: `n${index}`,
  host: address.slice(0, address.lastIndexOf(":")),
  address,
  disk: { tables, failing: undefined, defect: undefined, delayMs: 0, writes: 0 },
  run: undefined,
  isStarting: false,
  delivered: new Map(),
  skewMs: 0,
  drift: { ppm: 0, sinceMs: 0, gainedMs: 0 },
  silenced: []
})

const drawing = (seed: number): (() => number) => {
  let rng = Rng.make(`${seed}/weather`)
  return () => {
    const [unit, next] = Rng.nextFloat(rng)
    rng = next
    return unit
  }
}

/** The address of a member's host, for cuts. @since 0.1.0 */
export const hostOf = (index: number): string => `10.${index >> 16}.${(index >> 8) & 255}.${(index & 255) + 1}`

const addressOf = (host: string): string => `${host}:7740`

/** The data centre of a member: its index picks among `dc0`, `dc1` and so on, in turns. @since 0.1.0 */
export const datacenterOf = ({ options: { datacenters = 3 } }: AgentFleet, index: number): string =>
  `dc${index % datacenters}`

/** Starts a member, on the disk of its former runs. @since 0.1.0 @category running */
export const start = (
  fleet: AgentFleet,
  index: number,
  options: Partial<Node.Options> = {}
): Effect.Effect<Agent.Agent["Service"], Agent.StartError> =>
  Effect.suspend(() => startMember(fleet, at(fleet, index), options))

const startMember = (fleet: AgentFleet, member: Member, options: Partial<Node.Options>) =>
  Effect.suspend(() => {
    member.isStarting = true
    return Effect.ensuring(
      beginRun(fleet, member, options),
      Effect.sync(() => {
        member.isStarting = false
      })
    )
  })

const beginRun = Effect.fnUntraced(function* (
  fleet: AgentFleet,
  member: Member,
  options: Partial<Node.Options>
): Effect.fn.Return<Agent.Agent["Service"], Agent.StartError> {
  const { index } = member
  const scope = yield* Scope.make()
  const gate = new Gate()
  const { contacts = 3, size } = fleet.options
  const network = yield* Layer.buildWithScope(MemoryTransport.layer(fleet.network, member.host), scope)
  const layer = Node.layer({
    name: member.name,
    datacenter: datacenterOf(fleet, index),
    fleet: "test",
    labels: {},
    gossip: member.address,
    join: Array.from({ length: Math.min(contacts, size) }, (_, contact) => addressOf(hostOf(contact))).filter(
      (address) => address !== member.address
    ),
    debug: true,
    version: "0.0.0",
    ...fleet.options.node?.(index),
    ...options
  }).pipe(
    Layer.provide(diskLayer(member, fleet.options.diskMsMax ?? 20)),
    // The network goes on while a process stands still: it is built outside of the gate.
    Layer.provide(Layer.succeedContext(network))
  )
  const agent = yield* Layer.buildWithScope(layer, scope).pipe(
    Effect.provideService(Clock.Clock, ownClock(member, gate.clock(yield* Clock.Clock))),
    Effect.provideService(Scheduler.Scheduler, gate.scheduler(yield* Scheduler.Scheduler)),
    Effect.map((context) => Context.get(context, Agent.Agent)),
    Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause)))
  )
  const run: Run = { agent, scope, gate, pauses: 0, delivered: new Map(), givenAt: new Map() }
  yield* listen(member, run).pipe(Scope.provide(scope))
  member.run = run
  return agent
})

/** Starts every member, `everyMs` apart. @since 0.1.0 @category running */
export const startAll = (fleet: AgentFleet, everyMs = 50): Effect.Effect<void, Agent.StartError> =>
  Effect.forEach(fleet.members, ({ index }) => Effect.andThen(start(fleet, index), Effect.sleep(everyMs)), {
    discard: true
  })

/** Ends a member's run: the layer is released, in order, and without a goodbye. @since 0.1.0 @category running */
export const stop = (fleet: AgentFleet, index: number): Effect.Effect<void> =>
  Effect.suspend(() => stopMember(fleet, at(fleet, index)))

const stopMember = (fleet: AgentFleet, member: Member): Effect.Effect<void> =>
  Effect.suspend(() => {
    const { run } = member
    if (run === undefined) return Effect.void
    // First: what it answers while it ends is none of its run's.
    member.run = undefined
    if (run.gate.isShut) {
      // Its fibers must run to end. Its links are broken first, so that they have nobody to tell.
      fleet.network.reset(member.host)
      goOn(fleet, member, run)
    }
    return Scope.close(run.scope, Exit.void)
  })

/** Ends a member's run as a power cut would: what its disk has not got by now, it will never have. @since 0.1.0 */
export const kill = (fleet: AgentFleet, index: number): Effect.Effect<void> =>
  Effect.suspend(() => {
    const { disk, host, run } = at(fleet, index)
    // The dying run keeps writing, to a disk that nobody will read, and may wait for it.
    disk.tables = copyOf(disk.tables)
    if (run !== undefined) fleet.network.vacate(host)
    return stop(fleet, index)
  })

const copyOf = (tables: Disk["tables"]): Disk["tables"] =>
  new Map([...tables].map(([table, rows]) => [table, new Map(rows)]))

/**
 * A member's process stands still, as by SIGSTOP: it takes no turn, its timers wait, its system goes on to accept connections
 * and bytes. The clock goes on. What was already under way in this instant still ends. Nothing if it is down or stands still.
 *
 * @since 0.1.0
 * @category running
 */
export const pause = (fleet: AgentFleet, index: number): void => {
  const { host, run } = at(fleet, index)
  if (run === undefined || run.gate.isShut) return
  run.pauses++
  run.gate.shut()
  fleet.network.pause(host)
}

/** It goes on: first with what waited in it, then with what waited to be read. @since 0.1.0 @category running */
export const resume = (fleet: AgentFleet, index: number): void => {
  const member = at(fleet, index)
  if (member.run?.gate.isShut === true) goOn(fleet, member, member.run)
}

const goOn = (fleet: AgentFleet, { host }: Member, { gate }: Run): void => {
  gate.open()
  fleet.network.resume(host)
}

/**
 * Two members that are down swap their places: each will be started at the other's address. What is cut or in bad weather goes
 * with the member; the latency is the place's.
 *
 * @since 0.1.0
 */
export const swapAddresses = (fleet: AgentFleet, index: number, other: number): void => {
  const [one, two] = [at(fleet, index), at(fleet, other)]
  if (!isDown(one) || !isDown(two)) return
  const { address, host } = one
  fleet.network.exchange(host, two.host)
  // Ways of silence are cuts, and go along: whoever is silent must end its own when it comes back.
  const moved = (at: string): string => (at === host ? two.host : at === two.host ? host : at)
  for (const member of [...fleet.members, ...fleet.twins.values()]) {
    member.silenced = member.silenced.map(([from, to]) => [moved(from), moved(to)])
  }
  Object.assign(one, { host: two.host, address: two.address })
  Object.assign(two, { host, address })
}

/**
 * Starts a second process with the identity of a member, at an address of its own: a copied machine. It has the member's disk
 * with the number of the run before, and so takes the same incarnation. It ends by itself when the fleet refuses it. Nothing
 * if the member is down or the name is taken.
 *
 * @since 0.1.0
 * @category running
 */
export const twin = (
  fleet: AgentFleet,
  index: number,
  as: { readonly name: string; readonly address: string }
): Effect.Effect<void, Agent.StartError> =>
  Effect.suspend(() => {
    const { disk, drift, run, skewMs } = at(fleet, index)
    if (run === undefined || fleet.twins.has(as.name)) return Effect.void
    const tables = copyOf(disk.tables)
    tables.get("meta")?.set("incarnation", run.agent.identity.incarnation - 1)
    const member = newMember(index, as.address, tables)
    Object.assign(member, { drift, skewMs })
    fleet.twins.set(as.name, member)
    return Effect.flatMap(startMember(fleet, member, {}), ({ died }) =>
      Effect.asVoid(Effect.forkDetach(Effect.catch(died, () => stopTwin(fleet, as.name))))
    )
  })

/** Ends a twin, if it has not ended by itself. @since 0.1.0 @category running */
export const stopTwin = (fleet: AgentFleet, name: string): Effect.Effect<void> =>
  Effect.suspend(() => {
    const member = fleet.twins.get(name)
    return member === undefined ? Effect.void : stopMember(fleet, member)
  })

/** The wall clock of a member runs too fast by so many millionths from now on; it does not jump. @since 0.1.0 */
export const setDrift = (fleet: AgentFleet, index: number, driftPpm: number): Effect.Effect<void> =>
  Effect.map(Clock.Clock, (clock) => {
    const member = at(fleet, index)
    member.drift = { ppm: driftPpm, sinceMs: elapsedMs(clock), gainedMs: driftedMs(member, clock) }
  })

/** What the wall clock of a member shows, in whole milliseconds, as of systems. @since 0.1.0 */
export const wall = (fleet: AgentFleet, index: number): Effect.Effect<number> =>
  Effect.map(Clock.Clock, (clock) => wallOf(at(fleet, index), clock))

const wallOf = (member: Member, clock: Clock.Clock): number =>
  clock.currentTimeMillisUnsafe() + Math.round(aheadMs(member, clock))

const aheadMs = (member: Member, clock: Clock.Clock): number => member.skewMs + driftedMs(member, clock)

const driftedMs = ({ drift: { gainedMs, ppm, sinceMs } }: Member, clock: Clock.Clock): number =>
  ppm === 0 ? gainedMs : gainedMs + ((elapsedMs(clock) - sinceMs) * ppm) / 1_000_000

/** By the clock that nobody sets. */
const elapsedMs = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n)

/** @since 0.1.0 @category running */
export const stopAll = (fleet: AgentFleet): Effect.Effect<void> =>
  Effect.forEach([...fleet.members, ...fleet.twins.values()], (member) => stopMember(fleet, member), {
    discard: true,
    concurrency: "unbounded"
  })

/** Cuts a member off from all others; `heal` ends it. @since 0.1.0 */
export const isolate = (fleet: AgentFleet, index: number): void => {
  const { host } = at(fleet, index)
  for (const other of fleet.members) if (other.index !== index) fleet.network.cut(host, other.host)
}

/** @since 0.1.0 */
export const heal = (fleet: AgentFleet, index: number): void => {
  const { host } = at(fleet, index)
  for (const other of fleet.members) if (other.index !== index) fleet.network.heal(host, other.host)
}

/** Neither running nor about to. @since 0.1.0 */
export const isDown = ({ isStarting, run }: Member): boolean => run === undefined && !isStarting

/** The agent of a member that runs. @since 0.1.0 */
export const agentOf = (fleet: AgentFleet, index: number): Agent.Agent["Service"] => {
  const { run } = at(fleet, index)
  if (run === undefined) throw new Error(`member ${index} does not run`)
  return run.agent
}

/** @since 0.1.0 */
export const running = (fleet: AgentFleet): ReadonlyArray<Agent.Agent["Service"]> =>
  fleet.members.flatMap(({ run }) => (run === undefined ? [] : [run.agent]))

/** Waits until it is true, looking every 50 ms; false when `withinMs` have passed. @since 0.1.0 */
export const until = Effect.fnUntraced(function* (
  condition: Effect.Effect<boolean>,
  withinMs: number,
  everyMs: number = 50
) {
  for (let waited = 0; waited <= withinMs; waited += everyMs) {
    if (yield* condition) return true
    yield* Effect.sleep(everyMs)
  }
  return false
})

/** What a member's agent says of a node's state; undefined if it does not know it. @since 0.1.0 */
export const stateAt = (agent: Agent.Agent["Service"], id: string): Effect.Effect<string | undefined> =>
  Effect.map(Effect.orDie(agent.nodes()), ({ items }) => items.find((node) => node.id === id)?.state)

/** Every running member sees every running member alive. @since 0.1.0 */
export const isWhole = (fleet: AgentFleet): Effect.Effect<boolean> =>
  Effect.suspend(() => {
    const agents = running(fleet)
    return Effect.map(
      Effect.forEach(agents, (agent) => Effect.orDie(agent.nodes())),
      (answers) => answers.every(({ items }) => items.filter(({ state }) => state === "alive").length === agents.length)
    )
  })

/** Latency by the hosts of members. */
const latencyOf = (size: number, latencyMs: (from: number, to: number) => number) => {
  const indexes = new Map(Array.from({ length: size }, (_, index) => [hostOf(index), index]))
  return (from: string, to: string): number => latencyMs(indexes.get(from) ?? 0, indexes.get(to) ?? 0)
}

/** A wall clock that can be wrong; time itself passes as everywhere. */
const ownClock = (member: Member, clock: Clock.Clock): Clock.Clock => {
  const millis = () => wallOf(member, clock)
  const nanos = () => clock.currentTimeNanosUnsafe() + BigInt(Math.round(aheadMs(member, clock) * 1_000_000))
  return {
    ...clock,
    currentTimeMillisUnsafe: millis,
    currentTimeMillis: Effect.sync(millis),
    currentTimeNanosUnsafe: nanos,
    currentTimeNanos: Effect.sync(nanos)
  }
}

const at = (fleet: AgentFleet, index: number): Member => {
  const member = fleet.members[index]
  if (member === undefined) throw new Error(`there is no member ${index}`)
  return member
}

const listen = Effect.fnUntraced(function* (member: Member, { agent, delivered, givenAt }: Run) {
  const note = yield* SimRuntime.Note
  const clock = yield* Clock.Clock
  const deliveries = yield* agent.deliveries
  yield* deliveries.pipe(
    Stream.runForEach(({ id }) =>
      Effect.sync(() => {
        note(`${member.name} ${id}`)
        for (const counts of [member.delivered, delivered]) counts.set(id, (counts.get(id) ?? 0) + 1)
        if (!givenAt.has(id)) givenAt.set(id, clock.currentTimeMillisUnsafe())
      })
    ),
    Effect.forkScoped
  )
})

/** Slow, in order, all or none, as the port asks. */
const diskLayer = ({ disk }: Member, msMax: number): Layer.Layer<Store.Store> =>
  Layer.effect(
    Store.Store,
    Effect.map(Store.Store, (memory) => {
      const arm = Semaphore.makeUnsafe(1)
      return {
        ...memory,
        write: (rows) =>
          Effect.gen(function* () {
            disk.writes++
            yield* Effect.sleep(disk.delayMs + (yield* Random.nextIntBetween(0, msMax)))
            if (disk.defect !== undefined) {
              const { defect } = disk
              disk.defect = undefined
              return yield* Effect.die(defect)
            }
            if (disk.failing !== undefined) return yield* disk.failing
            yield* memory.write(rows)
          }).pipe(Semaphore.withPermit(arm))
      }
    })
  ).pipe(Layer.provide(Layer.suspend(() => Store.layerMemory(disk.tables))))
