import { Actor, ExitReason, Registry, Supervisor, System } from "@starling/actor"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Result from "effect/Result"
import * as TestClock from "effect/testing/TestClock"
import * as fc from "fast-check"
import { type ChildPlan, Model, type Reply } from "./Model.ts"
import { settle } from "./settle.ts"

type Op =
  | { readonly _tag: "Exit"; readonly id: string; readonly reason: "normal" | "failed" | "killed" }
  | { readonly _tag: "Terminate" | "Restart" | "Delete"; readonly id: string }
  | { readonly _tag: "Start"; readonly plan: ChildPlan }
  | { readonly _tag: "Wait"; readonly ms: number }

const ids = ["a", "b", "c", "d", "e"]
const id = fc.constantFrom(...ids)
const restart = fc.constantFrom("permanent", "permanent", "transient", "temporary")
const plan = (id: fc.Arbitrary<string>): fc.Arbitrary<ChildPlan> =>
  fc.record({
    id,
    restart,
    failOn: fc.array(fc.integer({ min: 2, max: 6 }), { maxLength: 2 })
  }) as fc.Arbitrary<ChildPlan>
const op: fc.Arbitrary<Op> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ _tag: fc.constant("Exit"), id, reason: fc.constantFrom("normal", "failed", "killed") })
  },
  { weight: 3, arbitrary: fc.record({ _tag: fc.constantFrom("Terminate", "Restart", "Delete"), id }) },
  { weight: 1, arbitrary: fc.record({ _tag: fc.constant("Start"), plan: plan(id) }) },
  { weight: 2, arbitrary: fc.record({ _tag: fc.constant("Wait"), ms: fc.constantFrom(1, 499, 500, 501, 1000) }) }
) as fc.Arbitrary<Op>

const scenario = fc.record({
  strategy: fc.constantFrom("one_for_one" as const, "one_for_all" as const, "rest_for_one" as const),
  intensity: fc.integer({ min: 0, max: 4 }),
  plans: fc.uniqueArray(plan(id), { selector: (plan) => plan.id, minLength: 1, maxLength: 4 }),
  ops: fc.array(op, { maxLength: 15 })
})

const keyOf = (id: string): Registry.RegistryKey<never> => Registry.key<never>(id)

class Real {
  readonly events: Array<string> = []
  private readonly generations = new Map<string, number>()

  readonly spec = ({ id, restart, failOn }: ChildPlan): Supervisor.ChildSpec<never> =>
    Supervisor.childSpec(
      Actor.behavior<never>()({
        name: id,
        init: () =>
          Effect.suspend(() => {
            const generation = (this.generations.get(id) ?? 0) + 1
            this.generations.set(id, generation)
            const fails = failOn.includes(generation)
            this.events.push(`${fails ? "init_fail" : "start"} ${id} ${generation}`)
            return fails ? Effect.fail("init" as const) : Effect.succeed(0)
          }),
        receive: (state) => state,
        terminate: (_, reason) => Effect.sync(() => this.events.push(`terminate ${id} ${reason._tag.toLowerCase()}`))
      }),
      { key: keyOf(id), restart }
    )
}

const reply = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<Reply | "down", never, R> =>
  Effect.map(Effect.result(effect), (result) => {
    if (Result.isSuccess(result)) return "ok"
    const error: unknown = result.failure
    if (error instanceof Supervisor.ChildRefused) return error.reason === "max_children" ? "failed" : error.reason
    return error instanceof Supervisor.SupervisorDown ? "down" : "failed"
  })

const reasons = {
  normal: ExitReason.normal,
  failed: ExitReason.failure("oops"),
  killed: ExitReason.killed
}

const act = Effect.fnUntraced(function* (real: Real, model: Model, supervisor: Supervisor.Supervisor, op: Op) {
  switch (op._tag) {
    case "Wait":
      model.now += op.ms
      yield* TestClock.adjust(op.ms)
      return
    case "Exit":
      yield* Actor.exit(yield* Registry.via(keyOf(op.id)), reasons[op.reason])
      yield* settle
      return model.exits(op.id, op.reason)
    case "Terminate":
      return assert.strictEqual(yield* reply(supervisor.terminateChild(op.id)), model.terminateChild(op.id))
    case "Restart":
      return assert.strictEqual(yield* reply(supervisor.restartChild(op.id)), model.restartChild(op.id))
    case "Delete":
      return assert.strictEqual(yield* reply(supervisor.deleteChild(op.id)), model.deleteChild(op.id))
    case "Start":
      return assert.strictEqual(yield* reply(supervisor.startChild(real.spec(op.plan))), model.startChild(op.plan))
  }
})

const compare = Effect.fnUntraced(function* ({
  intensity,
  ops,
  plans,
  strategy
}: typeof scenario extends fc.Arbitrary<infer A> ? A : never) {
  const model = new Model(strategy, intensity, 1000)
  const real = new Real()
  const system = yield* System.System
  const started = yield* Effect.result(
    Supervisor.start({ name: "top", strategy, intensity, period: 1000, children: plans.map(real.spec) })
  )
  assert.strictEqual(Result.isSuccess(started), model.begin(plans))
  if (Result.isFailure(started)) return
  const supervisor = started.success
  for (const op of ops) {
    if (model.ended) break
    yield* act(real, model, supervisor, op)
    assert.deepStrictEqual(real.events, model.events)
    assert.strictEqual(Actor.isAlive(supervisor.ref), !model.ended)
    if (model.ended) break
    const children = yield* supervisor.whichChildren
    assert.deepStrictEqual(
      children.toReversed().map(({ id, state }) => `${id} ${state}`),
      model.children.map(({ id, state }) => `${id} ${state}`)
    )
    const running = model.children.filter(({ state }) => state === "running").map(({ id }) => id)
    assert.deepStrictEqual(yield* Registry.names, running.toSorted())
    assert.strictEqual(system.alive(), running.length + 1)
  }
  if (!model.ended) model.end()
  yield* supervisor.stop
  yield* settle
  assert.deepStrictEqual(real.events, model.events)
  assert.strictEqual(system.alive(), 0)
  assert.deepStrictEqual(yield* Registry.names, [])
})

const world = Layer.mergeAll(System.layer, Logger.layer([])).pipe(Layer.provideMerge(TestClock.layer()))

describe("Supervisor, against a plain model of the rules", () => {
  it(
    "any children under any strategy: the same events, states, answers and names, and nothing is left",
    () =>
      fc.assert(
        fc.asyncProperty(scenario, (input) =>
          Effect.runPromise(compare(input).pipe(Effect.scoped, Effect.provide(world)))
        )
      ),
    600_000
  )
})
