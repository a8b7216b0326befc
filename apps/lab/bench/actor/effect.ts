/**
 * The rows with Effect alone: a fiber and a bounded queue for each actor, in the fastest loop we know (`takeUnsafe` while
 * there is something, `take` only to wait). No names, no monitors, no supervisor, no system lane: what the runtime of
 * `@starling/actor` costs, or saves, against doing it by hand.
 */
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Scope from "effect/Scope"
import { Finished, latencies, micros, rate, used } from "./rounds.ts"
import { serve, type Setup } from "./serve.ts"

const capacity = 4096

const loop = <A>(queue: Queue.Queue<A>, handle: (message: A) => void): Effect.Effect<never> =>
  Effect.gen(function* () {
    while (true) {
      const taken = Queue.takeUnsafe(queue)
      if (taken === undefined) handle(yield* Queue.take(queue))
      else handle(yield* taken)
    }
  })

/** For as long as the process lives. */
const start = <A>(handle: (message: A) => void): Queue.Queue<A> => {
  const queue = Effect.runSync(Queue.bounded<A>(capacity))
  Effect.runFork(loop(queue, handle))
  return queue
}

const send = <A>(queue: Queue.Enqueue<A>, message: A): void => {
  if (!Queue.offerUnsafe(queue, message)) throw new Error("the queue is full: credit was to prevent that")
}

interface Item {
  readonly n: number
  readonly from: Queue.Queue<"More" | number> | undefined
}

const mailbox: Setup = async (_, [sources = 1, batch = 0, bound = 0]) => {
  const credit = Math.floor(bound / sources)
  const share = Math.floor(batch / sources)
  const finished = new Finished()
  let handled = 0
  const sink = start<Item>(({ from }) => {
    handled++
    if (from !== undefined) send(from, "More")
  })
  const source = () => {
    let left = 0
    const queue: Queue.Queue<"More" | number> = start((message) => {
      if (message !== "More") left = message
      if (left === 0) return finished.one()
      const now = Math.min(left, credit)
      left -= now
      for (let n = now; n > 1; n--) send(sink, { n, from: undefined })
      send(sink, { n: 1, from: queue })
    })
    return queue
  }
  const queues = Array.from({ length: sources }, source)
  const work = async () => {
    await finished.all(sources, () => {
      for (const queue of queues) send(queue, share)
    })
    return share * sources
  }
  return { run: rate(work, () => handled) }
}

interface Ball {
  readonly from: Queue.Queue<Ball>
  readonly left: number
}

const pingpong: Setup = async (_, [batch = 0]) => {
  const finished = new Finished()
  let handled = 0
  const player = () => {
    const self: Queue.Queue<Ball> = start(({ from, left }) => {
      handled++
      if (left === 0) finished.one()
      else send(from, { from: self, left: left - 1 })
    })
    return self
  }
  const [a, b] = [player(), player()]
  const work = async () => {
    await finished.all(1, () => send(a, { from: b, left: 2 * batch - 1 }))
    return batch
  }
  return { run: rate(work, () => handled / 2) }
}

interface Token {
  readonly left: number
}

const ring: Setup = async (_, [size = 0, batch = 0]) => {
  const finished = new Finished()
  let handled = 0
  const queues: Array<Queue.Queue<Token>> = Array.from({ length: size }, (_, i) =>
    start(({ left }) => {
      handled++
      if (left === 0) finished.one()
      else send(queues[(i + 1) % size] as Queue.Queue<Token>, { left: left - 1 })
    })
  )
  const work = async () => {
    await finished.all(1, () => send(queues[0] as Queue.Queue<Token>, { left: batch - 1 }))
    return batch
  }
  return { run: rate(work, () => handled) }
}

type Question = Deferred.Deferred<number>

const answering = (): ((to: Question) => void) => {
  let n = 0
  return (to) => Deferred.doneUnsafe(to, Exit.succeed(n++))
}

const askOnce = (server: Queue.Enqueue<Question>) =>
  Effect.timeout(
    Effect.suspend(() => {
      const to = Deferred.makeUnsafe<number>()
      send(server, to)
      return Deferred.await(to)
    }),
    5000
  )

const ask: Setup = async (_, [batch = 0]) => {
  const server = start<Question>(answering())
  let next = 0
  const work = Effect.gen(function* () {
    for (const last = next + batch; next < last; next++) {
      const n = yield* askOnce(server)
      if (n !== next) return yield* Effect.die(new Error(`answer ${n} to question ${next}`))
    }
    return batch
  })
  return {
    run: rate(
      () => Effect.runPromise(work),
      () => next
    )
  }
}

/** Started, its start acknowledged, interrupted, one after the other. */
const spawn: Setup = async (_, [batch = 0]) => {
  let stopped = 0
  const scope = Scope.makeUnsafe()
  const one = Effect.gen(function* () {
    const ready = Deferred.makeUnsafe<void>()
    const queue = yield* Queue.bounded<Question>(capacity)
    const body = Effect.andThen(Deferred.succeed(ready, undefined), loop(queue, answering()))
    const fiber = yield* Effect.forkIn(body, scope)
    yield* Deferred.await(ready)
    yield* Fiber.interrupt(fiber)
    stopped++
  })
  const work = Effect.gen(function* () {
    for (let i = 0; i < batch; i++) yield* one
    return batch
  })
  return {
    run: rate(
      () => Effect.runPromise(work),
      () => stopped
    )
  }
}

const memory: Setup = async (_, [count = 0]) => ({
  run: async () => {
    const scope = Scope.makeUnsafe()
    const before = await used()
    const work = Effect.gen(function* () {
      for (let i = 0; i < count; i++) {
        const queue = yield* Queue.bounded<Question>(capacity)
        yield* Effect.forkIn(loop(queue, answering()), scope)
        const n = yield* askOnce(queue)
        if (n !== 0) return yield* Effect.die(new Error("the first answer is 0"))
      }
    })
    await Effect.runPromise(work)
    const bytes = ((await used()) - before) / count
    await Effect.runPromise(Scope.close(scope, Exit.void))
    return { bytes, actors: count }
  }
})

class Crash extends Data.TaggedError("Crash")<{}> {}

/** The queue outlives the loop, which begins anew after a failure: nothing counts restarts, nothing gives up. */
const restart: Setup = async (_, [crashes = 0]) => {
  let incarnation = 0
  const queue = Effect.runSync(Queue.bounded<Question | "Crash">(capacity))
  const body = Effect.gen(function* () {
    const own = ++incarnation
    while (true) {
      const message = yield* Queue.take(queue)
      if (message === "Crash") return yield* new Crash()
      Deferred.doneUnsafe(message, Exit.succeed(own))
    }
  })
  Effect.runFork(Effect.retry(body, { while: () => true }))
  const work = Effect.gen(function* () {
    const times: Array<number> = []
    yield* askOnce(queue)
    for (let i = 0; i < crashes; i++) {
      const old = incarnation
      const from = micros()
      send(queue, "Crash")
      const now = yield* askOnce(queue)
      times.push(micros() - from)
      if (now !== old + 1) return yield* Effect.die(new Error(`incarnation ${now} after ${old}`))
    }
    return times
  })
  return { run: latencies(() => Effect.runPromise(work)) }
}

await serve({ mailbox, pingpong, ring, ask, spawn, memory, restart })
