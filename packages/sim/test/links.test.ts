/** Commands against a model of one conversation: what each node sent on which link, and what arrived. */
import { assert, describe, it } from "@effect/vitest"
import { World } from "@starling/sim"
import * as fc from "fast-check"
import { act, id, open, stage, type Seen, type Stage } from "./puppet.ts"

const size = 3

interface Model {
  /** Numbers given to frames so far. */
  sent: number
}

class Real {
  readonly stage: Stage
  readonly runs = Array.from({ length: size }, () => 1)
  attempts = 0
  constructor(seed: number) {
    this.stage = stage(size, { seed, network: { latencyMs: [1, 100], jitterMs: 200, resetShare: 0.01 } })
  }
}

const command = (name: string, run: (real: Real, model: Model) => void): fc.Command<Model, Real> => ({
  check: () => true,
  run: (model, real) => run(real, model),
  toString: () => name
})

const node = fc.nat(size - 1)

const chosenLink = (real: Real, n: number, pick: number): number | undefined => {
  const links = World.links(real.stage.world, id(n))
  return links[pick % Math.max(1, links.length)]?.link
}

const commands = fc.commands(
  [
    fc
      .tuple(node, node)
      .map(([n, other]) => command(`${n} dials ${other}`, (real) => act(real.stage, n, open(other, ++real.attempts)))),
    fc.tuple(node, fc.nat(), fc.integer({ min: 1, max: 20 })).map(([n, pick, count]) =>
      command(`${n} sends ${count}`, (real, model) => {
        const link = chosenLink(real, n, pick)
        if (link === undefined) return
        for (let i = 0; i < count; i++) {
          const message = { from: id(n), run: real.runs[n] as number, link, n: ++model.sent }
          act(real.stage, n, { _tag: "Send", link, message })
        }
      })
    ),
    fc.tuple(node, fc.nat()).map(([n, pick]) =>
      command(`${n} closes`, (real) => {
        const link = chosenLink(real, n, pick)
        if (link !== undefined) act(real.stage, n, { _tag: "Close", link, reason: "done" })
      })
    ),
    fc.integer({ min: 1, max: 400 }).map((ms) => command(`${ms} ms pass`, (real) => World.pass(real.stage.world, ms))),
    fc.tuple(node, fc.constantFrom("reset" as const, "silent" as const)).map(([n, how]) =>
      command(`${n} crashes (${how}) and starts again`, (real) => {
        World.crash(real.stage.world, id(n), how)
        World.pass(real.stage.world, 50)
        World.restart(real.stage.world, id(n))
        real.runs[n] = (real.runs[n] as number) + 1
      })
    ),
    fc
      .tuple(node, node)
      .map(([n, other]) =>
        command(`${n} and ${other} are cut`, (real) => World.cut(real.stage.world, [id(n)], [id(other)]))
      ),
    fc.constant(command("all is healed", (real) => World.healAll(real.stage.world))),
    node.map((n) => command(`${n} is paused`, (real) => World.pause(real.stage.world, id(n)))),
    node.map((n) => command(`${n} goes on`, (real) => World.resume(real.stage.world, id(n))))
  ],
  { maxCommands: 80, size: "max" }
)

/** Frames of one link come from one link of one run, ascending, and none is missing between two. */
const assertConversations = (seen: ReadonlyArray<Seen>): number => {
  const sentOn = new Map<string, Array<number>>()
  const arrivedOn = new Map<string, { readonly source: string; readonly numbers: Array<number> }>()
  for (const { node, incarnation, event } of seen) {
    if (event._tag === "Do") {
      for (const action of event.actions) {
        if (action._tag !== "Send") continue
        const source = `${node}.${incarnation}.${action.link}`
        sentOn.set(source, [...(sentOn.get(source) ?? []), action.message.n])
      }
    }
    if (event._tag === "Received") {
      const { from, run, link, n } = event.message
      const key = `${node}.${incarnation}.${event.link}`
      const source = `${from}.${run}.${link}`
      const conversation = arrivedOn.get(key) ?? { source, numbers: [] }
      assert.strictEqual(conversation.source, source)
      conversation.numbers.push(n)
      arrivedOn.set(key, conversation)
    }
  }
  for (const { source, numbers } of arrivedOn.values()) {
    assert.deepStrictEqual(numbers, sentOn.get(source)?.slice(0, numbers.length))
  }
  return arrivedOn.size
}

describe("a conversation", () => {
  it("arrives in order from its beginning, without gaps and without repetition, through closes, crashes, cuts and pauses", () => {
    let conversations = 0
    fc.assert(
      fc.property(fc.nat(), commands, (seed, run) => {
        const real = new Real(seed)
        fc.modelRun(() => ({ model: { sent: 0 }, real }), run)
        World.healAll(real.stage.world)
        for (let n = 0; n < size; n++) World.resume(real.stage.world, id(n))
        World.pass(real.stage.world, 10_000)
        conversations += assertConversations(real.stage.seen)
      })
    )
    assert.isTrue(conversations > 0)
  })
})
