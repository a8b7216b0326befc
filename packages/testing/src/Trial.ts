/**
 * Plays a plan with members in the simulator, and says what is not as promised.
 *
 * **After every step**: the invariants of the component that stepped; stamps that never go back; no broadcast given twice to
 * one run of a member; every third broadcast of a member is ordered, and given after the one before it as promised.
 *
 * **Within `healMs` of quiet**: the members that run are one component; no neighbour is one-sided; everyone sees exactly those
 * alive; configuration is the same everywhere; nothing is missing any more; and every broadcast that its origin or anybody
 * still holds (who was given it, and whose broadcast tree was not rebuilt since) was given once to everybody who has been
 * running since before it was sent.
 *
 * **Within `filledMs` of quiet**: no two members have a free slot each and are not neighbours.
 *
 * **Then**, on broadcasts of two members one after the other: redundancy falls to nothing, that is, exactly one payload per
 * member that did not send it.
 *
 * @since 0.1.0
 */
import { Query } from "@starling/fleet"
import { LazyPushRepair, MessageId, ViewManager } from "@starling/gossip"
import type { NodeId } from "@starling/machine"
import { Fault, Regions, World } from "@starling/sim"
import * as Poison from "./internal/poison.ts"
import * as MemberFleet from "./MemberFleet.ts"
import type * as Plan from "./Plan.ts"
import { twins } from "./Plan.ts"
import type { Outcome } from "./Scenarios.ts"

/** Within this everything must be well again. Our choice: four probes of an address outside both views, and as much again. */
const healMs = 60_000

/**
 * Within this no two members that could be neighbours have a free slot each: whom a dial did not reach is left alone for
 * `deadMs`, and then they must find each other.
 */
const filledMs = ViewManager.defaults.deadMs + healMs

/** Between two looks. */
const lookMs = 500

/** A neighbour that never answers is given up after its silence, and then views have three keepalives to agree. */
const asymmetryMs = ViewManager.defaults.silenceMs + 3 * ViewManager.defaults.keepaliveMs

/**
 * Within so much redundancy must have fallen to nothing, and the pause between two rounds of broadcasts that show it. Our
 * choice: after a partition members swap neighbours for some minutes, and each swap costs a few copies.
 */
const settleMs = 300_000
const roundMs = 1500

/** What an agent waits between its goodbyes, and after them. */
const farewellMs = 100

/** How many of a kind of finding are kept. */
const findingsMax = 5

/** Of one run of a member: what it was given, and since when it runs. */
interface Life {
  readonly node: NodeId.NodeId
  readonly incarnation: number
  readonly since: number
  readonly given: Map<string, number>
  /** Of these, what it can still pass on: a broadcast tree that is rebuilt has lost its payloads. */
  readonly held: Set<string>
}

interface Sent {
  readonly id: MessageId.MessageId
  readonly atMs: number
}

interface Trial {
  readonly plan: Plan.Plan
  readonly fleet: MemberFleet.MemberFleet
  readonly lives: Map<string, Life>
  readonly sent: Map<string, Sent>
  /** How often each broadcast was put on a link. */
  readonly payloads: Map<string, number>
  readonly twice: Array<string>
  /**
   * What was put on open links: `forged` frames that decode, ahead of what ends the link; `rubbish` that ends a link. Without a
   * link nothing is. A frame that was put there is not read if the link ends before it: by its weather, by a fault, or by what
   * the receiver makes of a frame ahead of it. `unknown` ones, of no known kind, are only counted: whoever gets one drops it.
   */
  readonly poisoned: { forged: number; unknown: number; rubbish: number }
}

/**
 * Plays a plan to its end. The same plan gives the same history, to the last event.
 *
 * @since 0.1.0
 * @category running
 */
export const run = (plan: Plan.Plan): Outcome => {
  const trial = make(plan)
  const { fleet } = trial
  const { world } = fleet
  World.run(world, plan.quietAtMs)
  mend(trial)
  const early = until(trial, asymmetryMs)
  const lasting = lastingAsymmetry(trial)
  const late = until(trial, healMs)
  const isWell = late !== undefined
  const broken = [...(isWell ? [] : unwell(trial)), ...lasting]
  const filled = isWell ? untilFilled(trial) : undefined
  if (isWell && filled === undefined) {
    for (const pair of MemberFleet.unpaired(fleet).slice(0, findingsMax))
      broken.push(`free slots for each other: ${pair}`)
  }
  const rounds = isWell ? settleTrees(trial) : undefined
  if (isWell && rounds === undefined) broken.push(`redundancy did not fall to nothing within ${settleMs / 1000} s`)
  const order = MemberFleet.order(fleet)
  return {
    broken: [...fleet.broken, ...fleet.stampsBack, ...trial.twice, ...order.broken, ...broken],
    virtualMs: World.now(world),
    history: World.history(world),
    measured: {
      members: plan.members.length,
      faults: plan.faults.length,
      deeds: plan.deeds.length,
      running: World.running(world).length,
      broadcasts: trial.sent.size,
      inOrder: order.inOrder,
      ...trial.poisoned,
      violations: World.counters(world).violations,
      healedMs: early ?? late ?? healMs,
      filledMs: filled ?? -1,
      rounds: rounds ?? -1,
      events: World.counters(world).events
    }
  }
}

/** How long after quiet all was well; undefined if it was not within so long. */
const until = (trial: Trial, withinMs: number): number | undefined => {
  const { fleet, plan } = trial
  const passed = (): number => World.now(fleet.world) - plan.quietAtMs
  const isWell = () => unwell(trial).length === 0
  return World.runUntil(fleet.world, isWell, { withinMs: withinMs - passed(), everyMs: lookMs }) ? passed() : undefined
}

/** How long after quiet no two members that could be neighbours had a free slot each; undefined if it was not in time. */
const untilFilled = ({ fleet, plan }: Trial): number | undefined => {
  const passed = (): number => World.now(fleet.world) - plan.quietAtMs
  const isFilled = () => MemberFleet.unpaired(fleet).length === 0
  const options = { withinMs: filledMs - passed(), everyMs: lookMs }
  return World.runUntil(fleet.world, isFilled, options) ? passed() : undefined
}

const make = (plan: Plan.Plan): Trial => {
  const lives = new Map<string, Life>()
  const sent = new Map<string, Sent>()
  const payloads = new Map<string, number>()
  const twice: Array<string> = []
  /** How often the broadcast tree of each node was rebuilt in its run. */
  const trees = new Map<string, number>()
  const joinAt = new Map(plan.members.map(({ joinAtMs, member }) => [member, joinAtMs]))
  const fleet = MemberFleet.make({
    seed: plan.seed,
    size: Math.max(...joinAt.keys()) + 1,
    mode: plan.mode,
    contacts: plan.contacts,
    datacenters: plan.datacenters,
    joinAtMs: (index) => joinAt.get(index),
    digestLeavesMax: 16,
    checkSteps: true,
    // What is held is what can be brought; how long that is, is not asked here.
    settings: {
      broadcastTree: { cacheAgeMs: 24 * 3_600_000 },
      clock: { source: mayMislead(plan) ? "own" : "fleet" }
    },
    network: { carry: MemberFleet.throughCodec, ...(plan.terrain === "wide" ? { latencyMs: wide(plan) } : {}) },
    observer: {
      output: ({ node, now, peer }, output) => {
        if (output._tag === "Accepted") note(sent, output.id, now)
        if (output._tag !== "Delivered") return
        note(sent, output.id, now)
        const life = lifeOf(lives, node, peer.incarnation, now)
        const key = MessageId.toText(output.id)
        const count = (life.given.get(key) ?? 0) + 1
        life.given.set(key, count)
        life.held.add(key)
        if (count > 1 && twice.length < findingsMax) twice.push(`${node} got ${key} ${count} times at ${now} ms`)
      },
      step: ({ node, now, peer }, event, { generations }, actions) => {
        if (event._tag === "Started") lifeOf(lives, node, peer.incarnation, now)
        const generation = generations["broadcast-tree"]
        if (generation !== (trees.get(node) ?? 0)) {
          trees.set(node, generation)
          lifeOf(lives, node, peer.incarnation, now).held.clear()
        }
        for (const action of actions) {
          if (action._tag !== "Send" || action.message.channel !== "broadcast-tree") continue
          const { message } = action.message
          if (message._tag !== "Gossip") continue
          const key = MessageId.toText(message.id)
          payloads.set(key, (payloads.get(key) ?? 0) + 1)
        }
      }
    }
  })
  const trial: Trial = { plan, fleet, lives, sent, payloads, twice, poisoned: { forged: 0, unknown: 0, rubbish: 0 } }
  Fault.schedule(
    fleet.world,
    plan.faults.map(({ atMs, fault }) => ({ atMs, fault: Fault.map(fault, (member) => idOf(trial, member)) }))
  )
  for (const { atMs, deed } of plan.deeds) World.at(fleet.world, atMs, () => perform(trial, deed))
  return trial
}

const note = (sent: Map<string, Sent>, id: MessageId.MessageId, atMs: number): void => {
  const key = MessageId.toText(id)
  if (!sent.has(key)) sent.set(key, { id, atMs })
}

const lifeOf = (lives: Map<string, Life>, node: NodeId.NodeId, incarnation: number, now: number): Life => {
  const key = `${node}.${incarnation}`
  const known = lives.get(key)
  if (known !== undefined) return known
  const life: Life = { node, incarnation, since: now, given: new Map(), held: new Set() }
  lives.set(key, life)
  return life
}

/** Member by member, the next region. */
const wide = (plan: Plan.Plan) => {
  const regions = new Map(
    Array.from({ length: Math.max(...plan.members.map(({ member }) => member)) + 1 }, (_, index) => [
      MemberFleet.peer(plan.seed, index).id,
      Regions.all[index % Regions.all.length] as Regions.Region
    ])
  )
  return Regions.latencyOf((node) => regions.get(node) as Regions.Region)
}

const idOf = ({ fleet }: Trial, member: number): NodeId.NodeId => fleet.peers[member]?.id ?? `twin-${member - twins}`

// ---------------------------------------------------------------------------------------------------------------------
// What happens
// ---------------------------------------------------------------------------------------------------------------------

const perform = (trial: Trial, deed: Plan.Deed): void => {
  const { fleet } = trial
  const { world } = fleet
  const ids = (members: ReadonlyArray<number>) =>
    members.map((member) => idOf(trial, member)).filter((id) => World.has(world, id))
  switch (deed._tag) {
    case "Broadcast": {
      const [id] = ids([deed.member])
      if (id !== undefined) for (let n = 0; n < deed.count; n++) MemberFleet.broadcast(fleet, id, n)
      return
    }
    case "SetConfig": {
      const [id] = ids([deed.member])
      if (id === undefined) return
      const entry = { key: deed.key, value: `${World.now(world)}`, selector: "", author: "trial", note: "" }
      MemberFleet.command(fleet, id, { to: "facts", event: { _tag: "SetConfig", token: fleet.nextToken++, ...entry } })
      return
    }
    case "Leave": {
      const [id] = ids([deed.member])
      if (id === undefined) return
      const run = World.state(world, id)?.config.self.incarnation
      const isRunning = () => World.state(world, id)?.config.self.incarnation === run
      MemberFleet.command(fleet, id, { to: "facts", event: { _tag: "Leave" } })
      World.at(world, World.now(world) + farewellMs, () => {
        if (isRunning()) MemberFleet.command(fleet, id, { to: "view-manager", event: { _tag: "Leave" } })
      })
      World.at(world, World.now(world) + 2 * farewellMs, () => isRunning() && World.crash(world, id))
      return
    }
    case "Fail": {
      const [id] = ids([deed.member])
      if (id !== undefined) MemberFleet.crash(fleet, id, deed.component, deed.at)
      return
    }
    case "Poison": {
      const [from] = ids([deed.from])
      const links = from === undefined ? [] : World.links(world, from)
      const to = links.find(({ peer }) => peer === idOf(trial, deed.to)) ?? links[Math.abs(deed.seed) % links.length]
      if (from === undefined || to === undefined) return
      for (const dose of Poison.brew(deed.what, deed.seed, fleet.peers)) poison(trial, from, to.peer, dose)
    }
  }
}

const poison = (
  { fleet: { world }, poisoned }: Trial,
  from: NodeId.NodeId,
  to: NodeId.NodeId,
  dose: Poison.Dose
): void => {
  const effect = Poison.effectOf(dose)
  switch (effect._tag) {
    case "Frame":
      if (World.forge(world, from, to, effect.frame)) poisoned.forged++
      return
    case "Dropped":
      poisoned.unknown++
      return
    case "Rubbish":
      if (World.forgeRubbish(world, from, to)) poisoned.rubbish++
  }
}

/** It is quiet from now on: whatever still goes wrong ends, and who should run is started. */
const mend = ({ fleet: { peers, world }, plan }: Trial): void => {
  World.healAll(world)
  World.clearAllWeather(world)
  const gone = new Set(plan.gone.map((member) => peers[member]?.id))
  const members = new Set(peers.map(({ id }) => id))
  for (const id of World.ids(world)) {
    World.resume(world, id)
    World.setDrift(world, id, 0)
    if (!members.has(id)) World.crash(world, id)
    else if (!gone.has(id)) World.restart(world, id)
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// What must be true
// ---------------------------------------------------------------------------------------------------------------------

/** One-sided neighbours that were so at every look of three keepalives, when all silence has been noticed. */
const lastingAsymmetry = ({ fleet, plan }: Trial): ReadonlyArray<string> => {
  const { world } = fleet
  World.run(world, plan.quietAtMs + asymmetryMs)
  let lasting = MemberFleet.asymmetric(fleet)
  for (let looks = 6; looks > 0 && lasting.length > 0; looks--) {
    World.pass(world, ViewManager.defaults.keepaliveMs / 2)
    const now = new Set(MemberFleet.asymmetric(fleet))
    lasting = lasting.filter((pair) => now.has(pair))
  }
  return lasting
    .slice(0, findingsMax)
    .map((pair) => `asymmetric for ${3 * ViewManager.defaults.keepaliveMs} ms though it is quiet: ${pair}`)
}

/** What is not as it must become. */
const unwell = (trial: Trial): ReadonlyArray<string> => {
  const { fleet } = trial
  const running = World.running(fleet.world)
  const out: Array<string> = []
  const islands = MemberFleet.islands(fleet)
  if (islands.length > 1)
    out.push(`${islands.length} components of ${islands.map(({ size }) => size).join(", ")} members`)
  for (const pair of MemberFleet.asymmetric(fleet).slice(0, findingsMax)) out.push(`asymmetric: ${pair}`)
  for (const { node, state } of running) {
    if (out.length >= 4 * findingsMax) return out
    const missing = LazyPushRepair.missingSize(state.cells["lazy-push-repair"].state)
    if (missing > 0) out.push(`${node} still misses ${missing} broadcasts`)
  }
  return [...out, ...undelivered(trial), ...misjudged(trial)]
}

/**
 * True if half of the clocks that some member hears of may be wrong: no median can tell them, and then facts that are stamped
 * beyond the fleet's time are put aside until it has come. That is for tests of the clock; here everybody believes its own.
 */
const mayMislead = ({ faults, members }: Plan.Plan): boolean => {
  const wrong = new Set<number>()
  let isApart = false
  for (const { fault } of faults) {
    if (fault._tag === "SetSkew" || fault._tag === "ShiftClock" || fault._tag === "SetDrift") wrong.add(fault.node)
    else if (fault._tag !== "StallDisk" && fault._tag !== "ResetLinks") isApart = true
  }
  return wrong.size > 0 && (isApart || 2 * wrong.size >= members.length)
}

/** Everybody sees exactly those alive that run, and the same configuration. */
const misjudged = ({ fleet }: Trial): ReadonlyArray<string> => {
  const { world } = fleet
  const running = World.running(world)
  const alive = new Set(running.map(({ peer }) => peer.id))
  const out: Array<string> = []
  let first: string | undefined
  for (const { node, peer, state } of running) {
    if (out.length >= findingsMax) return out
    const { epoch, wall, counter } = state.clock.reading
    const at = { now: Math.floor(World.now(world)), wall, stamp: { epoch, wall, counter, node: peer.id } }
    const facts = state.cells.facts.state
    for (const { id, state: judged } of Query.nodes(facts, at, { forgotten: true }).items) {
      if ((judged === "alive") !== alive.has(id)) {
        out.push(`${node} takes ${id} for ${judged}, which ${alive.has(id) ? "runs" : "does not run"}`)
      }
    }
    const known = Query.nodes(facts, at).items.filter(({ state: judged }) => judged === "alive").length
    if (known < alive.size) out.push(`${node} sees ${known} of ${alive.size} members alive`)
    const entries = Query.config(facts, at)
      .items.map(({ key, revision }) => `${key}=${revision}`)
      .join(" ")
    first ??= entries
    if (entries !== first) out.push(`${node} has another configuration than ${running[0]?.node}`)
  }
  return out
}

/** Broadcasts that somebody holds and somebody lacks, of those who have been running since before they were sent. */
const undelivered = ({ fleet, lives, sent }: Trial): ReadonlyArray<string> => {
  const out: Array<string> = []
  const running = World.running(fleet.world).map(({ node, peer }) => lives.get(`${node}.${peer.incarnation}`))
  for (const [key, { atMs, id }] of sent) {
    if (isSuperseded(sent, id)) continue
    const entitled = running.filter((life) => life !== undefined && life.since < atMs)
    const isHeld = running.some((life) => life?.held.has(key) === true)
    if (!isHeld) continue
    for (const life of entitled) {
      if (life?.given.has(key) !== true && out.length < findingsMax) {
        out.push(`${life?.node} runs since ${life?.since} ms and never got ${key}, sent at ${atMs} ms`)
      }
    }
  }
  return out
}

/** Members keep windows of the last two runs of an origin; what is of an earlier one counts as seen. */
const isSuperseded = (sent: ReadonlyMap<string, Sent>, { incarnation, origin }: MessageId.MessageId): boolean => {
  const later = new Set<number>()
  for (const { id } of sent.values())
    if (id.origin === origin && id.incarnation > incarnation) later.add(id.incarnation)
  return later.size > 1
}

/** Rounds of broadcasts until one cost exactly one payload for each other member; undefined: it never did. */
const settleTrees = (trial: Trial): number | undefined => {
  const { fleet, payloads } = trial
  const { world } = fleet
  const running = World.running(world)
  const roots = MemberFleet.choose(fleet, "roots", 2)
  const until = World.now(world) + settleMs
  for (let round = 1; World.now(world) < until; round++) {
    const tokens = roots.map((root) => MemberFleet.broadcast(fleet, root, round))
    // The longer it takes, the less often it is asked.
    World.pass(world, roundMs * Math.ceil(round / 10))
    const isFree = tokens.every((token) => {
      const cost = payloads.get(fleet.accepted.get(token) ?? "") ?? 0
      return fleet.accepted.has(token) && cost === running.length - 1
    })
    if (isFree && undelivered(trial).length === 0) return round
  }
  return undefined
}
