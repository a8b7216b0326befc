/**
 * Every incarnation in the supervision trees of whole agents, as somebody sees it who stands outside of the runtime.
 *
 * What is known here comes from a finalizer in the Scope of each second incarnation, from a monitor on every one, held by
 * a system of its own, from a count of the fibers that Effect starts and ends, and from the reports; not from what
 * supervisors keep. So a child that was started twice, an end that nobody was told of, a Scope that was not closed or a
 * fiber that was left shows here, whatever the tree says of itself.
 */
import { Actor, type ExitReason, Registry, System, Tree } from "@starling/actor"
import { Agent } from "@starling/agent"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"

/** One incarnation. */
export interface Life {
  readonly ref: Actor.ActorRef<never>
  readonly path: string
  readonly number: number
  readonly parent: Life | undefined
  /** Its Scope has a finalizer of ours; without one an actor ends on a shorter way. */
  readonly isScoped: boolean
  isClosed: boolean
  /** Its supervisor has said that it started. */
  isUp: boolean
  isAbandoned: boolean
  /** It was told to end, from outside of its supervisor. */
  isStruck: boolean
  /** At once. */
  isKilled: boolean
  /** When it was first seen to live on all the same. */
  struckAt: number | undefined
  downs: number
}

/** What happens to the next incarnation of a path while it begins. */
export type Trap =
  | { readonly _tag: "Fail" }
  | { readonly _tag: "Wait"; readonly ms: number }
  | { readonly _tag: "Exit"; readonly reason: ExitReason.ExitReason }

/** One run of one agent. */
export interface Run {
  readonly tag: number
  readonly name: string
  system: System.System["Service"] | undefined
  readonly latest: Map<string, Life>
  readonly all: Array<Life>
  readonly traps: Map<string, Array<Trap>>
  /** Children that an operator has stopped, and when each other one was last found running. */
  readonly held: Set<string>
  readonly fineAt: Map<string, number>
}

export interface Lives {
  readonly runs: Array<Run>
  readonly broken: Array<string>
  readonly draw: (bound: number) => number
  /** Those that have not ended, by run. */
  readonly fibers: Map<number, number>
}

/** What stands below the root for as long as an agent runs. */
const children = ["store", "components", "links", "dialer", "listener"]

export const pathsOf: ReadonlyArray<string> = [
  "agent",
  ...children.map((child) => `agent/${child}`),
  ...Agent.components.map((component) => `agent/components/${component}`)
]

/** The names that are registered, by path. */
const keys = new Map<string, string>([
  ...["store", "components", "links", "dialer"].map((child) => [`agent/${child}`, child] as const),
  ...Agent.components.map((component) => [`agent/components/${component}`, component] as const)
])
const paths = new Map([...keys].map(([path, key]) => [key, path]))

/**
 * A child of a living supervisor is back after this long. It may have to wait for others to stop (one after the other, up
 * to 5 s and a second for the kill), and for a slow disk.
 */
const restartMs = 12_000

/**
 * Who was told to end has ended after this long: a supervisor stops its children one after the other; who was killed ends
 * at once, but for the second after which a supervisor abandons a child, and for the longest of our own finalizers.
 */
const endMs = 20_000
const killMs = 4000

/** Why actors end here. Whatever else they say is a mistake of theirs. */
const expected = [
  /^(normal|shutdown|killed)/,
  /on purpose/,
  /Error: struck/,
  /a bit fell over/,
  /no space left/,
  /events of \S+ were dropped, it begins anew/
]

/** Which run a fiber belongs to; 0: none. */
const Tag: Context.Reference<number> = Context.Reference<number>("@starling/testing/lives/Tag", {
  defaultValue: () => 0
})

export const make = (broken: Array<string>, draw: (bound: number) => number): Lives => ({
  runs: [],
  broken,
  draw,
  fibers: new Map()
})

/** Counts the fibers of every run that is begun within. */
export const counted =
  ({ fibers }: Lives) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => {
    const add = (context: Context.Context<never>, count: number): void => {
      const tag = Context.get(context, Tag)
      fibers.set(tag, (fibers.get(tag) ?? 0) + count)
    }
    return Effect.provideService(effect, Metric.FiberRuntimeMetrics, {
      recordFiberStart: (context) => add(context, 1),
      recordFiberEnd: (context) => add(context, -1)
    })
  }

/** Begins an agent, which is then looked at for as long as it runs. */
export const begin = Effect.fnUntraced(function* <A, E, R>(lives: Lives, name: string, start: Effect.Effect<A, E, R>) {
  const run: Run = {
    tag: lives.runs.length + 1,
    name,
    system: undefined,
    latest: new Map(),
    all: [],
    traps: new Map(),
    held: new Set(),
    fineAt: new Map()
  }
  lives.runs.push(run)
  const byId = new Map<number, Life>()
  const monitor = yield* monitors(lives, run)
  const started = start.pipe(
    Effect.provideService(Tag, run.tag),
    Effect.provideService(System.Instrument, {
      system: (system) => onSystem(lives, run, system),
      init: (self) =>
        Effect.suspend(() => {
          const life = born(lives, run, self)
          byId.set(self.ref.id, life)
          monitor(life)
          return onInit(lives, run, life)
        }),
      handling: (self) => {
        const life = byId.get(self.ref.id)
        if (life === undefined || life.isClosed || run.latest.get(life.path) !== life) {
          find(lives, run, `a former incarnation of ${self.path.join("/")} handles a message`)
        }
      }
    })
  )
  return [run, started] as const
})

/** Sets a monitor, by an actor of a system of its own, so that nothing that befalls the agent befalls it. */
const monitors = Effect.fnUntraced(function* (lives: Lives, run: Run) {
  const monitored = new Map<Actor.MonitorId, Life>()
  const onDown = ({ monitor, reason }: Actor.Signal): void => {
    const life = monitored.get(monitor)
    if (life === undefined) return find(lives, run, "a Down came of a monitor that nobody has set")
    const who = `${life.path} ${life.number}`
    if (++life.downs > 1) find(lives, run, `${life.downs} Downs came of one monitor on ${who}`)
    if (reason._tag === "NoProc") find(lives, run, `${who} was taken for nobody while it began`)
  }
  const watcher = yield* Deferred.make<Actor.Self<never>>()
  yield* Actor.spawn(
    Actor.behavior<never>()({
      name: "onlooker",
      init: (self) => Deferred.succeed(watcher, self),
      receive: (state) => state,
      signal: (state, signal) => {
        onDown(signal)
        return state
      }
    })
  ).pipe(Effect.provideService(System.System, yield* System.make))
  const self = yield* Deferred.await(watcher)
  return (life: Life): void => void monitored.set(self.monitorUnsafe(life.ref), life)
})

/** From outside of its supervisor: what becomes of it then is no mistake of its own. */
export const tellToEnd = (life: Life, reason: ExitReason.ExitReason): void => {
  life.isStruck = true
  if (reason._tag === "Killed") life.isKilled = true
  Actor.exitUnsafe(life.ref, reason)
}

/** Incarnations that have not ended, as far as their own Scope or phase tells. */
export const living = (run: Run): ReadonlyArray<Life> => [...run.latest.values()].filter(isAlive)

/** The static children are all there, or have not been for a while. */
export const inspect = (lives: Lives, run: Run, now: number): void => {
  const { system } = run
  if (system === undefined) return
  for (const path of pathsOf) {
    const life = run.latest.get(path)
    const isFine = life !== undefined && isAlive(life) && (life.isUp || life.parent === undefined)
    const above = run.latest.get(path.slice(0, path.lastIndexOf("/")))
    const isDue = path !== "agent" && above !== undefined && isAlive(above) && !run.held.has(path)
    if (isFine || !isDue) run.fineAt.set(path, now)
    else if (now - (run.fineAt.get(path) ?? now) > restartMs) {
      find(lives, run, `${path} has not been back for ${restartMs} ms`)
      run.fineAt.set(path, Number.POSITIVE_INFINITY)
    }
    if (life !== undefined && isFine) checkName(lives, run, life, system)
  }
  for (const life of living(run)) {
    if (!life.isStruck) continue
    life.struckAt ??= now
    if (now - life.struckAt > (life.isKilled ? killMs : endMs)) {
      find(lives, run, `${life.path} ${life.number} was ${life.isKilled ? "killed" : "told to end"} and lives`)
    }
  }
}

/** Soon after the last strike the tree says what is true, and all of it runs. What does not. */
export const unquiet = (run: Run): ReadonlyArray<string> => {
  const out: Array<string> = []
  const { system } = run
  if (system === undefined) return ["there is no system"]
  const nodes = Tree.flatten(Tree.snapshotUnsafe(system))
  const known = new Set(nodes.map(({ path }) => path.join("/")))
  for (const path of pathsOf) if (!known.has(path)) out.push(`the tree does not show ${path}`)
  for (const { path, startedAt, state } of nodes) {
    const life = run.latest.get(path.join("/"))
    if (state !== "running" || startedAt === null) out.push(`the tree shows ${path.join("/")} as ${state}`)
    if (life === undefined || !isAlive(life)) out.push(`the tree shows ${path.join("/")}, which has ended`)
  }
  for (const { path } of living(run)) if (!known.has(path)) out.push(`${path} lives outside of the tree`)
  if (system.alive() !== nodes.length) out.push(`${system.alive()} are alive, the tree has ${nodes.length}`)
  return out
}

/** After everything was stopped, and what closes slowly has had its time. */
export const inspectEnded = (lives: Lives): void => {
  for (const run of lives.runs) {
    const fibers = lives.fibers.get(run.tag) ?? 0
    if (fibers !== 0) find(lives, run, `${fibers} fibers were left`)
    for (const { downs, isClosed, isScoped, number, path } of run.all) {
      if (isScoped && !isClosed) find(lives, run, `the Scope of ${path} ${number} was never closed`)
      if (downs !== 1) find(lives, run, `${downs} Downs of ${path} ${number}`)
    }
    const { system } = run
    if (system === undefined) continue
    const { abandonedNow, started } = system.counters()
    if (system.alive() !== 0) find(lives, run, `${system.alive()} actors outlive their agent`)
    if (abandonedNow !== 0) find(lives, run, `${abandonedNow} abandoned actors never ended`)
    if (started !== run.all.length) find(lives, run, `${started} starts were counted, ${run.all.length} began`)
  }
}

export const find = ({ broken }: Lives, { name, tag }: Run, what: string): void => {
  const text = `${name}, run ${tag}: ${what}`
  if (!broken.includes(text)) broken.push(text)
}

/** By its own Scope where that was marked, else by what it says of itself. */
const isAlive = (life: Life): boolean => !life.isClosed && Actor.isAlive(life.ref)

const born = (lives: Lives, run: Run, self: Actor.Self<never>): Life => {
  const path = self.path.join("/")
  const above = self.path.slice(0, -1).join("/")
  const life: Life = {
    ref: self.ref,
    path,
    number: self.incarnation,
    parent: run.latest.get(above),
    isScoped: lives.draw(2) === 0,
    isClosed: false,
    isUp: false,
    isAbandoned: false,
    isStruck: false,
    isKilled: false,
    struckAt: undefined,
    downs: 0
  }
  const former = run.latest.get(path)
  if (former !== undefined && !former.isAbandoned) {
    const isLiving = former.isScoped ? !former.isClosed : Actor.isAlive(former.ref)
    if (isLiving) find(lives, run, `${path} ${life.number} begins while ${former.number} lives`)
  }
  if (life.parent !== undefined && !isAlive(life.parent))
    find(lives, run, `${path} begins under a supervisor that ended`)
  // A link has no second incarnation; its id may be used again.
  const isSecond = former !== undefined && former.parent === life.parent && above !== "agent/links"
  const due = isSecond ? former.number + 1 : 1
  if (life.number !== due) find(lives, run, `${path} begins as incarnation ${life.number}, not ${due}`)
  run.latest.set(path, life)
  run.all.push(life)
  return life
}

/** The finalizer of every second one, and what was laid in its way. */
const onInit = (lives: Lives, run: Run, life: Life) => {
  const { draw } = lives
  const closing = Effect.suspend(() => {
    if (life.isClosed) find(lives, run, `the Scope of ${life.path} ${life.number} is closed twice`)
    life.isClosed = true
    return Effect.void
  })
  const slow = draw(16) === 0 ? Effect.delay(closing, draw(4) === 0 ? 1000 + draw(1500) : 1 + draw(40)) : closing
  const marked = life.isScoped ? Effect.addFinalizer(() => slow) : Effect.void
  const trap = run.traps.get(life.path)?.shift()
  const chance = draw(24) === 0 ? Effect.sleep(1 + draw(30)) : Effect.void
  return Effect.andThen(marked, trap === undefined ? chance : sprung(life, trap))
}

const sprung = (life: Life, trap: Trap): Effect.Effect<void> => {
  switch (trap._tag) {
    case "Fail":
      return Effect.die(new Error("failed in its init on purpose"))
    case "Wait":
      return Effect.sleep(trap.ms)
    case "Exit":
      return Effect.andThen(
        Effect.sync(() => tellToEnd(life, trap.reason)),
        Effect.yieldNow
      )
  }
}

const onSystem = (lives: Lives, run: Run, system: System.System["Service"]): void => {
  if (run.system !== undefined) find(lives, run, "it has two systems")
  run.system = system
  system.onReport((report) => {
    if (report._tag === "Abandoned") {
      const life = run.latest.get(report.actor)
      if (life !== undefined) life.isAbandoned = true
    }
    if (report._tag === "StartFailed" || report._tag === "ShutdownFailed") {
      const path = `${report.supervisor}/${report.child}`
      const isForced = report._tag === "ShutdownFailed" && report.reason === "killed" && !run.latest.get(path)?.isStruck
      // Only a store that hangs in a write has to be killed.
      if (isForced && path !== "agent/store") find(lives, run, `${path} was asked to stop and had to be killed`)
      explain(lives, run, path, report.reason)
    }
    if (report._tag === "Crashed") explain(lives, run, report.actor, report.reason)
    if (report._tag !== "Progress") return
    const path = `${report.supervisor}/${report.child}`
    const life = run.latest.get(path)
    if (life?.number !== report.incarnation)
      find(lives, run, `${path} ${report.incarnation} is reported and never began`)
    else if (life.isUp) find(lives, run, `${path} ${report.incarnation} is reported twice`)
    else life.isUp = true
  })
  system.onDeadLetter(({ cause, to }) => {
    const path = paths.get(to)
    const life = path === undefined ? undefined : run.latest.get(path)
    if (cause === "full") find(lives, run, `the mailbox of ${to} is full`)
    else if (life !== undefined && life.isUp && isAlive(life)) find(lives, run, `${to} is alive and refuses messages`)
  })
}

const explain = (lives: Lives, run: Run, path: string, reason: string): void => {
  if (!expected.some((one) => one.test(reason))) find(lives, run, `${path} ended by itself: ${reason}`)
}

/** The name of a living child is its own. */
const checkName = (lives: Lives, run: Run, life: Life, system: System.System["Service"]): void => {
  const key = keys.get(life.path)
  if (key === undefined) return
  const holder = Option.getOrUndefined(Registry.whereIsUnsafe(system, Registry.key(key)))
  if (holder?.id !== life.ref.id)
    find(lives, run, `${life.path} lives, and its name leads to ${holder?.name ?? "nobody"}`)
}
