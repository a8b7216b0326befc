/** The scenarios of `generator/gold.erl`, by title, each run on our supervisors by the interpreter. */
import type { Report } from "@starling/actor"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import { readFileSync } from "node:fs"
import { type Expr, parseModule } from "./Erlang.ts"
import { type Builtins, Interpreter, settle } from "./Interpreter.ts"
import { Otp } from "./Otp.ts"
import type { Term } from "./Terms.ts"
import { isFn, isText, type Run, termOfValue, tuple, unknown, type Value } from "./Values.ts"
import { Collector } from "./Worker.ts"

const functions = parseModule(readFileSync(new URL("./generator/gold.erl", import.meta.url), "utf8"))

/** Not run, with the reason. */
export const notApplicable: ReadonlyMap<string, string> = new Map([
  [
    "link: [{reason, receiver traps exits, outcome}]",
    "there are no bidirectional links and no trapping of exits: a monitor and a supervisor say the same in one direction"
  ]
])

/** The one intended deviation: these window scenarios end as the recorded one of 700 ms. */
export const deviations: ReadonlyMap<string, string> = new Map(
  [100, 300].map((phase) => [edge(phase), edge(700)] as const)
)

function edge(phase: number): string {
  return `window edge: intensity 1 period 1, first crash ${phase} ms after a second tick, gap 1500 ms`
}

/** Children that stop in parallel: the last run of terminate events is compared as a set. */
export const parallelStop: ReadonlySet<string> = new Set(["simple_one_for_one API"])

/** The title that `reports()` prints; its scenario is no `run(Title, Fun)`. */
const reportsTitle = ((): string => {
  const texts: Array<string> = []
  const look = (expr: Expr): void => {
    if (expr._tag === "String") texts.push(expr.text)
    if (expr._tag === "Call") expr.args.forEach(look)
  }
  for (const clause of functions.get("reports/0") ?? []) clause.body.forEach(look)
  const title = texts.map((text) => /^~n## (.*)~n$/.exec(text)?.[1]).find((found) => found !== undefined)
  if (title === undefined) throw unknown("the title of reports()")
  return title
})()

/** Walks through `main()`; `run` is given every scenario. */
const main = (interpreter: Interpreter): Run<Value> => interpreter.call("main", [])

/** Every title, in the order of the recorder. Nothing is started: every start stands in the fun of a scenario. */
export const titles: Run<ReadonlyArray<string>> = Effect.suspend(() => {
  const found: Array<string> = []
  const add = (title: string): Run<Value> =>
    Effect.sync(() => {
      found.push(title)
      return "ok"
    })
  const builtins: Builtins = new Map([
    ...new Otp(new Collector(), () => {}).builtins,
    ["run/2", ([title]) => add(textOf(title))],
    ["reports/0", () => add(reportsTitle)]
  ])
  return Effect.as(main(new Interpreter(functions, builtins)), found)
})

/** What the scenario returned, or `{'EXIT', Reason}`. */
export const run: (title: string, collector: Collector) => Run<Term> = Effect.fnUntraced(function* (
  title: string,
  collector: Collector
) {
  let result: Value = "not_run"
  const inbox: Array<Value> = []
  const otp = new Otp(collector, (message) => void inbox.push(message))
  const builtins: Builtins = new Map([
    ...otp.builtins,
    [
      "run/2",
      ([name, fun]) =>
        textOf(name) === title && fun !== undefined && isFn(fun)
          ? Effect.map(caught(fun.call([])), (value) => (result = value))
          : Effect.succeed("ok")
    ],
    ...(title === reportsTitle ? [] : [["reports/0", () => Effect.succeed("ok")] as const])
  ])
  yield* main(new Interpreter(functions, builtins, inbox))
  if (title === reportsTitle) return []
  yield* otp.end
  yield* settle
  yield* TestClock.adjust(30)
  yield* settle
  return termOfValue(result)
})

const caught = (work: Run<Value>): Run<Value> =>
  Effect.catchTag(work, "Thrown", ({ reason }) => Effect.succeed(tuple("EXIT", reason)))

const textOf = (value: Value | undefined): string => {
  if (value !== undefined && isText(value)) return value.text
  throw unknown("a title")
}

/** Our reports by the names of OTP's. */
export const reportName = (report: Report.Report): string => {
  switch (report._tag) {
    case "Progress":
      return "info {supervisor,progress}"
    case "Terminated":
      return "error {gen_server,terminate}"
    case "Crashed":
      return "error {proc_lib,crash}"
    case "ChildTerminated":
      return "error {supervisor,child_terminated}"
    case "StartFailed":
      return "error {supervisor,start_error}"
    case "ShutdownFailed":
      return "error {supervisor,shutdown_error}"
    case "GaveUp":
      return "error {supervisor,shutdown}"
    default:
      return report._tag
  }
}
