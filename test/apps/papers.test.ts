/** The papers' experiments on a fleet that fits a test, and the page that is written of them. */
import { assert, describe, it } from "@effect/vitest"
import type { NodeId } from "@starling/machine"
import { World } from "@starling/sim"
import * as Fleets from "../../apps/lab/src/Fleets.ts"
import * as Experiments from "../../apps/lab/src/papers/Experiments.ts"
import * as Failures from "../../apps/lab/src/papers/Failures.ts"
import * as Page from "../../apps/lab/src/papers/Page.ts"
import { plots } from "../../apps/lab/src/papers/Plots.ts"
import * as Promises from "../../apps/lab/src/papers/Promises.ts"
import { hopMs, joinEveryMs, roundMs, settings } from "../../apps/lab/src/papers/Setting.ts"
import * as Plot from "../../apps/lab/src/Plot.ts"
import type * as Results from "../../apps/lab/src/Results.ts"

const size = 60

const about: Results.About = {
  command: "lab papers",
  commit: "c1",
  machine: "a machine",
  processorSeconds: 1,
  realSeconds: 1,
  memoryMib: 1
}

/** What two threads do, one after the other. */
const runAll = (progress: (text: string) => void): Experiments.Results => {
  const order = { size, seed: 1, cycles: 3 }
  return Experiments.resultsOf(
    order,
    Experiments.jobs(order).map((job) => Experiments.run(job, progress))
  )
}

describe("lab papers", () => {
  const said: Array<string> = []
  const results = runAll((text) => said.push(text))
  const { failures, many, overlay, single } = results

  it("settles in one overlay of five neighbours each, and says how far it is", () => {
    assert.strictEqual(overlay.components, 1)
    assert.strictEqual(
      overlay.degrees.reduce((sum, nodes) => sum + nodes, 0),
      size
    )
    assert.isAtLeast(overlay.degrees[5] ?? 0, 0.9 * size)
    assert.isAtLeast(said.length, 10)
  })

  it("counts one payload for each receiver, and two announcements for each link outside the tree", () => {
    const last = single.at(-1)
    assert.deepInclude(last, { reached: 1, payloads: size - 1, redundancy: 0 })
    assert.strictEqual(last?.control, 2 * (overlay.links - (size - 1)))
    assert.isAbove(single[0]?.redundancy ?? 0, 1, "the first broadcast floods")
    assert.isTrue([...single, ...many.rounds].every(({ reached }) => reached === 1))
  })

  it("tells what failures leave from what the survivors make of it", () => {
    assert.deepStrictEqual(
      failures.map(({ percent }) => percent),
      Failures.percents
    )
    for (const failure of failures.slice(0, 5)) {
      const { cycles, left, shippedMs, tree, unrepaired } = failure
      assert.isAtLeast(Failures.repaired(failure), unrepaired)
      assert.deepStrictEqual([Failures.repaired(failure), cycles], [1, 0])
      assert.isAtMost(shippedMs ?? Number.POSITIVE_INFINITY, Failures.shippedCycleMs)
      assert.strictEqual(tree.at(-1)?.reached, 1)
      assert.isAbove(left.length, 0)
    }
    assert.isBelow(failures.at(-2)?.unrepaired ?? 1, 0.5, "of ninety per cent failed little hangs together")
  })

  it("a broadcast in an old tree gets to the whole part of its sender, and to nobody else", () => {
    for (const { largest, left } of failures) {
      for (const reached of left) assert.isAtMost(reached, largest)
      if (largest === 1) assert.isTrue(left.every((reached) => reached === 1))
    }
    assert.isTrue(failures.some(({ largest, left }) => largest < 1 && left.includes(largest)))
  })

  it("as shipped, survivors that know no survivor by their views are brought back; by shuffles only they are not", () => {
    const network = { latencyMs: [hopMs, hopMs], jitterMs: 0 } as const
    const fleet = Fleets.joined({
      size: 400,
      seed: 2,
      settings,
      network,
      everyMs: joinEveryMs,
      progress: () => undefined
    })
    const senders = Fleets.choose(fleet, "senders", 1)
    const [root] = senders as readonly [NodeId.NodeId]
    const before = { single: fleet, many: fleet, root, senders, watch: new Fleets.Watch(), end: () => undefined }
    const { cycles, passes, shippedMs } = Failures.fail(before, 97)
    assert.strictEqual(passes.length, 5)
    assert.isBelow(passes[0]?.reach ?? 1, 1)
    assert.isNull(cycles)
    assert.isAtMost(shippedMs ?? Number.POSITIVE_INFINITY, 3 * Failures.shippedCycleMs)
  })

  it("is the same again for the same seed", () => {
    assert.deepStrictEqual(
      runAll(() => undefined),
      results
    )
  })

  it("writes every figure beside the paper's, and says of every promise whether it holds", () => {
    const page = Page.page(results, about)
    for (const { percent } of failures) assert.match(page, new RegExp(`^\\| ${percent} % +\\|`, "m"))
    for (const check of Promises.checks(results)) assert.include(page, check.what)
    assert.notMatch(page, /undefined|NaN/)
    for (const name of Object.keys(plots(results))) assert.include(page, `papers/${name}.svg`)
    const broken = Promises.checks({ ...results, overlay: { ...overlay, clustering: 0.5 } })
    assert.isFalse(broken.find(({ what }) => what === "clustering")?.holds)
  })

  it("of broadcasts that never reach everybody says so, however many there were", () => {
    const [one, ...others] = failures as readonly [Failures.Failure, ...Array<Failures.Failure>]
    assert.strictEqual(Promises.broadcastsMissed(one), 0)
    const [round] = one.tree as readonly [Fleets.Round]
    const never = { ...one, tree: one.tree.map(() => Object.assign({}, round, { reached: 0.99 })) }
    assert.isNull(Promises.broadcastsMissed(never))
    const missing = { ...results, failures: [never, ...others] }
    assert.isFalse(Promises.checks(missing).find(({ what }) => what.startsWith("broadcasts until each"))?.holds)
  })

  it("after failures it is the optimisation that sends payloads twice: without it there are none from the fourth broadcast on, over a deeper tree", () => {
    const mended = (more: { readonly optimizeHops?: number }): ReadonlyArray<Fleets.Round> => {
      const fleet = Fleets.joined({
        size: 200,
        seed: 1,
        settings: { ...settings, lazyPushRepair: { ...settings.lazyPushRepair, ...more } },
        network: { latencyMs: [hopMs, hopMs], jitterMs: 0 },
        everyMs: joinEveryMs,
        progress: () => undefined
      })
      const watch = new Fleets.Watch()
      const world = World.fork(fleet, { observer: watch.observer })
      const [root] = Fleets.choose(fleet, "senders", 1) as readonly [NodeId.NodeId]
      for (let round = 0; round < 3; round++) watch.round(world, [root], roundMs)
      for (const id of Fleets.choose(fleet, "fail", 100, root)) World.crash(world, id)
      return Array.from({ length: Failures.rounds }, () => watch.round(world, [root], roundMs))
    }
    const [shortened, kept] = [mended({}), mended({ optimizeHops: 1000 })]
    for (const { reached } of [...shortened, ...kept]) assert.strictEqual(reached, 1)
    assert.isAbove(Promises.settledAt(shortened), 4)
    assert.isAtMost(Promises.settledAt(kept), 3)
    assert.isAbove(kept.at(-1)?.lastHop ?? 0, shortened.at(-1)?.lastHop ?? 0)
  })

  it("says where redundancy after failures is outside of the paper's band, and nothing of it where it is not", () => {
    const page = (redundancies: ReadonlyArray<number>): string => {
      const tree = redundancies.map((redundancy) => ({ ...(single[0] as Fleets.Round), redundancy }))
      return Page.page({ ...results, failures: failures.map((failure) => Object.assign({}, failure, { tree })) }, about)
    }
    assert.include(
      page([1, 0.2, 0.1, 0.1, 0.3, 0, 0, 0.04]),
      "the fifth broadcast still has 0.30 to 0.30, the eighth 0.04"
    )
    assert.include(page([1, 0.2, 0.1, 0.1, 0.3, 0, 0, 0.04]), "Not promised, and not so")
    assert.notMatch(page([1, 0.2, 0.1, 0, 0, 0, 0, 0]), /outside of the paper's band|Not promised/)
  })

  it("draws a line through what is known, with a gap where nothing is", () => {
    const points = [10, 20, null, 40, 50].map((y, x): readonly [number, number | null] => [x, y])
    const svg = Plot.svg({ title: "a < b", x: "x", y: "y", yMax: 50, series: [{ name: "one", points }] })
    assert.match(svg, /^<svg [\s\S]*<\/svg>\n$/)
    assert.include(svg, "a &lt; b")
    assert.strictEqual(svg.match(/<circle/g)?.length, 4)
    assert.match(svg, /d="M[\d. ]+L[\d. ]+M[\d. ]+L[\d. ]+"/)
  })

  it("spreads small values out on an axis of magnitudes, and says which they are", () => {
    const series = [{ name: "one", points: [0, 1, 10, 100].map((y, x) => [x, y] as const) }]
    const svg = Plot.svg({ title: "t", x: "x", y: "y", yMax: 100, yEven: 1, series })
    const heights = [...svg.matchAll(/<circle cx="[\d.]+" cy="([\d.]+)"/g)].map(([, cy]) => Number(cy))
    for (const [i, y] of heights.slice(1).entries())
      assert.isBelow(y, (heights[i] ?? 0) - 30, "each is well above the last")
    for (const mark of [0, 1, 2, 5, 10, 20, 50, 100]) assert.include(svg, `>${mark}</text>`)
  })

  it("draws the same as PNG, where there are fonts", ({ skip }) => {
    const series = [{ name: "one", points: [[0, 1] as const, [1, 2] as const] }]
    const png = Plot.png({ title: "t", x: "x", y: "y", yMax: 2, series })
    if (png === undefined) return skip("this machine has no fonts")
    assert.deepStrictEqual(Array.from(png.slice(0, 8)), [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])
  })
})
