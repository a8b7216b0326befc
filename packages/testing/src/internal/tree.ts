/** The scenario `tree`: anything in the supervision trees of whole agents is killed or crashes, at any instant. */
import type { Agent } from "@starling/agent"
import { Rng } from "@starling/machine"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as AgentFleet from "../AgentFleet.ts"
import type { Input, Outcome, Scenario } from "../Scenarios.ts"
import * as SimRuntime from "../SimRuntime.ts"
import * as Lives from "./lives.ts"
import { answerMs, bounded, type Ending, request, type Slot, type Stage, supervisorOf } from "./stage.ts"
import { strike } from "./strikes.ts"

/** A thousand runs of this are 24 hours. */
const virtualMs = 86_400

/** Then nothing strikes any more, and everything must heal: a restart window, anti-entropy, and then some. */
const strikesMs = 60_000
const healMs = 20_000

/** Every component is at work again within this: the neighbour set is told to all of them twice meanwhile. */
const quietMs = 12_000

/** Between two looks at everything, and between two rounds of work. */
const lookMs = 250
const workMs = 1000

/** A stop waits for a child at most 5 s and a second for the kill, one after the other, and 2 s for the last words. */
const stopMs = 20_000

/** How long an agent that ended or could not start is left alone. */
const againMs = 300

/** Links close within a second of their own. */
const lingerMs = 3000

/**
 * A small fleet works (broadcasts, configuration, events) while actors of all its supervision trees are killed, crash or
 * are stopped: components, links, the store writer, supervisors, roots; alone, together, again while they begin, while
 * they end, and so often that supervisors give up. Agents that end are started again, as by their service manager.
 *
 * Whatever comes, nothing is begun twice, every end is heard of, every request is answered in time, and each child is back
 * soon; afterwards the trees are whole and the fleet works; and when all is stopped nothing is left.
 */
export const tree: Scenario = {
  name: "tree",
  about: "any actor of whole agents killed at any instant: no deadlock, no lost end, no orphan, nothing begun twice",
  size: 3,
  run: (input) => run(input)
}

const run = ({ seed, size }: Input): Outcome => {
  let rng = Rng.make(`${seed}/tree`)
  const draw = (bound: number): number => {
    const [value, next] = Rng.nextInt(rng, bound)
    rng = next
    return value
  }
  const fleet = AgentFleet.make({ size })
  const broken: Array<string> = []
  const counts = { strikes: 0, requests: 0, answered: 0, agentsEnded: 0, notStarted: 0 }
  let began = 0
  const program = Effect.gen(function* () {
    const lives = Lives.make(broken, draw)
    const slots = fleet.members.map(({ index }): Slot => ({
      index,
      run: undefined,
      agent: undefined,
      ending: Deferred.makeUnsafe()
    }))
    const stage: Stage = { fleet, lives, slots, broken, draw, counts, pending: new Set(), isOver: false }
    yield* story(stage)
    began = lives.runs.reduce((sum, { all }) => sum + all.length, 0)
  })
  const outcome = SimRuntime.run(Effect.scoped(program), { seed })
  if (outcome._tag !== "Done") broken.push(`${outcome._tag.toLowerCase()} at ${outcome.virtualMs} ms`)
  else if (Exit.isFailure(outcome.exit)) broken.push(`the run failed: ${String(outcome.exit.cause)}`)
  else if (outcome.sleepers > 0) broken.push(`${outcome.sleepers} fibers still sleep after everything was stopped`)
  return {
    broken,
    virtualMs: outcome.virtualMs,
    history: outcome.history,
    measured: { ...counts, began, steps: outcome.steps }
  }
}

const story = (stage: Stage) =>
  Effect.gen(function* () {
    const start = yield* Clock.currentTimeMillis
    const passed = Effect.map(Clock.currentTimeMillis, (now) => now - start)
    const keepers = yield* Effect.forEach(stage.slots, (slot) =>
      Effect.forkChild(Effect.andThen(Effect.sleep(slot.index * 50), keep(stage, slot)))
    )
    const looking = yield* Effect.forkChild(look(stage))
    const working = yield* Effect.forkChild(work(stage))
    yield* AgentFleet.until(AgentFleet.isWhole(stage.fleet), healMs)
    // Mild, so that most strikes find everything in order; or so fast that one finds the restarts of another.
    const pauseMs = [2000, 600, 200][stage.draw(3)] ?? 600
    while ((yield* passed) < strikesMs) {
      yield* strike(stage)
      yield* Effect.sleep(1 + stage.draw(2 * pauseMs))
    }
    yield* Fiber.interrupt(working)
    yield* allAnswered(stage)
    yield* heal(stage)
    yield* Effect.sleep(Math.max(0, virtualMs - lingerMs - (yield* passed)))
    stage.isOver = true
    for (const { ending } of stage.slots) Deferred.doneUnsafe(ending, Exit.succeed("stop"))
    yield* Effect.forEach(keepers, Fiber.join)
    yield* Fiber.interrupt(looking)
    yield* Effect.sleep(lingerMs)
    Lives.inspectEnded(stage.lives)
  }).pipe(Lives.counted(stage.lives))

/** What was asked amid the strikes is answered, an operator's stop and start among it. */
const allAnswered = Effect.fnUntraced(function* ({ broken, pending }: Stage) {
  yield* AgentFleet.until(
    Effect.sync(() => pending.size === 0),
    answerMs
  )
  for (const request of pending) broken.push(`${request} was never answered`)
})

/** Runs a member's agent again and again, until all is over. */
const keep = Effect.fnUntraced(function* (stage: Stage, slot: Slot) {
  const { counts, fleet, lives } = stage
  while (!stage.isOver) {
    const ending = (slot.ending = Deferred.makeUnsafe<Ending>())
    const [run, starting] = yield* Lives.begin(lives, `n${slot.index}`, AgentFleet.start(fleet, slot.index))
    slot.run = run
    const started = yield* bounded(stage, `${run.name}: its start`, Effect.exit(starting), stopMs)
    if (started === undefined) return
    if (Exit.isFailure(started)) {
      counts.notStarted++
      slot.run = undefined
      yield* Effect.sleep(againMs)
      continue
    }
    const agent = (slot.agent = started.value)
    const died = Effect.as(Effect.exit(agent.died), "died" as const)
    const why = yield* Effect.raceFirst(died, Deferred.await(ending))
    counts.agentsEnded++
    const root = run.latest.get("agent")
    if (why === "died" && root !== undefined && Lives.living(run).includes(root)) {
      Lives.find(lives, run, "it is said to have died, and lives")
    }
    if (why === "leave") yield* bounded(stage, `${run.name}: its goodbye`, agent.leave, answerMs)
    const { duplicates } = yield* agent.delivered
    if (duplicates > 0) Lives.find(lives, run, `${duplicates} broadcasts were delivered twice`)
    slot.agent = undefined
    const end = why === "kill" ? AgentFleet.kill(fleet, slot.index) : AgentFleet.stop(fleet, slot.index)
    const stopped = yield* bounded(stage, `${run.name}: its stop`, Effect.exit(end), stopMs)
    if (stopped?._tag === "Failure") Lives.find(lives, run, `its stop failed: ${String(stopped.cause)}`)
    const left = Lives.living(run).filter(({ isAbandoned }) => !isAbandoned)
    for (const { path } of left) Lives.find(lives, run, `${path} outlives its agent`)
    slot.run = undefined
    if (!stage.isOver) yield* Effect.sleep(againMs)
  }
})

/** Several times a second. */
const look = (stage: Stage) =>
  Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    for (const { agent, run } of stage.slots)
      if (run !== undefined && agent !== undefined) Lives.inspect(stage.lives, run, now)
    yield* Effect.sleep(lookMs)
  }).pipe(Effect.forever)

/** What a fleet is for, once a second at each member, and what operators ask. Refusals are answers too. */
const work = (stage: Stage) =>
  Effect.gen(function* () {
    for (const slot of stage.slots) {
      const { agent, run } = slot
      if (agent === undefined || run === undefined) continue
      yield* request(stage, `${run.name}, run ${run.tag}: a broadcast`, agent.broadcast({ at: stage.counts.requests }))
      if (stage.draw(4) === 0)
        yield* request(stage, `${run.name}, run ${run.tag}: a change`, agent.setConfig(change(stage)))
      if (stage.draw(4) === 0) yield* request(stage, `${run.name}, run ${run.tag}: an event`, agent.sendEvent(event))
      if (stage.draw(4) === 0) yield* request(stage, `${run.name}, run ${run.tag}: a look at the children`, count(run))
    }
    yield* Effect.sleep(workMs)
  }).pipe(Effect.forever)

const count = (run: Lives.Run) =>
  Effect.flatMap(supervisorOf(run), (supervisor) => Effect.andThen(supervisor.whichChildren, supervisor.countChildren))

const change = ({ draw }: Stage): Agent.ConfigChange => ({
  key: `key/${draw(8)}`,
  value: String(draw(1000)),
  selector: "",
  author: "tree",
  note: ""
})

const event: Agent.NewEvent = { app: "tree", severity: "info", body: "at work", attributes: {} }

/** Everything is whole again, and does what it is for. */
const heal = Effect.fnUntraced(function* (stage: Stage) {
  const { broken, fleet, lives, slots } = stage
  // A strike that waits in a mailbox, behind a write to a slow disk for instance, is still to come.
  const isStruck = Effect.map(
    Effect.suspend(() => Effect.forEach(AgentFleet.running(fleet), (agent) => agent.tree)),
    (trees) => trees.some(({ items }) => items.some(({ mailbox }) => mailbox > 0))
  )
  const isQuiet = Effect.suspend(() =>
    slots.every(({ agent, run }) => agent !== undefined && run !== undefined && Lives.unquiet(run).length === 0)
      ? Effect.flatMap(isStruck, (struck) => (struck ? Effect.succeed(false) : AgentFleet.isWhole(fleet)))
      : Effect.succeed(false)
  )
  if (!(yield* AgentFleet.until(isQuiet, healMs))) {
    broken.push(`the fleet was not whole ${healMs} ms after the last strike`)
    for (const { agent, index, run } of slots) {
      if (agent === undefined || run === undefined) broken.push(`n${index} does not run`)
      else for (const what of Lives.unquiet(run)) Lives.find(lives, run, what)
    }
  }
  const agents = AgentFleet.running(fleet)
  const before = new Map<string, number>()
  const handled = (agent: Agent.Agent["Service"]) => Effect.map(agent.tree, ({ items }) => items)
  for (const agent of agents) {
    for (const { handled: count, path } of yield* handled(agent)) before.set(`${agent.identity.id} ${path}`, count)
  }
  const ids = yield* Effect.forEach(agents, (agent) => Effect.option(agent.broadcast("quiet")))
  const entries = yield* Effect.forEach(agents, (agent) => Effect.option(agent.setConfig(change(stage))))
  if ([...ids, ...entries].some(({ _tag }) => _tag === "None")) broken.push("a request was refused in all quiet")
  yield* Effect.sleep(quietMs)
  for (const id of ids) {
    if (id._tag === "None") continue
    for (const { delivered, name } of fleet.members) {
      if (delivered.get(id.value) !== 1) broken.push(`${name} got ${id.value} ${delivered.get(id.value) ?? 0} times`)
    }
  }
  const revisions = new Set<string>()
  for (const agent of agents) {
    const { items } = yield* agent.config
    revisions.add(items.map(({ key, revision }) => `${key}=${revision}`).join(" "))
    for (const { handled: now, path } of yield* handled(agent)) {
      const component = path.startsWith("agent/components/")
      if (component && now <= (before.get(`${agent.identity.id} ${path}`) ?? 0)) {
        broken.push(`${agent.identity.name}: ${path} handled nothing for ${quietMs} ms`)
      }
    }
  }
  if (revisions.size > 1) broken.push(`configuration differs: ${[...revisions].join(" | ")}`)
})
