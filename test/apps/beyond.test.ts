/** The parts of `lab beyond` at sizes that fit a test: what they measure is there to be measured, and is written down. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Page from "../../apps/lab/src/beyond/Page.ts"
import type { Any } from "../../apps/lab/src/beyond/Part.ts"
import { all } from "../../apps/lab/src/beyond/parts.ts"
import * as Run from "../../apps/lab/src/beyond/Run.ts"
import { failureOf } from "../../apps/lab/src/commands/beyond.ts"
import * as Plot from "../../apps/lab/src/Plot.ts"
import type * as Results from "../../apps/lab/src/Results.ts"

const about: Results.About = {
  command: "lab beyond",
  commit: "c1",
  machine: "a machine",
  processorSeconds: 1,
  realSeconds: 1,
  memoryMib: 1
}

/** A part's orders take seconds each on a machine that does nothing else. */
const timeoutMs = 300_000

/** Two nodes for each of 19 regions. */
const size = 38

/** Results as they come back from a thread and from a file. */
const stored = (part: Any, results: ReadonlyArray<unknown>): Run.Stored => {
  const read: ReadonlyArray<unknown> = JSON.parse(JSON.stringify(results))
  return { about, checks: part.checks(read), figures: part.figures(read), results: read }
}

const senders = all.find(({ name }) => name === "senders") as Any

describe("lab beyond", () => {
  for (const part of all) {
    it(
      `${part.name}: its page names every promise and shows every plot, and the same order gives the same`,
      () => {
        const orders = part.orders([size], 1)
        const results = orders.map((order) => part.run(order, () => undefined))
        // The last one is the shortest.
        assert.deepStrictEqual(
          part.run(orders.at(-1), () => undefined),
          results.at(-1)
        )
        const section: Page.Section = { part, stored: stored(part, results) }
        const page = Page.page([section])
        assert.include(page, `## ${part.title}`)
        assert.notMatch(page, /undefined|NaN/)
        const { checks, figures } = section.stored
        assert.isAbove(checks.length, 0)
        for (const { what } of checks) assert.include(page, what)
        const names = new Set(figures.map(({ what }) => what))
        assert.strictEqual(names.size, figures.length, "figures have names of their own")
        for (const [name, plot] of Object.entries(part.plots(results))) {
          assert.include(page, `beyond/${part.name}-${name}.svg`)
          assert.match(Plot.svg(plot), /^<svg [\s\S]*<path[\s\S]*<\/svg>\n$/)
        }
      },
      timeoutMs
    )
  }

  it("says on the page that stored results are of another version, and shows the other parts all the same", () => {
    const page = Page.page([
      { part: { ...senders, page: () => ["fine"] }, stored: { about, checks: [], figures: [], results: [] } },
      { part: senders, stored: { about, checks: [], figures: [], results: [null] } }
    ])
    assert.include(page, "fine")
    assert.include(page, "run `lab beyond --only senders`")
  })

  it("fails for a part that was lost or a promise that is broken; at a size that nothing was promised of, for a lost one only", () => {
    const part = senders
    const of = (holds: boolean): Run.Outcome => {
      const checks = [{ what: "a", promised: "1", measured: "1", holds }]
      return { part, stored: { about, checks, figures: [], results: [] } }
    }
    const lost: Run.Outcome = { part, failure: "senders: the thread ended" }
    assert.isUndefined(failureOf([of(true)], true))
    assert.strictEqual(failureOf([of(true), of(false)], true)?.code, 1)
    assert.isUndefined(failureOf([of(false)], false))
    assert.strictEqual(failureOf([of(true), lost], false)?.message, "senders: the thread ended")
  })

  it("names its parts by one word each, with promises about some size", () => {
    assert.strictEqual(new Set(all.map(({ name }) => name)).size, all.length)
    for (const { name, orders, sizes } of all) {
      assert.match(name, /^[a-z]+$/)
      assert.isAbove(orders(sizes, 1).length, 0)
    }
  })

  it.effect(
    "runs orders in threads, and a part that loses one has no results but leaves the others theirs",
    () =>
      Effect.gen(function* () {
        const good = senders
        // The thread knows no part of this name.
        const bad: Any = { ...good, name: "nobody" }
        const done: Array<string> = []
        const outcomes = yield* Run.parts([bad, good], [12], 1, ({ name }) => Effect.sync(() => done.push(name)))
        assert.deepStrictEqual(done, ["senders"])
        assert.match(outcomes[0]?.failure ?? "", /^nobody: the thread ended: .*there is no part nobody/)
        assert.strictEqual(outcomes[1]?.stored?.results.length, good.orders([12], 1).length)
      }).pipe(Effect.provide(NodeServices.layer)),
    timeoutMs
  )
})
