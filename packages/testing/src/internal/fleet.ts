/** The scenario `fleet`: a hundred whole agents in several data centres, with everything going wrong at once. */
import type { Agent } from "@starling/agent"
import { BroadcastTree } from "@starling/gossip"
import { Rng } from "@starling/machine"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as AgentFaults from "../AgentFaults.ts"
import * as AgentFleet from "../AgentFleet.ts"
import * as AgentInvariants from "../AgentInvariants.ts"
import type { Input, Outcome, Scenario } from "../Scenarios.ts"
import * as SimRuntime from "../SimRuntime.ts"
import * as Plan from "./fleetPlan.ts"
import * as Reach from "./fleetReach.ts"
import * as InOrder from "./inOrder.ts"

/** Faults go on for so long. */
const minutesDefault = 2

/** After the last fault, all that is promised holds again within this. */
const quietMs = 5000

/** Then it must go on to hold. */
const afterMs = 3000

const joinMs = 30_000

/** Two hundred join in a second: the faster, the less there is to tell of what changed meanwhile. */
const joinEveryMs = 5

/** What is under way when the agents stop has arrived. */
const lingerMs = 200

/** What the fleet is for, all the while: as often as this, on average. */
const broadcastMs = 700
const eventMs = 2000
const settingMs = 12_000

/** Most broadcasts come from so many agents, whose trees live through the faults; the others' are new. */
const senders = 12

/** Keys that many write at once; every other entry has a key of its own. */
const sharedKeys = 3

/**
 * Agents with real supervisors, mailboxes, links and codec, in data centres with latency between them. Each second one
 * component of one agent crashes, at a point of its own step; data centres are severed, one way or both, flap, and come
 * together again; links are torn, or forgotten by a router; processes stand still; disks hang, clocks are wrong and drift;
 * hosts lose their power and come back, at another's address, or one without its disk; and members are sent what nobody honest
 * sends. All the while any agent broadcasts, sets configuration and records events. Then all is quiet. Seen from outside:
 *
 * - No run of an agent is ever given a broadcast twice.
 * - Every third broadcast of an agent is ordered. No run of an agent is given it before the ordered one before it, unless it
 *   has waited for that for 10 s, or is the first that the run hears of its origin's.
 * - A broadcast that was accepted is delivered to every agent that its origin could reach for long enough while it still
 *   held it (60 s, and not beyond a second crash of its broadcast tree within five seconds, which takes the payloads
 *   along), and to everybody if it is still held when all is quiet. A partition that outlasts the 60 s may part
 *   an agent from a broadcast for good; from configuration and events never: those reach everybody.
 * - Within 5 s of quiet, which begins 35 s after the last partition at the earliest, every component's invariants hold,
 *   components agree with each other, active views are symmetric and make one component, everybody takes everybody for alive, and all answers are the same
 *   everywhere; and so it stays.
 * - No agent gives up, no request is left without an answer, and nothing runs on when the agents are stopped.
 */
export const fleet: Scenario = {
  name: "fleet",
  about: "whole agents, a component crash a second, partitions: nothing twice, nothing lost, all sound 5 s after",
  size: 100,
  minutes: minutesDefault,
  run: (input) => run(input)
}

/** One broadcast that was accepted. */
interface Sent {
  readonly id: string
  readonly origin: number
  /** Which run of its origin. */
  readonly run: AgentFleet.Run
  readonly at: number
  /** When the agent was asked for it, if it is ordered. */
  readonly orderedAt: number | undefined
}

/** By which member, and when. */
interface Stored {
  readonly origin: number
  readonly at: number
}

/** One run of a member, as the scenario has begun and ended it. */
interface Lived extends Reach.Interval {
  readonly run: AgentFleet.Run
}

/** Of what befalls a fleet. Mutable: they belong to one run of the scenario. */
export interface Books {
  readonly fleet: AgentFleet.AgentFleet
  readonly broken: Array<string>
  readonly counts: { struck: number; missed: number }
  /** Members whose disk was lost, with when they had crashed. */
  readonly losses: Array<Stored>
  /** Runs of each member that have ended, and when the one under way began. */
  readonly lived: Array<Array<Lived>>
  readonly since: Array<number>
}

/** Mutable, too. */
interface Stage extends Books {
  readonly plan: Plan.Plan
  /** Not the whole plan of its seed: what is left of it may be little. */
  readonly isPart: boolean
  readonly draw: (bound: number) => number
  readonly sent: Array<Sent>
  /** How many each member was asked for. */
  readonly asked: Array<number>
  /** Key and revision, and ids, of what was stored. */
  readonly settings: Array<Stored & { readonly key: string; readonly revision: string }>
  readonly events: Array<Stored & { readonly id: string }>
  readonly counts: { requests: number; answered: number; refused: number; struck: number; missed: number }
}

const run = ({ faults, minutes = minutesDefault, seed, size }: Input): Outcome => {
  const drawn = Plan.make(seed, size, minutes * 60_000)
  const plan = faults === undefined ? drawn : Plan.withFaults(drawn, faults)
  let rng = Rng.make(`${seed}/fleet/work`)
  const stage: Stage = {
    fleet: AgentFleet.make({ size, seed, datacenters: plan.datacenters, latencyMs: plan.latencyMs }),
    plan,
    isPart: faults !== undefined,
    draw: (bound) => {
      const [value, next] = Rng.nextInt(rng, bound)
      rng = next
      return value
    },
    broken: [],
    sent: [],
    asked: Array.from({ length: size }, () => 0),
    settings: [],
    events: [],
    losses: [],
    counts: { requests: 0, answered: 0, refused: 0, struck: 0, missed: 0 },
    lived: Array.from({ length: size }, () => []),
    since: Array.from({ length: size }, () => Number.NEGATIVE_INFINITY)
  }
  const measured: Record<string, number> = {}
  const outcome = SimRuntime.run(story(stage, measured), { seed, stepsMax: stepsMax * (1 + minutes) * size })
  const { broken, counts, sent } = stage
  if (outcome._tag !== "Done") broken.push(`${outcome._tag.toLowerCase()} at ${outcome.virtualMs} ms`)
  else if (Exit.isFailure(outcome.exit)) broken.push(`the run failed: ${String(outcome.exit.cause)}`)
  else if (outcome.sleepers > 0) broken.push(`${outcome.sleepers} fibers still sleep after everything was stopped`)
  return {
    broken,
    virtualMs: outcome.virtualMs,
    history: outcome.history,
    measured: { ...counts, broadcasts: sent.length, ...measured, steps: outcome.steps }
  }
}

/** Of one agent in one minute, joins and quiet being one; ten times what the runs take. */
const stepsMax = 200_000

/** What a seed lets go wrong. */
export const faultsOf = ({ minutes = minutesDefault, seed, size }: Input): AgentFaults.Scenario =>
  Plan.make(seed, size, minutes * 60_000).faults

const story = Effect.fnUntraced(function* (stage: Stage, measured: Record<string, number>) {
  const { broken, fleet, plan } = stage
  const started = yield* Clock.currentTimeMillis
  yield* AgentFleet.startAll(fleet, joinEveryMs)
  if (!(yield* AgentFleet.until(AgentFleet.isWhole(fleet), joinMs, 500))) {
    broken.push(`the members did not become one fleet within ${joinMs} ms`)
  }
  const begin = yield* Clock.currentTimeMillis
  measured["wholeMs"] = begin - started
  const watching = yield* Effect.forEach(AgentFleet.running(fleet), (agent) => Effect.forkChild(watch(stage, agent)))
  const working = yield* Effect.forEach([broadcast, record, set], (work) => Effect.forkChild(work(stage)))
  const strikes = yield* play(stage, begin)
  yield* Effect.forEach(working, Fiber.interrupt)
  // What was asked last may crash a little later, and a component takes a moment to be back.
  yield* Fiber.awaitAll(strikes)
  const quiet = yield* Clock.currentTimeMillis

  const sound = Effect.map(brokenNow(stage), (found) => found.length === 0)
  const isSound = yield* AgentFleet.until(sound, quietMs, 250)
  measured["soundMs"] = (yield* Clock.currentTimeMillis) - quiet
  if (!isSound) broken.push(...(yield* brokenNow(stage)).map((what) => `${quietMs} ms after the last fault: ${what}`))
  yield* Effect.sleep(quiet + quietMs + 1 - (yield* Clock.currentTimeMillis))
  const end = yield* Clock.currentTimeMillis
  const reach = Reach.make(fleet.members.length, plan.faults, begin, end)
  const runs = runsOf(stage, begin, end)
  broken.push(
    ...brokenDelivery(stage, reach, runs, begin, quiet, end, measured),
    ...brokenOrder(stage, runs, measured),
    ...(yield* brokenStored(stage, reach, runs))
  )
  yield* Effect.sleep(afterMs)
  // Views may change once more for reasons of their own, for as long as a handshake takes.
  if (!(yield* AgentFleet.until(sound, afterMs, 250))) {
    broken.push(...(yield* brokenNow(stage)).map((what) => `it did not last: ${what}`))
  }
  measured["poisoned"] = fleet.network.state.injected
  const { answered, requests } = stage.counts
  if (answered !== requests) broken.push(`${requests - answered} requests were never answered`)

  yield* Effect.forEach(watching, Fiber.interrupt)
  const agents = AgentFleet.running(fleet)
  yield* AgentFleet.stopAll(fleet)
  yield* Effect.sleep(lingerMs)
  for (const agent of agents) {
    const alive = (yield* agent.counters)["actor_alive"]
    if (alive !== 0) broken.push(`${agent.identity.name}: ${alive} actors outlive their agent`)
  }
  if (plan.endMs !== quiet - begin) measured["lateMs"] = quiet - begin - plan.endMs
})

/** Lets the faults of the plan happen, each at its time; what takes its time goes on by itself. */
const play = Effect.fnUntraced(function* (stage: Stage, begin: number) {
  const strikes: Array<Fiber.Fiber<void>> = []
  const at = (ms: number) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => Effect.sleep(Math.max(0, begin + ms - now)))
  for (const { atMs, fault } of stage.plan.faults) {
    yield* at(atMs)
    strikes.push(yield* Effect.forkChild(befall(stage, fault)))
  }
  yield* at(stage.plan.endMs)
  return strikes
})

/** A fault, with the books that are kept of it. */
export const befall = (books: Books, fault: AgentFaults.AgentFault): Effect.Effect<void> =>
  Effect.gen(function* () {
    const { broken, counts, fleet, lived, losses, since } = books
    const member = "node" in fault ? fleet.members[Number(String(fault.node).slice(1))] : undefined
    const before = member?.run
    const pauses = before?.pauses
    const now = yield* Clock.currentTimeMillis
    if (fault._tag === "Crash" && member !== undefined && before !== undefined) {
      lived[member.index]?.push({ run: before, from: since[member.index] ?? now, to: now })
    }
    // Who runs or starts is not started again.
    const begins = fault._tag === "Restart" && member !== undefined && AgentFleet.isDown(member)
    const exit = yield* Effect.exit(AgentFaults.apply(fleet, fault))
    if (begins && member.run !== undefined) {
      since[member.index] = yield* Clock.currentTimeMillis
      yield* Effect.forkDetach(watch(books, member.run.agent))
      const crashed = fault.disk === "lost" ? lived[member.index]?.at(-1)?.to : undefined
      if (crashed !== undefined) losses.push({ origin: member.index, at: crashed })
    }
    const isSameRun = member?.run === before && before?.pauses === pauses
    if (fault._tag === "CrashComponent") {
      // Where the whole agent is down, stands still, or did either meanwhile, there is no component that crashes in time.
      if (before === undefined || before.gate.isShut || !isSameRun) counts.missed++
      else if (Exit.isSuccess(exit)) counts.struck++
    }
    if (Exit.isFailure(exit) && isSameRun) {
      broken.push(`${JSON.stringify(fault)}: ${String(exit.cause)}`)
    }
  })

/** An agent that gives up has failed. */
const watch = (
  { broken }: Pick<Books, "broken">,
  { died, identity: { name } }: Agent.Agent["Service"]
): Effect.Effect<void> =>
  Effect.catch(died, ({ message }) => Effect.sync(() => void broken.push(`${name} died: ${message}`)))

// ---------------------------------------------------------------------------------------------------------------------
// What the fleet is for
// ---------------------------------------------------------------------------------------------------------------------

const broadcast = (stage: Stage) =>
  every(stage, broadcastMs, anySender, (run, origin) => {
    const { asked, counts, sent } = stage
    const number = (asked[origin] ?? 0) + 1
    asked[origin] = number
    const ordered = number % InOrder.orderedEvery === 0
    return Effect.flatMap(Clock.currentTimeMillis, (now) =>
      Effect.map(
        run.agent.broadcast({ from: origin, number: counts.requests }, { ordered }),
        (id) => (at) => void sent.push({ id, origin, run, at, orderedAt: ordered ? now : undefined })
      )
    )
  })

const record = (stage: Stage) =>
  every(stage, eventMs, anybody, ({ agent }, origin) =>
    Effect.map(
      agent.sendEvent({ app: "scenario", severity: "info", body: `${stage.counts.requests}`, attributes: {} }),
      ({ id }) =>
        (at) =>
          void stage.events.push({ id, origin, at })
    )
  )

const set = (stage: Stage) =>
  every(stage, settingMs, anybody, ({ agent }, origin) => {
    const number = stage.counts.requests
    const key = stage.draw(2) === 0 ? `shared/${stage.draw(sharedKeys)}` : `own/${number}`
    const change: Agent.ConfigChange = { key, value: `${number}`, selector: "", author: "scenario", note: "" }
    return Effect.map(
      agent.setConfig(change),
      ({ revision }) =>
        (at) =>
          void stage.settings.push({ key, revision, origin, at })
    )
  })

const anybody = ({ draw, fleet }: Stage): number => draw(fleet.members.length)

const anySender = (stage: Stage): number =>
  stage.draw(4) === 0 ? anybody(stage) : stage.draw(Math.min(senders, stage.fleet.members.length))

/** Notes what was accepted at a time. */
type Book = (at: number) => void

/** Asks an agent, again and again, and goes on; what is refused, because a component crashed or a host died, is told so. */
const every = (
  stage: Stage,
  ms: number,
  who: (stage: Stage) => number,
  ask: (run: AgentFleet.Run, index: number) => Effect.Effect<Book, Agent.Unavailable | Agent.InvalidInput>
) =>
  Effect.gen(function* () {
    const { broken, counts, draw, fleet } = stage
    yield* Effect.sleep(1 + draw(2 * ms))
    const member = fleet.members[who(stage)]
    const { run } = member ?? {}
    if (member === undefined || run === undefined) return
    counts.requests++
    const booked = Effect.flatMap(ask(run, member.index), (book) =>
      // What an agent says in the moment in which its power goes nobody hears, and its disk may not have it.
      Effect.map(Clock.currentTimeMillis, (at) => (member.run === run ? book(at) : undefined))
    )
    const asked = Effect.match(booked, {
      onSuccess: () => void counts.answered++,
      onFailure: (error) => {
        counts.answered++
        counts.refused++
        // Who asked before its node knew the time is stamped by that moment, and somebody else may have written since.
        const isOlder = error._tag === "InvalidInput" && error.where === "revision"
        if (error._tag === "InvalidInput" && !isOlder)
          broken.push(`${member.name} refused valid input: ${error.message}`)
      }
    })
    // Not as a child: it is answered also when the work has ended.
    yield* Effect.forkDetach(asked)
  }).pipe(Effect.forever)

// ---------------------------------------------------------------------------------------------------------------------
// What was promised
// ---------------------------------------------------------------------------------------------------------------------

/** The cheapest first: the others are asked once it finds nothing. */
const brokenNow = Effect.fnUntraced(function* ({ fleet }: Stage) {
  const agents = AgentFleet.running(fleet)
  if (agents.length !== fleet.members.length) return [`${agents.length} of ${fleet.members.length} members run`]
  for (const look of [
    AgentInvariants.overlay,
    AgentInvariants.alive,
    AgentInvariants.components,
    AgentInvariants.agreement,
    AgentInvariants.facts
  ]) {
    const found = yield* look(agents)
    if (found.length > 0) return found
  }
  return []
})

/** All runs of each member; the last goes on. */
const runsOf = ({ fleet, lived, since }: Stage, begin: number, end: number): ReadonlyArray<ReadonlyArray<Lived>> =>
  fleet.members.map(({ index, run }) => [
    ...(lived[index] ?? []),
    ...(run === undefined ? [] : [{ run, from: since[index] ?? begin, to: end }])
  ])

/** What was delivered twice, and what was due and did not come. */
const brokenDelivery = (
  { counts, fleet, isPart, plan, sent }: Stage,
  reach: Reach.Reach,
  runs: ReadonlyArray<ReadonlyArray<Lived>>,
  begin: number,
  quiet: number,
  end: number,
  measured: Record<string, number>
): ReadonlyArray<string> => {
  const out: Array<string> = []
  const rebuilds = Reach.rebuilds(plan.faults, begin)
  for (const [index, list] of runs.entries()) {
    for (const { run } of list) {
      for (const [id, count] of run.delivered) if (count > 1) out.push(`n${index} was given ${id} ${count} times`)
    }
  }
  let [due, excused, arrived] = [0, 0, 0]
  const ways = new Map<number, ReadonlyArray<Reach.Interval>>()
  for (const { at, id, origin, run } of sent) {
    const until = Reach.heldUntil(rebuilds.get(`n${origin}`) ?? [], at)
    const held = (runs[origin] ?? []).flatMap((life) =>
      life.run === run && life.from < until ? [{ from: life.from, to: Math.min(life.to, until) }] : []
    )
    for (const { delivered, index, name } of fleet.members) {
      if (delivered.has(id)) {
        arrived++
        continue
      }
      const key = origin * fleet.members.length + index
      let way = ways.get(key)
      if (way === undefined) ways.set(key, (way = reach.intervals(origin, index)))
      // A run that has ended lost what it had; the next one must be given it too.
      const able = Reach.both(Reach.both(way, held), runs[index] ?? [])
      if (!Reach.isDue(able, at, quiet, end)) excused++
      else {
        due++
        if (due <= toldMax) {
          out.push(`${name} was never given ${id}, which n${origin} sent ${at - begin} ms into the faults`)
        }
      }
    }
  }
  if (due > toldMax) out.push(`and ${due - toldMax} more that were due`)
  // A run in which little happened shows nothing.
  if (sent.length === 0) out.push("nothing was broadcast")
  if (excused > arrived * excusedShareMax) out.push(`${excused} deliveries were excused, and ${arrived} arrived`)
  const crashes = plan.faults.filter(({ fault }) => fault._tag === "CrashComponent").length
  if (!isPart && counts.struck < crashes * struckShareMin)
    out.push(`${counts.struck} of ${crashes} crashes of components struck`)
  Object.assign(measured, { arrived, excused })
  return out
}

const toldMax = 10

/** What was given before the ordered one before it of the same run of its origin, though it had not waited for too long. */
const brokenOrder = (
  { fleet, sent }: Stage,
  runs: ReadonlyArray<ReadonlyArray<Lived>>,
  measured: Record<string, number>
): ReadonlyArray<string> => {
  // Two processes of one name number their broadcasts alike.
  const doubled = new Set([...fleet.twins.values()].map(({ index }) => index))
  const ordered = sent
    .filter(({ orderedAt, origin }) => orderedAt !== undefined && !doubled.has(origin))
    .toSorted((a, b) => seqOf(a.id) - seqOf(b.id))
  const chains = Map.groupBy(ordered, ({ id }) => originRunOf(id))
  const askedAt = new Map(ordered.map(({ id, orderedAt = 0 }) => [id, orderedAt]))
  const out: Array<string> = []
  let inOrder = 0
  for (const [index, list] of runs.entries()) {
    for (const { run } of list) {
      const { givenAt } = run
      const given = [...givenAt.keys()]
      const places = new Map(given.map((id, place) => [id, place]))
      // Of each run of an origin the first that was heard of.
      const first = new Set(Array.from(Map.groupBy(given, originRunOf).values(), ([id]) => id))
      const isLate = (id: string): boolean =>
        (givenAt.get(id) ?? 0) >= (askedAt.get(id) ?? 0) + BroadcastTree.defaults.orderMs
      for (const chain of chains.values()) {
        const ids = chain.map(({ id }) => id)
        const [after, before] = InOrder.compare(ids, places, (id) => first.has(id) || isLate(id))
        inOrder += after
        out.push(...before.map((what) => `n${index} was given ${what}`))
      }
    }
  }
  Object.assign(measured, { inOrder })
  return out.slice(0, toldMax)
}

const originRunOf = (id: string): string => id.slice(0, id.lastIndexOf("."))

const seqOf = (id: string): number => Number(id.slice(id.lastIndexOf(".") + 1))

/** Our choice, far from what the runs show (fewer than one in a hundred excused, nearly all struck): less than this would prove little. */
const excusedShareMax = 0.25
const struckShareMin = 0.8

/**
 * Configuration and events have no term: they are everywhere, whatever was cut and for how long, unless the disk of the member
 * that wrote them was lost before anybody else could have them.
 */
const brokenStored = Effect.fnUntraced(function* (
  { events, fleet, losses, settings }: Stage,
  reach: Reach.Reach,
  runs: ReadonlyArray<ReadonlyArray<Lived>>
) {
  const isOwed = ({ at, origin }: Stored): boolean => {
    const loss = losses.find((loss) => loss.origin === origin && loss.at >= at)
    if (loss === undefined) return true
    return fleet.members.some(({ index }) => {
      const way = Reach.both(reach.intervals(origin, index), Reach.both(runs[origin] ?? [], runs[index] ?? []))
      return index !== origin && Reach.isShared(way, at, loss.at)
    })
  }
  const out: Array<string> = []
  if (events.length === 0 && settings.length === 0) out.push("neither an event nor a setting was stored")
  const agents = AgentFleet.running(fleet)
  // Equal answers everywhere are asked for elsewhere, so one agent speaks for all; a second one, that it is so.
  for (const agent of [agents[0], agents.at(-1)]) {
    if (agent === undefined) continue
    const { name } = agent.identity
    const ids = new Set((yield* Effect.orDie(agent.events({ limit: 20_000 }))).items.map(({ id }) => id))
    for (const event of events) {
      if (!ids.has(event.id) && isOwed(event)) out.push(`${name} lacks the event ${event.id}`)
    }
    for (const setting of settings) {
      const { key, revision } = setting
      const { items } = yield* agent.configHistory(key)
      const isOld = items.length >= historyMax && items.every((entry) => entry.revision > revision)
      const isThere = isOld || items.some((entry) => entry.revision === revision)
      if (!isThere && isOwed(setting)) out.push(`${name} lacks ${key} of ${revision}`)
    }
    out.push(...(yield* AgentInvariants.rolledOut(agent, agents.length)))
  }
  return out.slice(0, toldMax)
})

/** Entries of one key that are kept. */
const historyMax = 10
