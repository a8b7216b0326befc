/** The rows with Starling's actors, in what an agent gives its own: see `system.ts`. */
import { Actor, DynamicSupervisor, Monitor, Registry, Supervisor } from "@starling/actor"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import { Finished, latencies, micros, rate, used } from "./rounds.ts"
import { serve } from "./serve.ts"
import { addressOf, inSystem, mailbox as bounded, type Run, supervised } from "./system.ts"

interface Item {
  readonly n: number
  readonly from: Actor.ActorRef<"More" | number> | undefined
}

/** A source may have so many messages under way; the last of them asks the sink for more. */
const mailbox = inSystem((_, [sources = 1, batch = 0, bound = 0]) =>
  Effect.gen(function* () {
    const credit = Math.floor(bound / sources)
    const share = Math.floor(batch / sources)
    const finished = new Finished()
    let handled = 0
    const [sink] = yield* supervised([
      Actor.behavior<Item>()({
        name: "sink",
        mailbox: bounded,
        init: () => Effect.succeed(0),
        receive: (n, { from }) => {
          handled++
          if (from !== undefined) Actor.tellUnsafe(from, "More")
          return n + 1
        }
      })
    ])
    if (sink === undefined) return yield* Effect.die(new Error("the sink did not start"))
    const source = (_: unknown, i: number) =>
      Actor.behavior<"More" | number>()({
        name: `source-${i}`,
        mailbox: bounded,
        init: () => Effect.succeed(0),
        receive: (left, message, self) => {
          const rest = message === "More" ? left : message
          if (rest === 0) {
            finished.one()
            return 0
          }
          const now = Math.min(rest, credit)
          for (let n = now; n > 1; n--) Actor.tellUnsafe(sink, { n, from: undefined })
          Actor.tellUnsafe(sink, { n: 1, from: self.ref })
          return rest - now
        }
      })
    const refs = yield* supervised(Array.from({ length: sources }, source))
    const work = async () => {
      await finished.all(sources, () => {
        for (const ref of refs) Actor.tellUnsafe(ref, share)
      })
      return share * sources
    }
    return { run: rate(work, () => handled) }
  })
)

interface Ball {
  readonly from: Actor.ActorRef<Ball>
  readonly left: number
}

/**
 * `plain`: handlers are functions; `named`: and send to the name instead of the incarnation. `effect`: handlers return an
 * Effect that tells; `generator`: the same written as a generator.
 */
const pingpong = inSystem((variant, [batch = 0]) =>
  Effect.gen(function* () {
    const finished = new Finished()
    let handled = 0
    const receives = {
      plain: (n: number, { from, left }: Ball, self: Actor.Self<Ball>) => {
        handled++
        if (left === 0) finished.one()
        else Actor.tellUnsafe(from, { from: variant === "named" ? addressed(self) : self.ref, left: left - 1 })
        return n + 1
      },
      effect: (n: number, { from, left }: Ball, self: Actor.Self<Ball>) => {
        handled++
        if (left > 0) return Effect.as(Actor.tell(from, { from: self.ref, left: left - 1 }), n + 1)
        finished.one()
        return Effect.succeed(n + 1)
      },
      generator: Effect.fnUntraced(function* (n: number, { from, left }: Ball, self: Actor.Self<Ball>) {
        handled++
        if (left === 0) finished.one()
        else yield* Actor.tell(from, { from: self.ref, left: left - 1 })
        return n + 1
      })
    }
    const addresses = [yield* addressOf<Ball>("a"), yield* addressOf<Ball>("b")] as const
    const addressed = (self: Actor.Self<Ball>) => (self.name === "a" ? addresses[0] : addresses[1])
    const receive = variant === "effect" || variant === "generator" ? receives[variant] : receives.plain
    const player = (name: string) =>
      Actor.behavior<Ball>()({ name, mailbox: bounded, init: () => Effect.succeed(0), receive })
    const [a, b] = yield* supervised([player("a"), player("b")])
    if (a === undefined || b === undefined) return yield* Effect.die(new Error("the players did not start"))
    const work = async () => {
      const from = variant === "named" ? addresses[1] : b
      await finished.all(1, () => void Actor.tellUnsafe(a, { from, left: 2 * batch - 1 }))
      return batch
    }
    return { run: rate(work, () => handled / 2) }
  })
)

interface Token {
  readonly left: number
}

const ring = inSystem((_, [size = 0, batch = 0]) =>
  Effect.gen(function* () {
    const finished = new Finished()
    let handled = 0
    const refs: Array<Actor.ActorRef<Token>> = []
    const link = (_: unknown, i: number) =>
      Actor.behavior<Token>()({
        name: `link-${i}`,
        mailbox: bounded,
        init: () => Effect.succeed(0),
        receive: (n, { left }) => {
          handled++
          if (left === 0) finished.one()
          else Actor.tellUnsafe(refs[(i + 1) % size] as Actor.ActorRef<Token>, { left: left - 1 })
          return n + 1
        }
      })
    refs.push(...(yield* supervised(Array.from({ length: size }, link))))
    const work = async () => {
      await finished.all(1, () => void Actor.tellUnsafe(refs[0] as Actor.ActorRef<Token>, { left: batch - 1 }))
      return batch
    }
    return { run: rate(work, () => handled) }
  })
)

type Question = Actor.ReplyTo<number>

const server = Actor.behavior<Question>()({
  name: "server",
  mailbox: bounded,
  init: () => Effect.succeed(0),
  receive: (n, to) => {
    Actor.replyUnsafe(to, n)
    return n + 1
  }
})

const question = (to: Question): Question => to

/** From one fiber, one at a time; five seconds to answer, the default. */
const ask = inSystem((_, [batch = 0], run) =>
  Effect.gen(function* () {
    const [ref] = yield* supervised([server])
    if (ref === undefined) return yield* Effect.die(new Error("the server did not start"))
    let next = 0
    const work = Effect.gen(function* () {
      for (const last = next + batch; next < last; next++) {
        const n = yield* Actor.ask(ref, question)
        if (n !== next) return yield* Effect.die(new Error(`answer ${n} to question ${next}`))
      }
      return batch
    })
    return {
      run: rate(
        () => run(work),
        () => next
      )
    }
  })
)

/** `named`: under a registered name, and its Down awaited; `supervised`: neither. */
const spawn = inSystem((variant, [batch = 0], run) =>
  Effect.gen(function* () {
    const supervisor = yield* DynamicSupervisor.start({ name: "spawning" })
    const key = Registry.key<Question>("spawned")
    let stopped = 0
    const named = Effect.scoped(
      Effect.gen(function* () {
        const ref = Option.getOrThrow(yield* supervisor.startChild(server, { restart: "temporary", key }))
        const down = yield* Monitor.on(ref)
        yield* supervisor.terminateChild(ref)
        if ((yield* down)._tag === "Shutdown") stopped++
      })
    )
    const bare = Effect.gen(function* () {
      const ref = Option.getOrThrow(yield* supervisor.startChild(server, { restart: "temporary" }))
      yield* supervisor.terminateChild(ref)
      stopped++
    })
    const one = variant === "named" ? named : bare
    const work = Effect.gen(function* () {
      for (let i = 0; i < batch; i++) yield* one
      const { specs } = yield* supervisor.countChildren
      if (specs !== 0) return yield* Effect.die(new Error(`${specs} are left`))
      return batch
    })
    return {
      run: rate(
        () => run(work),
        () => stopped
      )
    }
  })
)

interface Watch {
  readonly ref: Actor.ActorRef<never>
  readonly to: Actor.ReplyTo<"watching">
}

const watcher = Actor.behavior<Watch>()({
  name: "watcher",
  mailbox: bounded,
  init: () => Effect.succeed(0),
  receive: (n, { ref, to }, self) => {
    self.monitorUnsafe(ref)
    Actor.replyUnsafe(to, "watching")
    return n + 1
  },
  signal: (n) => n
})

/** Each has answered one question and is watched by a monitor; `named`: and is registered; `bare`: neither of the two. */
const memory = inSystem((variant, [count = 0], run) => {
  const crowd = async (measure: () => Promise<number>) => {
    const scope = Scope.makeUnsafe()
    const supervisor = await run(DynamicSupervisor.start({ name: "idle" }).pipe(Scope.provide(scope)))
    const watching = await run(Actor.spawn(watcher).pipe(Scope.provide(scope)))
    const before = await measure()
    const work = Effect.gen(function* () {
      for (let i = 0; i < count; i++) {
        const options = variant === "named" ? { key: Registry.key<Question>(`idle-${i}`) } : {}
        const ref = Option.getOrThrow(yield* supervisor.startChild(server, options))
        if ((yield* Actor.ask(ref, question)) !== 0) return yield* Effect.die(new Error("the first answer is 0"))
        if (variant !== "bare") yield* Actor.ask(watching, (to: Watch["to"]) => ({ ref, to }))
      }
    })
    await run(work)
    const bytes = ((await measure()) - before) / count
    const { active } = await run(supervisor.countChildren)
    if (active !== count) throw new Error(`${active} of ${count} live`)
    await run(Scope.close(scope, Exit.void))
    return { bytes, actors: count }
  }
  return Effect.succeed({ run: () => crowd(used), load: () => crowd(() => Promise.resolve(0)) })
})

type Crashing = { readonly _tag: "Crash" } | { readonly _tag: "Who"; readonly to: Actor.ReplyTo<number> }

const crashing = (name: string) =>
  Actor.behavior<Crashing>()({
    name,
    mailbox: bounded,
    init: (self) => Effect.succeed(self.incarnation),
    receive: (incarnation, message) => {
      if (message._tag === "Crash") throw new Error("crash")
      Actor.replyUnsafe(message.to, incarnation)
      return incarnation
    }
  })

const who = (to: Actor.ReplyTo<number>) => ({ _tag: "Who" as const, to })

/** Asks until the incarnation has answered, letting others go first whenever there was none. */
const answered = Effect.fnUntraced(function* (address: Actor.ActorRef<Crashing>, incarnation: number) {
  while (true) {
    const exit = yield* Effect.exit(Actor.ask(address, who))
    if (Exit.isSuccess(exit) && exit.value === incarnation) return
    yield* Effect.yieldNow
  }
})

/** From the message that crashes the first to the answer of each new incarnation, the last first. */
const crashRounds = (strategy: Supervisor.Strategy, members: number, crashes: number, run: Run) =>
  Effect.gen(function* () {
    const names = Array.from({ length: members }, (_, i) => `member-${i}`)
    const addresses = yield* Effect.forEach(names, (name) => addressOf<Crashing>(name))
    const lastFirst = addresses.toReversed()
    const work = Effect.scoped(
      Effect.gen(function* () {
        yield* Supervisor.start({
          name: "crashing",
          strategy,
          intensity: crashes,
          period: "1 hour",
          children: names.map((name) => Supervisor.childSpec(crashing(name), { key: Registry.key<Crashing>(name) }))
        })
        const times: Array<number> = []
        for (let i = 1; i <= crashes; i++) {
          const from = micros()
          Actor.tellUnsafe(addresses[0] as Actor.ActorRef<Crashing>, { _tag: "Crash" })
          for (const address of lastFirst) yield* answered(address, i + 1)
          times.push(micros() - from)
        }
        return times
      })
    )
    return { run: latencies(() => run(work)) }
  })

const restart = inSystem((_, [crashes = 0], run) => crashRounds("one_for_one", 1, crashes, run))

const oneforall = inSystem((_, [members = 0, crashes = 0], run) => crashRounds("one_for_all", members, crashes, run))

await serve({ mailbox, pingpong, ring, ask, spawn, memory, restart, oneforall })
