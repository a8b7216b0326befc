/** What the scenario `fleet` books of what befalls the members. */
import { assert, describe, it } from "@effect/vitest"
import { Fault } from "@starling/sim"
import { AgentFleet, SimRuntime } from "@starling/testing"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Fleet from "../src/internal/fleet.ts"

const told = (story: (books: Fleet.Books) => Effect.Effect<void, unknown>): void => {
  const fleet = AgentFleet.make({ size: 3 })
  const books: Fleet.Books = {
    fleet,
    broken: [],
    counts: { struck: 0, missed: 0 },
    losses: [],
    lived: fleet.members.map(() => []),
    since: fleet.members.map(() => 0)
  }
  const whole = Effect.andThen(AgentFleet.startAll(fleet), Effect.andThen(story(books), AgentFleet.stopAll(fleet)))
  const outcome = SimRuntime.run(whole, { seed: 1 })
  if (outcome._tag !== "Done" || Exit.isFailure(outcome.exit)) assert.fail(JSON.stringify(outcome))
  assert.deepStrictEqual(books.broken, [])
}

describe("a start", () => {
  it("of who is down is booked when the run has begun, with the loss of its disk", () =>
    told((books) =>
      Effect.gen(function* () {
        const crashed = yield* Clock.currentTimeMillis
        yield* Fleet.befall(books, Fault.crash("n1"))
        yield* Effect.sleep(11_000)
        yield* Fleet.befall(books, Fault.restart("n1", "lost"))
        assert.strictEqual(books.lived[1]?.length, 1)
        assert.isAbove(books.since[1] ?? 0, crashed + 11_000)
        assert.deepStrictEqual(books.losses, [{ origin: 1, at: crashed }])
      })
    ))

  it("of who runs is none", () =>
    told((books) =>
      Effect.gen(function* () {
        yield* Effect.sleep(1000)
        yield* Fleet.befall(books, Fault.restart("n1", "lost"))
        assert.deepStrictEqual([books.since[1], books.losses], [0, []])
      })
    ))

  it("of who starts is none, and its disk was kept", () =>
    told((books) =>
      Effect.gen(function* () {
        yield* Fleet.befall(books, Fault.crash("n1"))
        yield* Effect.sleep(1000)
        yield* Fleet.befall(books, Fault.stallDisk("n1", 500))
        const starting = yield* Effect.forkChild(Fleet.befall(books, Fault.restart("n1")))
        yield* Effect.sleep(100)
        assert.isTrue(books.fleet.members[1]?.isStarting)
        yield* Fleet.befall(books, Fault.restart("n1", "lost"))
        assert.strictEqual(books.since[1], 0)
        yield* Fiber.join(starting)
        assert.isAbove(books.since[1] ?? 0, 0)
        assert.deepStrictEqual(books.losses, [])
      })
    ))
})

describe("what is stored", () => {
  it("is not owed by whose power went before it answered", () => {
    const at = (atMs: number, fault: (name: string) => Fault.Fault) =>
      Fault.at(atMs, ...["n0", "n1", "n2"].map((name) => fault(name)))
    // Writes end while the process stands still, and it answers in the moment in which it ends.
    const faults = [10_000, 25_000, 40_000].flatMap((atMs) =>
      at(atMs, (name) => Fault.stallDisk(name, 3000)).concat(
        at(atMs + 2900, Fault.pause),
        at(atMs + 6000, (name) => Fault.crash(name)),
        at(atMs + 6500, (name) => Fault.restart(name))
      )
    )
    const outcome = Fleet.fleet.run({ seed: 1, size: 3, minutes: 1, faults })
    assert.deepStrictEqual(outcome.broken, [])
  })
})
