/**
 * A property test of a small machine in the world of the simulator: a lamp that keeps on its disk how often it was
 * switched, and must show each number once and in order, though its host crashes.
 *
 * The lamp that shows a number before it is durable breaks that. The test finds a seed for it, the seed replays it to the
 * last event, and no seed breaks the lamp that waits.
 */
import type { Machine } from "@starling/machine"
import { World } from "@starling/sim"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as fc from "fast-check"
import assert from "node:assert/strict"

interface Lamp extends World.Protocol {
  readonly state: { readonly switched: number }
  readonly message: never
  readonly timer: "switch"
  readonly output: number
  readonly command: { readonly _tag: "Started" }
}

const lamp =
  (hasty: boolean): World.Program<Lamp> =>
  (boot) => ({
    initial: { switched: Number(boot.stored.get("lamp")?.get("switched") ?? 0) },
    step: (state, { event }): Machine.Step<Lamp["state"], World.Action<Lamp>> => {
      const again: World.Action<Lamp> = { _tag: "SetTimer", delayMs: 20, timer: "switch" }
      switch (event._tag) {
        case "Started":
          return [state, [again]]
        case "TimerFired": {
          const switched = state.switched + 1
          const rows = [{ table: "lamp", key: "switched", value: switched }]
          const write: World.Action<Lamp> = { _tag: "Write", token: switched, rows }
          const show: World.Action<Lamp> = { _tag: "Emit", output: switched }
          return [{ switched }, hasty ? [show, write, again] : [write, again]]
        }
        case "Written":
          return [state, hasty ? [] : [{ _tag: "Emit", output: event.token }]]
        default:
          return [state, []]
      }
    }
  })

/** One run: ten crashes, each `gap` milliseconds or more after the last. */
const play = (hasty: boolean, seed: number, gaps: ReadonlyArray<number>) => {
  const shown: Array<number> = []
  const world = World.make<Lamp>({
    seed,
    disk: { latencyMs: [1, 15], onCrash: "lose-all" },
    observer: { output: (_, count) => void shown.push(count) }
  })
  const id = "00000000000a"
  World.join(world, { id, incarnation: 1, address: "lamp:1" }, lamp(hasty), { started: [{ _tag: "Started" }] })
  let at = 0
  for (const gap of gaps) {
    at += 200 + gap
    World.at(world, at, () => World.crash(world, id))
    World.at(world, at + 50, () => World.restart(world, id))
  }
  World.run(world, at + 1000)
  const fell = shown.findIndex((count, n) => n > 0 && count <= (shown[n - 1] ?? 0))
  return { shown, fell, history: World.history(world), crashes: World.counters(world).crashes }
}

const runs = fc.tuple(fc.nat(), fc.array(fc.nat({ max: 100 }), { minLength: 1, maxLength: 10 }))

const holds = fc.check(
  fc.property(runs, ([seed, gaps]) => {
    const run = play(false, seed, gaps)
    return run.fell === -1 && run.crashes === gaps.length && run.shown.length > 10
  }),
  { numRuns: 200 }
)
assert.ok(!holds.failed, `the lamp that waits was broken by ${JSON.stringify(holds.counterexample)}`)

const found = fc.check(
  fc.property(runs, ([seed, gaps]) => play(true, seed, gaps).fell === -1),
  { numRuns: 200 }
)
assert.ok(found.failed && found.counterexample !== null, "no seed found the planted bug")
const [[seed, gaps]] = found.counterexample
const first = play(true, seed, gaps)
assert.deepEqual(play(true, seed, gaps), first)
assert.notEqual(play(true, seed + 1, gaps).history, first.history)

await Effect.runPromise(
  Console.log(
    `seed ${seed}, crash after ${200 + (gaps[0] ?? 0)} ms: shown ${first.shown[first.fell - 1]}, then ${first.shown[first.fell]}; ${holds.numRuns} runs hold when it waits`
  )
)
