/**
 * A supervised counter. A message it cannot stand crashes it, its supervisor starts it again from its first state, and
 * callers go on under the same name; crashed too often, the supervisor gives up and says so.
 */
import { Actor, Registry, Supervisor, System, Tree } from "@starling/actor"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import assert from "node:assert/strict"

type Message =
  | { readonly _tag: "Add"; readonly amount: number }
  | { readonly _tag: "Get"; readonly replyTo: Actor.ReplyTo<number> }

const key = Registry.key<Message>("counter")

const counter = Actor.behavior<Message>()({
  name: "counter",
  init: () => Effect.succeed(0),
  receive: (count, message) => {
    if (message._tag === "Add") {
      if (!Number.isSafeInteger(message.amount)) throw new RangeError(`cannot add ${message.amount}`)
      return count + message.amount
    }
    Actor.replyUnsafe(message.replyTo, count)
    return count
  }
})

const program = Effect.gen(function* () {
  const supervisor = yield* Supervisor.start({
    name: "shop",
    intensity: 1,
    period: "1 minute",
    children: [Supervisor.childSpec(counter, { key })]
  })
  const ref = yield* Registry.via(key)
  const get = Actor.ask(ref, (replyTo: Actor.ReplyTo<number>): Message => ({ _tag: "Get", replyTo }))
  const add = (amount: number) => Actor.tell(ref, { _tag: "Add", amount })

  yield* add(2)
  yield* add(3)
  assert.equal(yield* get, 5)

  yield* add(Number.NaN)
  // Between its incarnations nobody holds the name.
  assert.equal(yield* Effect.eventually(get), 0)
  yield* add(7)
  assert.equal(yield* get, 7)
  const [shop] = yield* Tree.snapshot
  assert.equal(shop?.children[0]?.restarts, 1)

  yield* add(Number.NaN)
  const reason = yield* supervisor.await
  assert.equal(reason._tag, "Shutdown")
  const { crashes, gaveUp, restarts } = (yield* System.System).counters()
  assert.deepEqual({ crashes, gaveUp, restarts }, { crashes: 2, gaveUp: 1, restarts: 1 })
  yield* Console.log(`counter: ${crashes} crashes, ${restarts} restart, then its supervisor gave up`)
})

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(System.layer), Effect.timeout("30 seconds")))
