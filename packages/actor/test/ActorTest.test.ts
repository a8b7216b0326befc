import { Actor, ActorTest, ExitReason, Mailbox, Registry, Supervisor, System } from "@starling/actor"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as fc from "fast-check"

// ---- the planted race: tellers read a balance and write the sum back, and one of two orders comes a longer way

type Account =
  | { readonly _tag: "Get"; readonly replyTo: Actor.ReplyTo<number> }
  | { readonly _tag: "Set"; readonly balance: number; readonly replyTo: Actor.ReplyTo<void> }

type Order = { readonly amount: number; readonly replyTo: Actor.ReplyTo<void> }

const get = (replyTo: Actor.ReplyTo<number>): Account => ({ _tag: "Get", replyTo })

const account = Actor.behavior<Account>()({
  name: "account",
  init: () => Effect.succeed(0),
  receive: (balance, msg) => {
    if (msg._tag === "Get") {
      Actor.replyUnsafe(msg.replyTo, balance)
      return balance
    }
    Actor.replyUnsafe(msg.replyTo, undefined)
    return msg.balance
  }
})

const teller = (name: string, of: Actor.ActorRef<Account>) =>
  Actor.behavior<Order>()({
    name,
    init: () => Effect.void,
    receive: (_, { amount, replyTo }) =>
      Effect.gen(function* () {
        const balance = yield* Actor.ask(of, get)
        yield* Actor.ask(of, (replyTo): Account => ({ _tag: "Set", balance: balance + amount, replyTo }))
        yield* Actor.reply(replyTo, undefined)
      })
  })

const office = (name: string, to: Actor.ActorRef<Order>) =>
  Actor.behavior<Order>()({
    name,
    init: () => Effect.void,
    receive: (_, order) => void Actor.tellUnsafe(to, order)
  })

const deposit =
  (amount: number) =>
  (replyTo: Actor.ReplyTo<void>): Order => ({ amount, replyTo })

const lostUpdate = Effect.gen(function* () {
  const shared = yield* Actor.spawn(account)
  const here = yield* Actor.spawn(teller("here", shared))
  const there = yield* Actor.spawn(teller("there", shared))
  const away = yield* Actor.spawn(office("away", yield* Actor.spawn(office("clearing", there))))
  yield* Effect.all([Actor.ask(here, deposit(10)), Actor.ask(away, deposit(20))], { concurrency: "unbounded" })
  const balance = yield* Actor.ask(shared, get)
  if (balance !== 30) return yield* Effect.fail(`${balance} after deposits of 10 and 20`)
})

// ---- the planted ring: two actors that tell each other, with room for one

type Ball = { readonly _tag: "Ball"; readonly left: number }

const player = (name: string, other: Registry.RegistryKey<Ball>, mailbox: Mailbox.Mailbox) =>
  Actor.behavior<Ball>()({
    name,
    mailbox,
    init: () => Registry.via(other),
    receive: (to, { left }) =>
      left === 0
        ? to
        : Effect.as(
            Effect.forEach([1, 2], () => Actor.tell(to, { _tag: "Ball", left: left - 1 }), { discard: true }),
            to
          )
  })

const ring = (mailbox: Mailbox.Mailbox) =>
  Effect.gen(function* () {
    const [a, b] = [Registry.key<Ball>("a"), Registry.key<Ball>("b")]
    const ref = yield* Actor.spawn(player("a", b, mailbox), { key: a })
    yield* Actor.spawn(player("b", a, mailbox), { key: b })
    // Something that never rests, elsewhere: there is always a timer.
    yield* Effect.forkScoped(Effect.forever(Effect.sleep(10)))
    yield* Actor.tell(ref, { _tag: "Ball", left: 4 })
    yield* Effect.sleep("1 second")
  })

// ---- what asks

type Chain = { readonly _tag: "Go"; readonly replyTo: Actor.ReplyTo<string> }

const go = (replyTo: Actor.ReplyTo<string>): Chain => ({ _tag: "Go", replyTo })

const answerer = (name: string) =>
  Actor.behavior<Chain>()({
    name,
    init: () => Effect.void,
    receive: (_, { replyTo }) => Actor.replyUnsafe(replyTo, "end")
  })

/** Asks the next one before it answers. */
const asker = (name: string, next: string, timeout: number | "infinity") =>
  Actor.behavior<Chain>()({
    name,
    init: () => Registry.via(Registry.key<Chain>(next)),
    receive: (to, { replyTo }) =>
      Actor.ask(to, go, timeout === "infinity" ? Number.POSITIVE_INFINITY : timeout).pipe(
        Effect.match({ onSuccess: (text) => `${name} ${text}`, onFailure: ({ _tag }) => `${name} ${_tag}` }),
        Effect.tap((text) => Actor.reply(replyTo, text)),
        Effect.as(to)
      )
  })

const askers = (timeout: number | "infinity", ...names: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const refs = yield* Effect.forEach(names, (name, index) =>
      Actor.spawn(asker(name, names[(index + 1) % names.length] ?? name, timeout), { key: Registry.key<Chain>(name) })
    )
    yield* Effect.forkScoped(Effect.forever(Effect.sleep(100)))
    return yield* Actor.ask(refs[0] as Actor.ActorRef<Chain>, go, Number.POSITIVE_INFINITY)
  })

/** The members of each ring of a graph in which everybody leads to one other, or to none. */
const ringsOf = (next: ReadonlyArray<number | null>): ReadonlyArray<ReadonlyArray<number>> => {
  const rings = new Map<string, ReadonlyArray<number>>()
  for (const start of next.keys()) {
    const path: Array<number> = []
    let at: number | null | undefined = start
    while (at !== null && at !== undefined && !path.includes(at)) {
      path.push(at)
      at = next[at]
    }
    if (at === null || at === undefined) continue
    const ring = path.slice(path.indexOf(at)).toSorted()
    rings.set(ring.join(), ring)
  }
  return [...rings.values()]
}

const failureOf = <A, E>({ failure }: ActorTest.Exploration<A, E>): ActorTest.Outcome<A, E> =>
  Option.getOrThrowWith(failure, () => new Error("no seed failed"))

describe("a run by a seed", () => {
  it("the same seed gives the same history and the same end, whatever the program", () => {
    const ops = fc.array(fc.record({ to: fc.nat(3), naps: fc.nat(3), again: fc.boolean() }), { minLength: 1 })
    fc.assert(
      fc.property(ops, fc.nat(), (ops, seed) => {
        const program = Effect.gen(function* () {
          const order: Array<string> = []
          const refs = yield* Effect.forEach([0, 1, 2, 3], (index) =>
            Actor.spawn(
              Actor.behavior<{ readonly op: number; readonly again: boolean }>()({
                name: `w${index}`,
                mailbox: Mailbox.bounded(2),
                init: () => Effect.succeed(0),
                receive: (count, { again, op }, self) => {
                  order.push(`${self.name} ${op}`)
                  if (again) self.sendAfterUnsafe(5, { op, again: false })
                  return op % 2 === 0 ? count + 1 : Effect.as(Effect.sleep(1), count + 1)
                }
              })
            )
          )
          yield* Effect.forEach(
            ops,
            ({ again, naps, to }, op) =>
              Effect.gen(function* () {
                for (let nap = 0; nap < naps; nap++) yield* Effect.sleep(yield* Random.nextIntBetween(0, 5))
                yield* Actor.tell(refs[to] as Actor.ActorRef<{ op: number; again: boolean }>, { op, again })
              }),
            { concurrency: "unbounded", discard: true }
          )
          yield* Effect.sleep(100)
          return order
        })
        const [first, again] = [0, 1].map(() => ActorTest.run(program, { seed }))
        assert.strictEqual(first?._tag, "Done")
        assert.deepStrictEqual(first, again)
      }),
      { numRuns: 30 }
    )
  })

  it("different seeds give different histories, where there is something to choose", () => {
    const { failure, histories, runs } = ActorTest.explore(ring(Mailbox.bounded(1000)), { runs: 50 })
    assert.deepStrictEqual([failure, runs], [Option.none(), 50])
    assert.isAbove(histories, 45)
    assert.strictEqual(ActorTest.explore(Effect.void, { runs: 20 }).histories, 1)
  })

  it("what is noted is part of the history", () => {
    const noting = (text: string) => Effect.map(ActorTest.Note, (note) => note(text))
    const [a, same, b] = ["a", "a", "b"].map((text) => ActorTest.run(noting(text), { seed: 1 }).history)
    assert.strictEqual(a, same)
    assert.notStrictEqual(a, b)
  })
})

describe("an exploration", () => {
  it("finds a race that no run without a seed shows, and replays it", async () => {
    for (let i = 0; i < 20; i++) {
      await Effect.runPromise(lostUpdate.pipe(Effect.scoped, Effect.provide(System.layer)))
    }
    const exploration = ActorTest.explore(lostUpdate)
    const found = failureOf(exploration)
    assert.ok(found._tag === "Done" && Exit.isFailure(found.exit))
    assert.match(ActorTest.toText(found), /^seed \d+ failed: [12]0 after deposits of 10 and 20; .* replay: /)
    assert.deepStrictEqual(ActorTest.run(lostUpdate, { seed: found.seed }), found)
    assert.throws(() => ActorTest.check(lostUpdate), `replay: ActorTest.run(program, { seed: ${found.seed} })`)
  })

  it("a timeout is over at its millisecond, whatever the instant", () => {
    const silent = Actor.behavior<Actor.ReplyTo<number>>()({
      name: "silent",
      init: () => Effect.void,
      receive: () => undefined
    })
    for (let i = 0; i < 60; i++) {
      const asking = Effect.gen(function* () {
        const ref = yield* Actor.spawn(silent)
        yield* Effect.sleep(i)
        yield* Effect.exit(Actor.ask(ref, (to: Actor.ReplyTo<number>) => to, 1001 + (i % 7)))
      })
      assert.strictEqual(ActorTest.run(asking, { seed: 1 }).virtualMs, i + 1001 + (i % 7))
    }
  })

  it("finds two actors that wait on each other's full mailboxes, while timers run elsewhere", () => {
    const found = failureOf(ActorTest.explore(ring(Mailbox.bounded(1))))
    assert.ok(found._tag === "Deadlock")
    assert.oneOf(found.ring, ["a → b → a", "b → a → b"])
    assert.strictEqual(found.virtualMs, 0)
    assert.deepStrictEqual(
      found.waiting
        .filter(({ on }) => on === "room")
        .map(({ actor, doing, on, timeoutMs, to }) => [actor, doing, on, to, timeoutMs])
        .toSorted(),
      [
        ["a", "handler", "room", "b", null],
        ["b", "handler", "room", "a", null]
      ]
    )
    assert.deepStrictEqual(ActorTest.run(ring(Mailbox.bounded(1)), { seed: found.seed }), found)
    assert.match(ActorTest.toText(found), /^seed \d+ ended in a deadlock: [ab] → [ab] → [ab]; .*replay: /)
    assert.include(ActorTest.toText(found), 'a, handling { _tag: "Ball"')
  })

  it("tries the seeds it is given, in their order, and stops at the first that fails", () => {
    const fails = Effect.gen(function* () {
      if ((yield* Random.next) > 0.5) return yield* Effect.fail("no")
    })
    const seeds = ["a", "b", "c", "d", "e", "f", "g", "h"]
    const first = seeds.findIndex((seed) => ActorTest.isFailure(ActorTest.run(fails, { seed })))
    const { failure, runs } = ActorTest.explore(fails, { seeds })
    assert.strictEqual(runs, first + 1)
    assert.deepStrictEqual(
      Option.map(failure, ({ seed }) => seed),
      Option.fromUndefinedOr(seeds[first])
    )
  })
})

describe("a standstill", () => {
  it("a ring of questions without a timeout, of one, two and three", () => {
    for (const names of [["a"], ["a", "b"], ["a", "b", "c"]]) {
      const outcome = ActorTest.run(askers("infinity", ...names), { seed: 1 })
      assert.ok(outcome._tag === "Deadlock", outcome._tag)
      assert.strictEqual(outcome.ring?.split(" → ").length, names.length + 1)
    }
  })

  it("whoever asks whom: a deadlock if and only if the questions lead into a ring, and it is that ring", () => {
    const graphs = fc
      .integer({ min: 1, max: 6 })
      .chain((size) => fc.array(fc.option(fc.nat(size - 1)), { minLength: size, maxLength: size }))
    fc.assert(
      fc.property(graphs, fc.nat(), (next, seed) => {
        const program = Effect.gen(function* () {
          const refs = yield* Effect.forEach(next, (to, index) => {
            const options = { key: Registry.key<Chain>(`${index}`) }
            return to === null
              ? Actor.spawn(answerer(`${index}`), options)
              : Actor.spawn(asker(`${index}`, `${to}`, "infinity"), options)
          })
          yield* Effect.forkScoped(Effect.forever(Effect.sleep(1)))
          yield* Effect.forEach(refs, (ref) => Actor.ask(ref, go, Number.POSITIVE_INFINITY), {
            concurrency: "unbounded",
            discard: true
          })
        })
        const outcome = ActorTest.run(program, { seed })
        const rings = ringsOf(next)
        assert.strictEqual(outcome._tag, rings.length > 0 ? "Deadlock" : "Done")
        if (outcome._tag === "Deadlock") {
          const members = outcome.ring?.split(" → ").slice(1).map(Number) ?? []
          for (const [at, member] of members.entries()) {
            assert.strictEqual(members[(at + 1) % members.length], next[member])
          }
          assert.deepInclude(rings, members.toSorted())
        }
      }),
      { numRuns: 60 }
    )
  })

  it("a question with a timeout closes no ring", () => {
    const outcome = ActorTest.run(askers(1000, "a", "b"), { seed: 1 })
    assert.ok(outcome._tag === "Done")
    assert.deepStrictEqual(outcome.exit, Exit.succeed("a AskTimeout"))
  })

  it("an actor that waits while it ends closes no ring: who stopped it waits only so long", () => {
    const program = Effect.gen(function* () {
      const [a, b] = [Registry.key<Chain>("a"), Registry.key<Chain>("b")]
      const waits = Effect.flatMap(Registry.via(b), (to) => Effect.ignore(Actor.ask(to, go, Number.POSITIVE_INFINITY)))
      const ending = Actor.behavior<Chain>()({
        name: "a",
        init: () => Effect.context<System.System>(),
        receive: (state) => state,
        terminate: (context) => Effect.provide(waits, context)
      })
      yield* Actor.spawn(asker("b", "a", "infinity"), { key: b })
      const top = yield* Supervisor.start({
        name: "top",
        children: [Supervisor.childSpec(ending, { key: a, restart: "temporary" })]
      })
      const asking = yield* Effect.forkChild(Actor.ask(yield* Registry.via(b), go, Number.POSITIVE_INFINITY))
      yield* Effect.sleep(1)
      yield* top.terminateChild("a")
      return yield* Fiber.join(asking)
    })
    const outcome = ActorTest.run(program, { seed: 1 })
    assert.ok(outcome._tag === "Done", ActorTest.toText(outcome))
    assert.deepStrictEqual(outcome.exit, Exit.succeed("b ActorDown"))
    assert.strictEqual(outcome.virtualMs, 5001)
  })

  it("a child whose init asks its own supervisor", () => {
    const key = Supervisor.key("top")
    const program = Effect.gen(function* () {
      const child = Actor.behavior<never>()({
        name: "child",
        init: () => Effect.flatMap(Supervisor.via(key), ({ countChildren }) => countChildren),
        receive: (state) => state
      })
      yield* Supervisor.start({ name: "top", children: [Supervisor.childSpec(child)] }, { key })
    })
    const outcome = ActorTest.run(program, { seed: 1 })
    assert.ok(outcome._tag === "Deadlock")
    assert.oneOf(outcome.ring, ["top → top/child → top", "top/child → top → top/child"])
    assert.include(ActorTest.toText(outcome), "top/child, in its init, waits for an answer of top")
    assert.include(ActorTest.toText(outcome), "top, in its init, waits for the init of top/child to return")
  })

  it("nothing that runs, and no timer: says who waits, and what for", () => {
    const program = Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const ref = yield* Actor.spawn(
        Actor.behavior<Chain>()({ name: "gated", init: () => Effect.void, receive: () => Deferred.await(gate) })
      )
      return yield* Actor.ask(ref, go, Number.POSITIVE_INFINITY)
    })
    const outcome = ActorTest.run(program, { seed: 1 })
    assert.ok(outcome._tag === "Deadlock")
    assert.deepStrictEqual(ActorTest.toText(outcome).split("\n").slice(1), [
      '  gated, handling { _tag: "Go", replyTo: <reply to> }, waits for something that is no actor',
      "  the program waits for an answer of gated"
    ])
  })

  it("two actors that push a message to and fro at one instant are a livelock; with a timer between, endless", () => {
    const pingPong = (delay: number) =>
      Effect.gen(function* () {
        const [a, b] = [Registry.key<"ball">("a"), Registry.key<"ball">("b")]
        const side = (name: string, other: Registry.RegistryKey<"ball">) =>
          Actor.behavior<"ball">()({
            name,
            init: () => Registry.via(other),
            receive: (to, ball) =>
              Effect.as(delay === 0 ? Actor.tell(to, ball) : Effect.delay(Actor.tell(to, ball), delay), to)
          })
        const ref = yield* Actor.spawn(side("a", b), { key: a })
        yield* Actor.spawn(side("b", a), { key: b })
        yield* Actor.tell(ref, "ball")
        return yield* Effect.never
      })
    const live = ActorTest.run(pingPong(0), { seed: 1, stepsAtInstantMax: 5000 })
    assert.deepStrictEqual([live._tag, live.virtualMs], ["Livelock", 0])
    const endless = ActorTest.run(pingPong(1), { seed: 1, stepsMax: 5000, stepsAtInstantMax: 1000 })
    assert.strictEqual(endless._tag, "Endless")
    assert.isAbove(endless.virtualMs, 100)
    assert.deepStrictEqual(ActorTest.run(pingPong(1), { seed: 1, stepsMax: 5000, stepsAtInstantMax: 1000 }), endless)
  })
})

describe("a probe", () => {
  type Msg = { readonly _tag: "Ping"; readonly n: number } | { readonly _tag: "Pong"; readonly n: number }

  const in_ = <A, E>(program: Parameters<typeof ActorTest.run<A, E>>[0]): A => {
    const outcome = ActorTest.run(program, { seed: 1 })
    assert.ok(outcome._tag === "Done", ActorTest.toText(outcome))
    assert.ok(Exit.isSuccess(outcome.exit), ActorTest.toText(outcome))
    return outcome.exit.value
  }

  it("receives in order, by value and by tag, and says what came instead", () =>
    in_(
      Effect.gen(function* () {
        const probe = yield* ActorTest.probe<Msg>("probe")
        for (const n of [1, 2, 3]) yield* Actor.tell(probe.ref, { _tag: "Ping", n })
        yield* Actor.tell(probe.ref, { _tag: "Pong", n: 4 })
        assert.deepStrictEqual(yield* probe.receive(), { _tag: "Ping", n: 1 })
        yield* probe.expectMessage({ _tag: "Ping", n: 2 })
        const { message } = yield* Effect.flip(probe.expectMessage({ _tag: "Ping", n: 4 }))
        assert.strictEqual(message, 'probe: { _tag: "Ping", n: 3 } came, not { _tag: "Ping", n: 4 }')
        assert.strictEqual((yield* probe.expectTag("Pong")).n, 4)
        assert.strictEqual((yield* probe.all).length, 4)
      })
    ))

  it("waits in virtual time, and no longer than it is told", () => {
    const outcome = ActorTest.run(
      Effect.gen(function* () {
        const probe = yield* ActorTest.probe<Msg>()
        yield* Effect.forkScoped(Effect.delay(Actor.tell(probe.ref, { _tag: "Ping", n: 1 }), "1 hour"))
        yield* probe.expectNone("59 minutes")
        const late = yield* Effect.flip(probe.receive("30 seconds"))
        assert.strictEqual(late.message, "probe: nothing came within 30000 ms")
        yield* probe.receive("31 seconds")
        yield* Actor.tell(probe.ref, { _tag: "Pong", n: 2 })
        const early = yield* Effect.flip(probe.expectNone())
        assert.include(early.message, "Pong")
      }),
      { seed: 1 }
    )
    assert.ok(outcome._tag === "Done" && Exit.isSuccess(outcome.exit), ActorTest.toText(outcome))
    assert.strictEqual(outcome.sleepers, 0)
  })

  it("stands in under a name, is asked, and sees the end of others", () =>
    in_(
      Effect.gen(function* () {
        const key = Registry.key<Chain>("clerk")
        const probe = yield* ActorTest.probe<Chain>("clerk", { key })
        const asking = yield* Effect.forkChild(Actor.ask(yield* Registry.via(key), go))
        const { replyTo } = yield* probe.receive()
        yield* Actor.reply(replyTo, "yes")
        assert.strictEqual(yield* Fiber.join(asking), "yes")
        const mortal = yield* Actor.spawn(
          Actor.behavior<"die">()({ name: "mortal", init: () => Effect.void, receive: () => Actor.stop() })
        )
        assert.include((yield* Effect.flip(probe.expectDown(mortal, 10))).message, "mortal did not end within 10 ms")
        yield* Actor.tell(mortal, "die")
        assert.deepStrictEqual(yield* probe.expectDown(mortal), ExitReason.normal)
        assert.deepStrictEqual(yield* probe.expectDown(mortal), ExitReason.normal)
      })
    ))

  it("dead letters and reports come as they happen", () =>
    in_(
      Effect.gen(function* () {
        const letters = yield* ActorTest.deadLetters
        const reports = yield* ActorTest.reports
        const key = Registry.key<string>("crashing")
        yield* Supervisor.start({
          name: "top",
          children: [
            Supervisor.childSpec(
              Actor.behavior<string>()({
                name: "crashing",
                init: () => Effect.void,
                receive: () => {
                  throw new Error("boom")
                }
              }),
              { key }
            )
          ]
        })
        yield* reports.expectTag("Progress")
        const ref = Option.getOrThrow(yield* Registry.whereIs(key))
        Actor.tellUnsafe(ref, "one")
        Actor.tellUnsafe(ref, "two")
        yield* letters.expectMessage({ to: "crashing", message: "two", cause: "down" })
        yield* reports.expectTag("Terminated")
        assert.include((yield* reports.expectTag("Crashed")).reason, "boom")
        yield* reports.expectTag("ChildTerminated")
        assert.strictEqual((yield* reports.expectTag("Progress")).incarnation, 2)
        yield* letters.expectNone()
      })
    ))
})
