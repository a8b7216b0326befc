/**
 * Runs the recorder's own program (`generator/gold.erl`) on our supervisors: its scenarios are Erlang functions, and what
 * they call of OTP is `Otp.ts`. So a scenario that is recorded needs nothing here, as long as it is written in the same
 * vocabulary.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/testing/TestClock"
import type { Clause, Expr, Functions } from "./Erlang.ts"
import {
  type Env,
  format,
  isFn,
  isList,
  isMap,
  isPid,
  isText,
  isTuple,
  matches,
  type Run,
  Thrown,
  tuple,
  unknown,
  type Value
} from "./Values.ts"

/** A function of another module: `name/arity`, with the module before it. */
export type Builtins = ReadonlyMap<string, (args: ReadonlyArray<Value>) => Run<Value>>

/** Everything that can happen without the clock moving. */
export const settle: Effect.Effect<void> = Effect.asVoid(Effect.repeat(Effect.yieldNow, { times: 40 }))

const stepMs = 10

/** Waits for the effect, and lets the clock go on in small steps while nothing moves without it. */
export const whileTimePasses = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(effect)
    yield* settle
    while (fiber.pollUnsafe() === undefined) {
      yield* TestClock.adjust(stepMs)
      yield* settle
    }
    return yield* Fiber.join(fiber)
  })

export class Interpreter {
  /** What was sent to the process that runs the scenario. */
  readonly inbox: Array<Value>
  private readonly functions: Functions
  private readonly builtins: Builtins

  constructor(functions: Functions, builtins: Builtins, inbox: Array<Value> = []) {
    this.inbox = inbox
    this.functions = functions
    this.builtins = builtins
  }

  readonly call: (name: string, args: ReadonlyArray<Value>) => Run<Value> = Effect.fnUntraced(function* (
    this: Interpreter,
    name: string,
    args: ReadonlyArray<Value>
  ) {
    const path = `${name}/${args.length}`
    const builtin = this.builtins.get(path) ?? pure.get(path)
    if (builtin !== undefined) return yield* builtin(args)
    const clauses = this.functions.get(path)
    if (clauses === undefined) return yield* Effect.die(unknown(path))
    return yield* this.apply(clauses, args, new Map(), path)
  })

  private readonly apply: (
    clauses: ReadonlyArray<Clause>,
    args: ReadonlyArray<Value>,
    env: Env,
    what: string
  ) => Run<Value> = Effect.fnUntraced(function* (
    this: Interpreter,
    clauses: ReadonlyArray<Clause>,
    args: ReadonlyArray<Value>,
    env: Env,
    what: string
  ) {
    for (const clause of clauses) {
      const bound = new Map(env)
      if (!clause.patterns.every((pattern, index) => matches(pattern, args[index] as Value, bound))) continue
      if (clause.guard !== undefined && (yield* this.evaluate(clause.guard, bound)) !== "true") continue
      return yield* this.body(clause.body, bound)
    }
    return yield* Effect.die(new Error(`no clause of ${what} matches`))
  })

  private readonly body: (body: ReadonlyArray<Expr>, env: Env) => Run<Value> = Effect.fnUntraced(function* (
    this: Interpreter,
    body: ReadonlyArray<Expr>,
    env: Env
  ) {
    let last: Value = "ok"
    for (const expr of body) last = yield* this.evaluate(expr, env)
    return last
  })

  private readonly values: (exprs: ReadonlyArray<Expr>, env: Env) => Run<ReadonlyArray<Value>> = (exprs, env) =>
    Effect.forEach(exprs, (expr) => this.evaluate(expr, env))

  private evaluate(expr: Expr, env: Env): Run<Value> {
    switch (expr._tag) {
      case "Atom":
        return Effect.succeed(expr.text)
      case "String":
        return Effect.succeed({ text: expr.text })
      case "Int":
        return Effect.succeed(expr.value)
      case "Var": {
        const value = env.get(expr.text)
        return value === undefined ? Effect.die(unknown(`the variable ${expr.text}`)) : Effect.succeed(value)
      }
      case "Tuple":
        return Effect.map(this.values(expr.items, env), (items) => tuple(...items))
      case "List":
        return expr.tail === undefined ? this.values(expr.items, env) : Effect.die(unknown("[H|T]"))
      case "Map":
        return Effect.map(
          Effect.forEach(expr.entries, ([key, value]) =>
            Effect.map(this.evaluate(value, env), (value) => [nameOf(key), value] as const)
          ),
          (entries) => ({ map: new Map(entries) })
        )
      case "Fun": {
        const closed = new Map(env)
        return Effect.succeed({ call: (args) => this.apply(expr.clauses, args, closed, "a fun") })
      }
      case "Comprehension":
        return this.comprehend(expr.body, expr.from, env)
      case "Catch":
        return Effect.catchTag(this.evaluate(expr.body, env), "Thrown", ({ reason }) =>
          Effect.succeed(tuple("EXIT", reason))
        )
      case "Case":
        return Effect.flatMap(this.evaluate(expr.value, env), (value) =>
          this.apply(expr.clauses, [value], env, "a case")
        )
      case "If":
        return this.choose(expr.clauses, env)
      case "Op":
        return this.operate(expr.op, expr.left, expr.right, env)
      case "Call":
        return this.callExpr(expr, env)
      case "Receive":
        return this.receive(expr, env)
    }
  }

  private readonly choose: (clauses: ReadonlyArray<Clause>, env: Env) => Run<Value> = Effect.fnUntraced(function* (
    this: Interpreter,
    clauses: ReadonlyArray<Clause>,
    env: Env
  ) {
    for (const { body, patterns } of clauses) {
      const [guard] = patterns
      if (guard !== undefined && (yield* this.evaluate(guard, env)) === "true") return yield* this.body(body, env)
    }
    return yield* Effect.die(new Error("no clause of an if holds"))
  })

  private readonly comprehend: (
    body: Expr,
    from: ReadonlyArray<readonly [Expr, Expr]>,
    env: Env
  ) => Run<ReadonlyArray<Value>> = Effect.fnUntraced(function* (
    this: Interpreter,
    body: Expr,
    from: ReadonlyArray<readonly [Expr, Expr]>,
    env: Env
  ) {
    const [first, ...rest] = from
    if (first === undefined) return [yield* this.evaluate(body, env)]
    const source = yield* this.evaluate(first[1], env)
    const all: Array<Value> = []
    for (const value of isList(source) ? source : [source]) {
      const bound = new Map(env)
      if (matches(first[0], value, bound)) all.push(...(yield* this.comprehend(body, rest, bound)))
    }
    return all
  })

  private readonly operate: (op: string, left: Expr, right: Expr, env: Env) => Run<Value> = Effect.fnUntraced(
    function* (this: Interpreter, op: string, left: Expr, right: Expr, env: Env) {
      const value = yield* this.evaluate(right, env)
      if (op === "=") {
        if (!matches(left, value, env)) return yield* new Thrown({ reason: tuple("badmatch", "value") })
        return value
      }
      const other = yield* this.evaluate(left, env)
      if (typeof value !== "number" || typeof other !== "number") return yield* Effect.die(unknown(`${op} of these`))
      switch (op) {
        case "+":
          return other + value
        case "-":
          return other - value
        case "*":
          return other * value
        case "rem":
          return other % value
        case ">=":
          return other >= value ? "true" : "false"
      }
      return yield* Effect.die(unknown(`the operator ${op}`))
    }
  )

  private readonly callExpr: (expr: Expr & { readonly _tag: "Call" }, env: Env) => Run<Value> = Effect.fnUntraced(
    function* (this: Interpreter, { args, module, target }: Expr & { readonly _tag: "Call" }, env: Env) {
      const values = yield* this.values(args, env)
      if (target._tag === "Atom") {
        return yield* this.call(module === undefined ? target.text : `${module}:${target.text}`, values)
      }
      const called = yield* this.evaluate(target, env)
      return isFn(called) ? yield* called.call(values) : yield* Effect.die(unknown("a call of this"))
    }
  )

  /** Selective, as Erlang's; while nothing fits, the clock goes on in small steps. */
  private readonly receive: (expr: Expr & { readonly _tag: "Receive" }, env: Env) => Run<Value> = Effect.fnUntraced(
    function* (this: Interpreter, expr: Expr & { readonly _tag: "Receive" }, env: Env) {
      const limit = expr.after === undefined ? Number.POSITIVE_INFINITY : yield* this.evaluate(expr.after.ms, env)
      if (typeof limit !== "number") return yield* Effect.die(unknown("this time to wait"))
      for (let waited = 0; ; waited += stepMs) {
        yield* settle
        for (const [index, message] of this.inbox.entries()) {
          for (const { body, patterns } of expr.clauses) {
            const bound = new Map(env)
            if (!matches(patterns[0] as Expr, message, bound)) continue
            this.inbox.splice(index, 1)
            return yield* this.body(body, bound)
          }
        }
        if (expr.after !== undefined && waited >= limit) return yield* this.body(expr.after.body, new Map(env))
        if (waited > patienceMs) return yield* Effect.die(new Error("a receive that nothing ends"))
        yield* TestClock.adjust(Math.min(stepMs, limit - waited))
      }
    }
  )
}

const patienceMs = 60_000

const nameOf = (key: Expr): string => {
  if (key._tag === "Atom") return key.text
  throw unknown("a key that is no atom")
}

const sleep = (ms: number): Effect.Effect<void> => Effect.andThen(settle, Effect.andThen(TestClock.adjust(ms), settle))

/** What needs no supervisor. */
const pure: Builtins = new Map<string, (args: ReadonlyArray<Value>) => Run<Value>>([
  ["is_pid/1", ([value]) => Effect.succeed(value !== undefined && isPid(value) ? "true" : "false")],
  ["element/2", ([index, value]) => Effect.succeed(elementOf(index, value))],
  ["lists:sort/1", ([list]) => Effect.succeed(sorted(list))],
  ["maps:merge/2", ([a, b]) => Effect.succeed(merged(a, b))],
  [
    "io_lib:format/2",
    ([template, args]) =>
      template !== undefined && isText(template) && args !== undefined && isList(args)
        ? Effect.succeed({ text: format(template.text, args) })
        : Effect.die(unknown("this format"))
  ],
  ["timer:sleep/1", ([ms]) => Effect.as(sleep(Number(ms)), "ok")],
  [
    "erlang:monotonic_time/1",
    ([unit]) => Effect.map(Clock.currentTimeMillis, (now) => (unit === "millisecond" ? now : Math.floor(now / 1000)))
  ]
])

const elementOf = (index: Value | undefined, value: Value | undefined): Value => {
  const found = value !== undefined && isTuple(value) ? value.tuple[Number(index) - 1] : undefined
  if (found === undefined) throw unknown("the element of this")
  return found
}

const sorted = (list: Value | undefined): Value => {
  if (list === undefined || !isList(list)) throw unknown("sorting this")
  return list.toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))
}

const merged = (a: Value | undefined, b: Value | undefined): Value => {
  if (a === undefined || b === undefined || !isMap(a) || !isMap(b)) throw unknown("merging these")
  return { map: new Map([...a.map, ...b.map]) }
}
