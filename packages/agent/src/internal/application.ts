/**
 * The application's side of an agent: who waits for an answer, who listens to broadcasts, who acts on configuration.
 */
import type { Document } from "@starling/fleet"
import { type BroadcastTree, MessageId } from "@starling/gossip"
import type { Machine } from "@starling/machine"
import { Ledger, Wiring } from "@starling/member"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as PubSub from "effect/PubSub"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { type ApplyError, type ApplyRequest, type Delivery, InvalidInput, Unavailable } from "../Agent.ts"

/** What a component may answer a request with. */
export type Answer =
  | { readonly _tag: "Config"; readonly document: Document.ConfigDocument }
  | { readonly _tag: "Event"; readonly document: Document.EventDocument }
  | { readonly _tag: "Accepted"; readonly id: string }
  | { readonly _tag: "Epoch"; readonly epoch: number }

/** The step of the request never began: it may be made again, and if it had to wait, as of when it first came. */
export class Lost {
  readonly _tag = "Lost"
  readonly at: Machine.Instant | undefined

  constructor(at: Machine.Instant | undefined) {
    this.at = at
  }
}

export interface Handler {
  readonly pattern: string
  readonly apply: (request: ApplyRequest) => Effect.Effect<void, ApplyError>
}

/** Requests under way at once; more are refused, which the API answers with 503. Our choice. */
const waitingMax = 4096

/** Broadcasts that wait for one slow subscriber; the oldest are dropped and counted. Our choice. */
const deliveriesMax = 10_000

/**
 * An answer takes a store write and a few turns; after this long the disk is stuck, the component is gone, or the node does not
 * know what time it is, which in a fleet that does not agree takes longer.
 */
const answerTimeout = "10 seconds"

/** The number tells a subscriber what is missing before it. */
interface Numbered {
  readonly number: number
  readonly id: string
  readonly payload: unknown
}

export interface Application {
  nextToken: number
  readonly waiting: Map<number, (exit: Exit.Exit<Answer, InvalidInput | Unavailable | Lost>) => void>
  readonly deliveries: PubSub.PubSub<Numbered>
  readonly changes: PubSub.PubSub<void>
  readonly handlers: Array<Handler>
  readonly byOrigin: Map<string, number>
  /** What was handed to subscribers: a record of this side's own, so that a mistake of the host would show here. */
  handed: Ledger.Ledger
  /** Events that were told again after a crash took them; a second crash does not. */
  readonly again: WeakSet<object>
  readonly counters: {
    delivered: number
    duplicates: number
    lagged: number
    applied: number
    applyFailed: number
    outdated: number
  }
}

export const make: Effect.Effect<Application> = Effect.gen(function* () {
  return {
    nextToken: 1,
    waiting: new Map(),
    deliveries: yield* PubSub.sliding<Numbered>(deliveriesMax),
    changes: yield* PubSub.sliding<void>(1),
    handlers: [],
    byOrigin: new Map<string, number>(),
    handed: Ledger.empty,
    again: new WeakSet<object>(),
    counters: { delivered: 0, duplicates: 0, lagged: 0, applied: 0, applyFailed: 0, outdated: 0 }
  }
})

/**
 * Asks a component and waits for the answer, which comes when what was asked is durable. A request whose step crashed
 * before it began is made again: nothing of it happened.
 *
 * `withdraw` takes back a request that still waits for the time when its caller gives up, and says whether it did: the
 * caller may ask again, and would find the change made twice.
 */
export const ask = (
  application: Application,
  request: (token: number) => Wiring.Delivery,
  tell: (delivery: Wiring.Delivery) => boolean,
  withdraw: (token: number) => boolean
): Effect.Effect<Answer, InvalidInput | Unavailable> =>
  Effect.suspend(() => {
    let cameAt: Machine.Instant | undefined
    const attempt = Effect.suspend(() => {
      const token = application.nextToken++
      const delivery = cameAt === undefined ? request(token) : Wiring.occurredAt(request(token), cameAt)
      let isWithdrawn = false
      const giveUp = Effect.sync(() => {
        application.waiting.delete(token)
        isWithdrawn ||= withdraw(token)
      })
      return askOnce(application, token, delivery, tell).pipe(
        Effect.onInterrupt(() => giveUp),
        Effect.timeoutOrElse({
          duration: answerTimeout,
          // Whether or not what is interrupted has ended by now.
          orElse: () =>
            Effect.flatMap(giveUp, () =>
              Effect.fail(new Unavailable({ message: isWithdrawn ? timeUnknown : unanswered }))
            )
        })
      )
    })
    return attempt.pipe(
      Effect.tapError((error) => Effect.sync(() => void (error._tag === "Lost" && (cameAt = error.at)))),
      Effect.retry({ while: (error) => error._tag === "Lost", times: 5 }),
      Effect.catchTag("Lost", () =>
        Effect.fail(
          new Unavailable({ message: "the component crashed again and again before it could store the request" })
        )
      )
    )
  })

const unanswered = "no answer within 10 s: it may have been stored or not; look before you ask again"

const timeUnknown =
  "this node does not know yet what time it is, and did not learn it within 10 s; nothing was stored, try again"

const askOnce = (
  application: Application,
  token: number,
  delivery: Wiring.Delivery,
  tell: (delivery: Wiring.Delivery) => boolean
): Effect.Effect<Answer, InvalidInput | Unavailable | Lost> =>
  Effect.callback((resume) => {
    if (application.waiting.size >= waitingMax) {
      return resume(Effect.fail(new Unavailable({ message: `${waitingMax} requests wait already; try again later` })))
    }
    application.waiting.set(token, (exit) => {
      application.waiting.delete(token)
      resume(exit)
    })
    if (!tell(delivery)) {
      application.waiting.delete(token)
      return resume(Effect.fail(new Unavailable({ message: "the component's mailbox is full; try again later" })))
    }
    return undefined
  })

/**
 * An event was lost to a crash before its step. Whoever waits for an answer asks again; what the application says without
 * waiting is told once more, since nobody else would repeat it.
 */
export const onLost = (
  application: Application,
  delivery: Wiring.Delivery,
  tell: (delivery: Wiring.Delivery) => boolean
): void => {
  const { event } = delivery
  if ("token" in event && event._tag !== "Written") {
    return settle(application, event.token, Exit.fail(new Lost("at" in event ? event.at : undefined)))
  }
  if (!said.has(event._tag) || application.again.has(event)) return
  application.again.add(event)
  tell(delivery)
}

/** Events that come from the application, and wait for no answer. */
const said: ReadonlySet<Wiring.Delivery["event"]["_tag"]> = new Set<Wiring.Delivery["event"]["_tag"]>([
  "Applied",
  "Handles",
  "Leave",
  "Published"
])

/**
 * What a component says to the application. `apply` runs the handlers of a configuration entry, `outdated` keeps the
 * number of a later run of this node that a peer knows.
 */
export const onOutput = (
  application: Application,
  output: Wiring.ToApplication,
  on: { readonly apply: (request: ApplyRequest) => void; readonly outdated: (incarnation: number) => void }
): void => {
  switch (output._tag) {
    case "Accepted":
      return settle(application, output.token, Exit.succeed({ _tag: "Accepted", id: MessageId.toText(output.id) }))
    case "Rejected":
      return settle(application, output.token, Exit.fail(rejection(output.reason)))
    case "Delivered": {
      const { counters, byOrigin } = application
      counters.delivered++
      if (Ledger.has(application.handed, output.id)) counters.duplicates++
      application.handed = Ledger.record(application.handed, output.id)
      countOf(byOrigin, output.id.origin)
      const delivery = { number: counters.delivered, id: MessageId.toText(output.id), payload: output.payload }
      if (PubSub.publishUnsafe(application.deliveries, delivery)) return
      counters.lagged++
      // Only the Effect makes room, by dropping the oldest; a sliding PubSub never waits.
      Effect.runSync(PubSub.publish(application.deliveries, delivery))
      return
    }
    case "Answer":
      return settle(
        application,
        output.token,
        output.answer._tag === "Invalid"
          ? Exit.fail(new InvalidInput({ where: output.answer.where, message: output.answer.message }))
          : Exit.succeed(output.answer)
      )
    case "Apply":
      return on.apply({ entry: output.entry, previous: output.previous ?? null })
    case "Changed":
      PubSub.publishUnsafe(application.changes, undefined)
      return
    case "Outdated":
      application.counters.outdated++
      on.outdated(output.incarnation)
  }
}

/** Of whoever was heard of first, the number begins anew where there are too many. */
const countOf = (byOrigin: Map<string, number>, origin: string): void => {
  const before = byOrigin.get(origin)
  if (before === undefined && byOrigin.size >= Ledger.originsMax) {
    for (const first of byOrigin.keys()) {
      byOrigin.delete(first)
      break
    }
  }
  byOrigin.set(origin, (before ?? 0) + 1)
}

const rejection = (reason: BroadcastTree.Rejection): InvalidInput | Unavailable => {
  switch (reason) {
    case "busy":
      return new Unavailable({ message: "too many broadcasts wait to be stored; try again later" })
    case "too-large":
      return new InvalidInput({ where: "payload", message: "a broadcast is at most 512 KiB" })
    case "bad-topic":
      return new InvalidInput({ where: "topic", message: "a topic is a whole number from 0 to 255" })
  }
}

/** What is delivered from now on; each element says how many this subscriber lost right before it. */
export const subscribe = (application: Application): Effect.Effect<Stream.Stream<Delivery>, never, Scope.Scope> =>
  Effect.map(PubSub.subscribe(application.deliveries), (subscription) => {
    let last = application.counters.delivered
    return Stream.map(Stream.fromSubscription(subscription), ({ id, number, payload }): Delivery => {
      // Below 0 for what came between the subscription and the line above.
      const lagged = Math.max(0, number - last - 1)
      last = number
      return { id, payload, lagged }
    })
  })

/** The distinct patterns that anything on this node handles. */
export const patterns = (application: Application): ReadonlyArray<string> => [
  ...new Set(application.handlers.map((handler) => handler.pattern))
]

/** Keeps the services of who registered a handler, so that it can run later. */
export const provided =
  <R>(
    apply: (request: ApplyRequest) => Effect.Effect<void, ApplyError, R>,
    context: Context.Context<R>
  ): Handler["apply"] =>
  (request) =>
    Effect.provideContext(apply(request), context)

const settle = (
  application: Application,
  token: number,
  exit: Exit.Exit<Answer, InvalidInput | Unavailable | Lost>
): void => application.waiting.get(token)?.(exit)
