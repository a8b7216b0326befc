/** What looks on from outside of the runtime sees every incarnation, supervisors included. */
import { Actor, ExitReason, Supervisor, System } from "@starling/actor"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { settle } from "./settle.ts"

const worker = Actor.behavior<"Work">()({ name: "worker", init: () => Effect.void, receive: (state) => state })

describe("System.Instrument", () => {
  it.effect(
    "comes before each init with its Scope, and before each message; a system is handed out as it is made",
    () =>
      Effect.gen(function* () {
        const seen: Array<string> = []
        const systems: Array<System.System["Service"]> = []
        const instruments: System.Instruments = {
          system: (system) => void systems.push(system),
          init: ({ incarnation, path }) => {
            const who = `${path.join("/")} ${incarnation}`
            seen.push(`begins ${who}`)
            return Effect.addFinalizer(() => Effect.sync(() => void seen.push(`ends ${who}`)))
          },
          handling: ({ path }) => void seen.push(`handles ${path.join("/")}`)
        }
        const system = yield* Effect.provideService(System.make, System.Instrument, instruments)
        assert.deepStrictEqual(systems, [system])
        yield* Effect.gen(function* () {
          const top = yield* Supervisor.start({ name: "top", children: [Supervisor.childSpec(worker)] })
          const [child] = yield* top.whichChildren
          const ref = Option.getOrThrow(child?.ref ?? Option.none())
          yield* Actor.exit(ref, ExitReason.killed)
          yield* settle
          yield* top.stop
        }).pipe(Effect.provideService(System.System, system), Effect.scoped)
        assert.deepStrictEqual(
          seen.filter((what) => what !== "handles top"),
          [
            "begins top 1",
            "begins top/worker 1",
            "ends top/worker 1",
            "begins top/worker 2",
            "ends top/worker 2",
            "ends top 1"
          ]
        )
        assert.include(seen, "handles top")
      })
  )

  it.effect("an init that it lets fail is one that failed", () =>
    Effect.gen(function* () {
      const system = yield* Effect.provideService(System.make, System.Instrument, {
        system: () => {},
        init: () => Effect.die(new Error("not today")),
        handling: () => {}
      })
      const exit = yield* Effect.exit(Effect.scoped(Effect.provideService(Actor.spawn(worker), System.System, system)))
      assert.include(String(exit), "not today")
      assert.strictEqual(system.alive(), 0)
    })
  )
})
