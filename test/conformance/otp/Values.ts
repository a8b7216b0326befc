/** What Erlang's expressions are worth here, and how patterns match them. */
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type { Actor, DynamicSupervisor, Supervisor, System } from "@starling/actor"
import type * as Scope from "effect/Scope"
import type { Expr } from "./Erlang.ts"
import { print, type Term } from "./Terms.ts"

export type Value = string | number | ValueTuple | ReadonlyArray<Value> | Text | ErlangMap | Pid | Fn

export interface ValueTuple {
  readonly tuple: ReadonlyArray<Value>
}

/** A string; atoms are plain. */
export interface Text {
  readonly text: string
}

export interface ErlangMap {
  readonly map: ReadonlyMap<string, Value>
}

/** The test itself has no actor behind it. */
export interface Pid {
  readonly pid: Actor.ActorRef<never> | undefined
  readonly handle?: Supervisor.Supervisor | DynamicSupervisor.DynamicSupervisor
}

export type Run<A> = Effect.Effect<A, Thrown, System.System | Scope.Scope>

export interface Fn {
  readonly call: (args: ReadonlyArray<Value>) => Run<Value>
}

/** `exit(Reason)`, until somebody catches it. */
export class Thrown extends Data.TaggedError("Thrown")<{ readonly reason: Value }> {}

/** What the interpreter cannot do is a defect of the test, and no outcome of a scenario. */
export const unknown = (what: string): Error => new Error(`the interpreter of gold.erl does not know ${what}`)

export const isTuple = (value: Value): value is ValueTuple => typeof value === "object" && "tuple" in value
export const isMap = (value: Value): value is ErlangMap => typeof value === "object" && "map" in value && !isList(value)
export const isPid = (value: Value): value is Pid => typeof value === "object" && "pid" in value
export const isFn = (value: Value): value is Fn => typeof value === "object" && "call" in value
export const isList = (value: Value): value is ReadonlyArray<Value> => Array.isArray(value)
export const isText = (value: Value): value is Text => typeof value === "object" && "text" in value

export const tuple = (...items: ReadonlyArray<Value>): Value => ({ tuple: items })

/** A term that can be written down. */
export const termOfValue = (value: Value): Term => {
  if (typeof value === "string" || typeof value === "number") return value
  if (isList(value)) return value.map(termOfValue)
  if (isTuple(value)) return { tuple: value.tuple.map(termOfValue) }
  throw unknown("how to print this value")
}

/** `~p`, `~0p` and `~s`. */
export const format = (template: string, args: ReadonlyArray<Value>): string => {
  let next = 0
  return template.replaceAll(/~0?[ps]/g, () => {
    const value = args[next++]
    if (value === undefined) throw unknown(`what to print into "${template}"`)
    return isText(value) ? value.text : print(termOfValue(value))
  })
}

export type Env = Map<string, Value>

/** Binds the variables of the pattern in `env`; false, and perhaps some of them bound, if it does not match. */
export const matches = (pattern: Expr, value: Value, env: Env): boolean => {
  switch (pattern._tag) {
    case "Var": {
      if (pattern.text === "_") return true
      const bound = env.get(pattern.text)
      if (bound !== undefined) return same(bound, value)
      env.set(pattern.text, value)
      return true
    }
    case "Atom":
      return value === pattern.text
    case "Int":
      return value === pattern.value
    case "Tuple":
      return isTuple(value) && all(pattern.items, value.tuple, env)
    case "List":
      return isList(value) && pattern.tail === undefined && all(pattern.items, value, env)
    case "Op":
      if (pattern.op === "=") return matches(pattern.left, value, env) && matches(pattern.right, value, env)
      throw unknown(`the pattern ${pattern.op}`)
    default:
      throw unknown(`the pattern ${pattern._tag}`)
  }
}

const all = (patterns: ReadonlyArray<Expr>, values: ReadonlyArray<Value>, env: Env): boolean =>
  patterns.length === values.length && patterns.every((pattern, index) => matches(pattern, values[index] as Value, env))

const same = (a: Value, b: Value): boolean => {
  if (a === b) return true
  if (isPid(a as Value) && isPid(b)) return (a as Pid).pid === b.pid
  if (typeof a !== "object" || typeof b !== "object" || isPid(a) || isPid(b)) return false
  return print(termOfValue(a)) === print(termOfValue(b))
}
