/**
 * A thousand children of one supervisor under load, quiet (`run MS`) or crashing by turns (`crash MS`).
 *
 * A feeder gives each child credit for some messages; the last of them asks for more. A child that starts says so and gets
 * credit anew, so that whoever lives works all the time. Crashes come at a steady rate, the children taking turns in an
 * order that a seed has shuffled.
 */
import { Actor, Registry, Supervisor, System } from "@starling/actor"
import * as Effect from "effect/Effect"
import { collect, millis, type Round, usedNow } from "./rounds.ts"
import { serve } from "./serve.ts"
import { addressOf, inSystem, mailbox } from "./system.ts"

/** Messages that a child may have waiting. Our choice: a mailbox in use, far from full. */
const credit = 32

/** Looks at the heap in a round. Our choice. */
const looks = 6

interface Work {
  readonly _tag: "Work"
  readonly last: boolean
}

type Job = Work | { readonly _tag: "Crash" }

interface Hungry {
  readonly ref: Actor.ActorRef<Job>
  readonly fresh: boolean
}

const crowd = inSystem((_, [size = 0, perSecond = 0]) =>
  Effect.gen(function* () {
    const system = yield* System.System
    let handled = 0
    const feeder = yield* Actor.spawn(
      Actor.behavior<Hungry>()({
        name: "feeder",
        mailbox,
        init: () => Effect.succeed(0),
        receive: (n, { fresh, ref }, self) => {
          if (fresh) self.monitorUnsafe(ref)
          for (let i = credit; i > 0; i--) Actor.tellUnsafe(ref, { _tag: "Work", last: i === 1 })
          return n + 1
        },
        signal: (n) => n
      })
    )
    const child = (name: string) =>
      Actor.behavior<Job>()({
        name,
        mailbox,
        init: (self) =>
          Effect.sync(() => {
            Actor.tellUnsafe(feeder, { ref: self.ref, fresh: true })
            return 0
          }),
        receive: (n, job, self) => {
          if (job._tag === "Crash") throw new Error("crash")
          handled++
          if (job.last) Actor.tellUnsafe(feeder, { ref: self.ref, fresh: false })
          return n + 1
        }
      })
    const names = Array.from({ length: size }, (_, i) => `child-${i}`)
    const addresses = yield* Effect.forEach(names, (name) => addressOf<Job>(name))
    yield* Supervisor.start({
      name: "crowd",
      // What comes in the period, and as much again.
      intensity: Math.ceil(perSecond * 5 * 2),
      period: "5 seconds",
      children: names.map((name) => Supervisor.childSpec(child(name), { key: Registry.key<Job>(name) }))
    })
    // In turns, so that two crashes that are due at once are of two children.
    const turns = shuffled(addresses, seeded(1))
    let turn = 0
    const round =
      (rate: number): Round =>
      async (ms) => {
        const before = {
          alive: system.alive(),
          crashes: system.counters().crashes,
          dropped: system.counters().dropped,
          handled
        }
        const heap: Array<number> = []
        const from = millis()
        let crashes = 0
        // Those that are due, however late the timer is.
        const crashUntil = (elapsed: number) => {
          for (; crashes < (elapsed * rate) / 1000; crashes++) {
            Actor.tellUnsafe(turns[turn++ % size] as Actor.ActorRef<Job>, { _tag: "Crash" })
          }
        }
        for (let now = from; now < from + ms; now = millis()) {
          crashUntil(now - from)
          if (heap.length < ((now - from) * looks) / ms) heap.push(look())
          await new Promise((resolve) => setTimeout(resolve, Math.min(100, from + ms - now)))
        }
        crashUntil(ms)
        const seconds = (millis() - from) / 1000
        const work = handled - before.handled
        // What was sent last may still lie in a mailbox.
        const crashed = () => system.counters().crashes - before.crashes
        const restarted = () => crashed() === crashes && system.alive() === before.alive
        for (const end = millis() + 5000; !restarted() && millis() < end;) {
          await new Promise((resolve) => setTimeout(resolve, 10))
        }
        if (crashed() !== crashes) throw new Error(`${crashes} were to crash, ${crashed()} did`)
        if (system.alive() !== before.alive) throw new Error(`${system.alive()} of ${before.alive} live`)
        if (system.counters().dropped !== before.dropped) throw new Error("a full mailbox dropped messages")
        return { work, seconds, crashes, heap }
      }
    return { run: round(0), crash: round(perSecond), load: round(perSecond) }
  })
)

const look = (): number => {
  collect()
  return usedNow()
}

/** Fisher and Yates. */
const shuffled = <A>(values: ReadonlyArray<A>, random: () => number): ReadonlyArray<A> => {
  const out = [...values]
  for (let i = out.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1))
    const held = out[i] as A
    out[i] = out[j] as A
    out[j] = held
  }
  return out
}

/** Mulberry32. */
const seeded = (seed: number) => (): number => {
  seed = (seed + 0x6d2b79f5) | 0
  let t = Math.imul(seed ^ (seed >>> 15), seed | 1)
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296
}

await serve({ crowd })
