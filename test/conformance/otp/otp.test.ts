import { Report, System } from "@starling/actor"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { deviations, notApplicable, parallelStop, reportName, run, titles } from "./Scenarios.ts"
import { parse, print, type Term } from "./Terms.ts"
import { recorded } from "./Traces.ts"
import { Collector } from "./Worker.ts"

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
  it.effect("what is recorded is what gold.erl defines, in its order, and 48 scenarios at least", () =>
    Effect.gen(function* () {
      assert.isAtLeast(recorded.length, 48)
      assert.deepStrictEqual(
        recorded.map(({ title }) => title),
        yield* titles
      )
    }).pipe(Effect.provide(System.layer))
  )

  it("nothing is said not to apply, or to deviate, that is not recorded", () => {
    const named = [...notApplicable.keys(), ...deviations.keys(), ...parallelStop]
    assert.deepStrictEqual(
      named.filter((named) => !recorded.some(({ title }) => title === named)),
      []
    )
  })

  it("every term of the file is printed as it was read", () => {
    for (const { raw } of recorded) for (const text of raw) assert.strictEqual(print(parse(text)), text)
  })

  for (const { title } of recorded) {
    if (notApplicable.has(title)) continue
    it.effect(title, () =>
      Effect.gen(function* () {
        const collector = new Collector()
        const { result, trace, reports } = expected(title)
        const ours = yield* Effect.scoped(run(title, collector))
        if (reports.length > 0) {
          const names = reports.map((line) => /^ {2}(\w+ \{\w+,\w+\})/.exec(line)?.[1])
          assert.deepStrictEqual((yield* Report.recent).map(reportName), names)
          return
        }
        assert.deepStrictEqual(texts(title, collector.events), texts(title, trace))
        assert.strictEqual(print(ours), print(result))
        assert.strictEqual((yield* System.System).alive(), 0)
      }).pipe(Effect.provide(System.layer))
    )
  }
})
