/** What the lab keeps of its soaks, and where it goes on. */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import { Scenarios } from "@starling/testing"
import * as Effect from "effect/Effect"
import { parseRange } from "../../apps/lab/src/commands/soak.ts"
import * as SoakLog from "../../apps/lab/src/SoakLog.ts"
import * as Sources from "../../apps/lab/src/Sources.ts"

const line = (first: number, last: number, change: Partial<SoakLog.Line> = {}): SoakLog.Line => ({
  scenario: "members",
  size: 9,
  commit: "c1",
  code: "c0",
  date: "2024-06-14T13:40:00.000Z",
  machine: SoakLog.machine,
  command: "lab soak members",
  first,
  last,
  runs: last - first + 1,
  virtualSeconds: 1,
  realSeconds: 1,
  failing: 0,
  findings: [],
  ...change
})

const of = { scenario: "members", size: 9, code: "c0" }

describe("a soak", () => {
  it("begins at its first seed when nothing is recorded", () => {
    assert.deepStrictEqual(SoakLog.resume([], of, 1), { next: 1, done: [] })
  })

  it("goes on after the last seed of lines without a gap, in whatever order they stand", () => {
    const lines = [line(31, 40), line(1, 10), line(11, 25)]
    assert.deepStrictEqual(SoakLog.resume(lines, of, 1), { next: 26, done: [line(1, 10), line(11, 25)] })
  })

  it("begins anew for another scenario, another size and other code", () => {
    const lines = [line(1, 10, { scenario: "crashes" }), line(1, 10, { size: 8 }), line(1, 10, { code: "c9" })]
    assert.strictEqual(SoakLog.resume(lines, of, 1).next, 1)
  })

  it("counts a line that begins before the first seed asked for", () => {
    assert.strictEqual(SoakLog.resume([line(1, 10)], of, 5).next, 11)
    assert.strictEqual(SoakLog.resume([line(1, 10)], of, 11).next, 11)
  })

  it("passes over what is not a line of a soak", () => {
    const text = `${JSON.stringify(line(1, 10))}\n\n# a remark\n{"scenario":"members"}\n${JSON.stringify(line(11, 12))}`
    assert.deepStrictEqual(SoakLog.parse(text), [line(1, 10), line(11, 12)])
  })

  it("takes FIRST..LAST for seeds, and nothing else", () => {
    assert.deepStrictEqual(parseRange("3..20"), { first: 3, last: 20 })
    assert.deepStrictEqual(parseRange("7..7"), { first: 7, last: 7 })
    for (const text of ["", "3", "3..", "..3", "20..3", "-1..3", "1...3", "1..3.5", "1..99999999999999999999"]) {
      assert.isUndefined(parseRange(text), text)
    }
  })
})

describe("what a scenario runs", () => {
  const root = new URL("../../", import.meta.url)

  it.effect("a scenario of members needs no agent, no actor and no other scenario", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* Sources.of({ name: "members" }, root), [
        "packages/clock/src",
        "packages/fleet/src",
        "packages/gossip/src",
        "packages/machine/src",
        "packages/member/src",
        "packages/sim/src",
        "packages/testing/src/MemberFleet.ts",
        "packages/testing/src/internal/inOrder.ts",
        "packages/testing/src/internal/members.ts",
        "packages/testing/src/internal/outcome.ts",
        "packages/testing/src/internal/peers.ts"
      ])
    }).pipe(Effect.provide(NodeFileSystem.layer))
  )

  for (const scenario of Scenarios.all) {
    it.effect(`${scenario.name}: its own module is among them`, () =>
      Effect.gen(function* () {
        const sources = yield* Sources.of(scenario, root)
        assert.include(sources, `packages/testing/src/internal/${scenario.name}.ts`)
        assert.include(sources, "packages/machine/src")
      }).pipe(Effect.provide(NodeFileSystem.layer))
    )
  }
})
