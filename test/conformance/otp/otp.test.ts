import { Report, System } from "@starling/actor"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { deviations, notApplicable, parallelStop, reportName, scenarios, World } from "./Scenarios.ts"
import { parse, print, type Term } from "./Terms.ts"
import { recorded } from "./Traces.ts"

const find = (title: string) => {
  for (const scenario of scenarios) {
    const match =
      typeof scenario.title === "string" ? (scenario.title === title ? [title] : null) : scenario.title.exec(title)
    if (match !== null) return { scenario, groups: match.slice(1) }
  }
  return undefined
}

const expected = (title: string) => {
  const wanted = deviations.get(title) ?? title
  const found = recorded.find((recorded) => recorded.title === wanted)
  if (found === undefined) throw new Error(`no recorded scenario "${wanted}"`)
  return found
}

/** Sorts the last run of terminate events, which has no order where children stop in parallel. */
const unordered = (trace: ReadonlyArray<string>): ReadonlyArray<string> => {
  const last = trace.findLastIndex((event) => !event.startsWith("{terminate,"))
  return [...trace.slice(0, last + 1), ...trace.slice(last + 1).toSorted()]
}

const texts = (title: string, trace: ReadonlyArray<Term>): ReadonlyArray<string> =>
  parallelStop.has(title) ? unordered(trace.map(print)) : trace.map(print)

describe("OTP 25.2.3", () => {
  it("48 scenarios are recorded, and each is run here or said not to apply", () => {
    assert.isAtLeast(recorded.length, 48)
    const missing = recorded.filter(({ title }) => find(title) === undefined && !notApplicable.has(title))
    assert.deepStrictEqual(
      missing.map(({ title }) => title),
      []
    )
  })

  it("no scenario of ours, and nothing said not to apply, is without a recorded title", () => {
    const titles = recorded.map(({ title }) => title)
    const unused = scenarios.filter((scenario) => !titles.some((title) => find(title)?.scenario === scenario))
    assert.deepStrictEqual(
      unused.map(({ title }) => String(title)),
      []
    )
    assert.deepStrictEqual(
      [...notApplicable.keys(), ...deviations.keys()].filter((title) => !titles.includes(title)),
      []
    )
  })

  it("every term of the file is printed as it was read", () => {
    for (const { raw } of recorded) for (const text of raw) assert.strictEqual(print(parse(text)), text)
  })

  for (const { title } of recorded) {
    const found = find(title)
    if (found === undefined) continue
    it.effect(title, () =>
      Effect.gen(function* () {
        const world = new World()
        const { result, trace, reports } = expected(title)
        const ours = yield* Effect.scoped(found.scenario.run(world, found.groups))
        if (reports.length > 0) {
          const names = reports.map((line) => /^ {2}(\w+ \{\w+,\w+\})/.exec(line)?.[1])
          assert.deepStrictEqual((yield* Report.recent).map(reportName), names)
          return
        }
        assert.deepStrictEqual(texts(title, world.collector.events), texts(title, trace))
        assert.strictEqual(print(ours), print(result))
        assert.strictEqual((yield* System.System).alive(), 0)
      }).pipe(Effect.provide(System.layer))
    )
  }
})
