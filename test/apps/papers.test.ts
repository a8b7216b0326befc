/** The papers' experiments on a fleet that fits a test, and the page that is written of them. */
import { assert, describe, it } from "@effect/vitest"
import * as Experiments from "../../apps/lab/src/papers/Experiments.ts"
import * as Page from "../../apps/lab/src/papers/Page.ts"
import * as Plot from "../../apps/lab/src/Plot.ts"
import type * as Results from "../../apps/lab/src/Results.ts"

const size = 60

const about: Results.About = {
  command: "lab papers",
  commit: "c1",
  machine: "a machine",
  processorSeconds: 1,
  memoryMib: 1
}

describe("lab papers", () => {
  const said: Array<string> = []
  const results = Experiments.run({ size, seed: 1, cycles: 3 }, (text) => said.push(text))
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
      Experiments.percents
    )
    for (const { cycles, repaired, tree, treeUnrepaired, unrepaired } of failures.slice(0, 5)) {
      assert.isAtLeast(repaired, unrepaired)
      assert.deepStrictEqual([repaired, cycles], [1, 0])
      assert.strictEqual(tree.at(-1)?.reached, 1)
      assert.isAbove(treeUnrepaired, 0)
    }
    assert.isBelow(failures.at(-2)?.unrepaired ?? 1, 0.5, "of ninety per cent failed little hangs together")
  })

  it("is the same again for the same seed", () => {
    assert.deepStrictEqual(
      Experiments.run({ size, seed: 1, cycles: 3 }, () => undefined),
      results
    )
  })

  it("writes every figure beside the paper's, and says of every promise whether it holds", () => {
    const page = Page.page(results, about)
    for (const { percent } of failures) assert.match(page, new RegExp(`^\\| ${percent} % +\\|`, "m"))
    for (const check of Page.checks(results)) assert.include(page, check.what)
    assert.notMatch(page, /undefined|NaN/)
    for (const name of Object.keys(Page.plots(results))) assert.include(page, `papers/${name}.svg`)
    const broken = Page.checks({ ...results, overlay: { ...overlay, clustering: 0.5 } })
    assert.isFalse(broken.find(({ what }) => what === "clustering")?.holds)
  })

  it("draws a line through what is known, with a gap where nothing is", () => {
    const points = [10, 20, null, 40, 50].map((y, x): readonly [number, number | null] => [x, y])
    const svg = Plot.svg({ title: "a < b", x: "x", y: "y", yMax: 50, series: [{ name: "one", points }] })
    assert.match(svg, /^<svg [\s\S]*<\/svg>\n$/)
    assert.include(svg, "a &lt; b")
    assert.strictEqual(svg.match(/<circle/g)?.length, 4)
    assert.match(svg, /d="M[\d. ]+L[\d. ]+M[\d. ]+L[\d. ]+"/)
  })
})
