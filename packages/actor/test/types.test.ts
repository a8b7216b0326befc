import { Actor, type Registry, Supervisor } from "@starling/actor"
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"

type Inc = { readonly _tag: "Inc" }
type Get = { readonly _tag: "Get"; readonly replyTo: Actor.ReplyTo<number, "negative"> }

class Db extends Context.Service<Db, { readonly load: Effect.Effect<number, "dbDown"> }>()("test/types/Db") {}

const counter = Actor.behavior<Inc | Get>()({
  name: "counter",
  init: () => Effect.flatMap(Db, (db) => db.load),
  receive: (n, msg) => (msg._tag === "Inc" ? n + 1 : Effect.as(Actor.reply(msg.replyTo, n), n))
})

/** Checked by the compiler; never run. */
export const program = (ref: Actor.ActorRef<Inc | Get>, key: Registry.RegistryKey<Inc | Get>) => {
  const narrowed: Actor.ActorRef<Inc> = ref
  // @ts-expect-error a reference for fewer messages is none for more
  const widened: Actor.ActorRef<Inc | Get> = narrowed
  // @ts-expect-error a message that the actor does not know
  const unknown: boolean = Actor.tellUnsafe(ref, { _tag: "Nope" })
  const answer: Effect.Effect<number, "negative" | Actor.AskTimeout | Actor.ActorDown | Actor.MailboxFull> = Actor.ask(
    ref,
    (replyTo: Actor.ReplyTo<number, "negative">) => ({ _tag: "Get" as const, replyTo })
  )
  const spec: Supervisor.ChildSpec<Db> = Supervisor.childSpec(counter, { key })
  // @ts-expect-error the service of init is still needed
  const free: Supervisor.ChildSpec<never> = spec
  const top = Supervisor.nested({ name: "top", children: [spec] })
  const needs: Supervisor.ChildSpec<Db> = top
  return [widened, unknown, answer, free, needs]
}

describe("the types of actors", () => {
  it("are checked by the compiler", () => assert.isFunction(program))
})
