/**
 * What `bench actor` measures: the rows, who runs them, and the goals. The one place that has the sizes.
 *
 * @since 0.1.0
 */

/** @since 0.1.0 @category models */
export type ArmId = "erlang" | "starling" | "effect" | "nact" | "xstate"

/**
 * `isPeer`: counted among the JavaScript libraries that do what Starling does.
 *
 * @since 0.1.0
 * @category models
 */
export interface Arm {
  readonly id: ArmId
  readonly name: string
  readonly isPeer: boolean
}

/** In the order of a round. @since 0.1.0 */
export const arms: ReadonlyArray<Arm> = [
  { id: "erlang", name: "Erlang", isPeer: false },
  { id: "starling", name: "Starling", isPeer: false },
  { id: "effect", name: "raw Effect", isPeer: false },
  { id: "nact", name: "nact", isPeer: true },
  { id: "xstate", name: "XState", isPeer: false }
]

/**
 * One process that runs a row in one way. The first of an arm is its figure in the tables, further ones stand below them.
 *
 * @since 0.1.0
 * @category models
 */
export interface Figure {
  readonly arm: ArmId
  /** How it runs the row, where that has to be said. */
  readonly label?: string
  /** What the program is told: row, variant, sizes. */
  readonly args: ReadonlyArray<string | number>
}

/** Against Erlang. @since 0.1.0 @category models */
export type Goal = { readonly atLeast: number } | { readonly atMost: number }

/**
 * - `rate`: work per second, more is better.
 * - `latency`: microseconds, a median and a 99th percentile; less is better.
 * - `bytes`: less is better.
 *
 * @since 0.1.0
 * @category models
 */
export type Kind = "rate" | "latency" | "bytes"

/** @since 0.1.0 @category models */
export interface Row {
  readonly id: string
  readonly title: string
  readonly kind: Kind
  readonly unit: string
  readonly about: string
  readonly goal: Goal
  readonly figures: ReadonlyArray<Figure>
  /** Why an arm does not run it. */
  readonly absent: Partial<Record<ArmId, string>>
}

/** Work is done, and checked, in batches of so much; a round is as many as it takes. Our choice: some 10 to 700 ms. */
const batch = 100_000

/** Messages to the sink that may be under way, all senders together: within the bound of 4,096. */
const credit = { one: 1000, ten: 4000 }

/** The crashes of one supervisor, whose restart window holds each of them. Our choice. */
const crashes = 200

const noRestart = "an actor that fails has ended"
const noSupervisor = "no supervisor"

const all = (...args: ReadonlyArray<string | number>): ReadonlyArray<Figure> =>
  arms.map(({ id }) => ({ arm: id, args }))

/** @since 0.1.0 */
export const rows: ReadonlyArray<Row> = [
  {
    id: "mailbox-1",
    title: "mailbox 1→1",
    kind: "rate",
    unit: "messages/s",
    about: `One actor sends to another; the last of each ${credit.one} messages asks for credit to send as many again.`,
    goal: { atLeast: 1.5 },
    figures: [
      ...all("mailbox", "credit", 1, batch, credit.one),
      {
        arm: "erlang",
        label: `without credit, ${batch.toLocaleString("en")} at once`,
        args: ["mailbox", "free", 1, batch, credit.one]
      }
    ],
    absent: {}
  },
  {
    id: "mailbox-10",
    title: "mailbox 10→1",
    kind: "rate",
    unit: "messages/s",
    about: `Ten actors send to one, with a credit of ${credit.ten / 10} each.`,
    goal: { atLeast: 1.5 },
    figures: [
      ...all("mailbox", "credit", 10, batch, credit.ten),
      {
        arm: "erlang",
        label: `without credit, ${batch.toLocaleString("en")} at once`,
        args: ["mailbox", "free", 10, batch, credit.ten]
      }
    ],
    absent: {}
  },
  {
    id: "ping-pong",
    title: "ping-pong",
    kind: "rate",
    unit: "round trips/s",
    about: "Two actors, one message: a round trip is two messages, each made anew, with its sender in it.",
    goal: { atLeast: 3 },
    figures: [
      ...all("pingpong", "plain", batch),
      { arm: "erlang", label: "two gen_servers that cast", args: ["pingpong", "gen_server", batch] },
      { arm: "starling", label: "to the name instead of the incarnation", args: ["pingpong", "named", batch] }
    ],
    absent: {}
  },
  {
    id: "ping-pong-effect",
    title: "ping-pong, handlers that are Effects",
    kind: "rate",
    unit: "round trips/s",
    about: "The same, where Starling's handler returns `Effect.as(Actor.tell(…), next)`.",
    goal: { atLeast: 0.5 },
    figures: [
      { arm: "erlang", args: ["pingpong", "plain", batch] },
      { arm: "starling", args: ["pingpong", "effect", batch] },
      { arm: "starling", label: "a generator, by Effect.fnUntraced", args: ["pingpong", "generator", batch] }
    ],
    absent: {
      effect: "as in the row above",
      nact: "its handlers are functions",
      xstate: "its transitions are functions"
    }
  },
  {
    id: "ring",
    title: "ring of 503",
    kind: "rate",
    unit: "hops/s",
    about: "503 actors in a ring, one token that is passed on.",
    goal: { atLeast: 3 },
    figures: all("ring", "plain", 503, batch),
    absent: {}
  },
  {
    id: "ask",
    title: "ask",
    kind: "rate",
    unit: "answers/s",
    about: "One question at a time, each with five seconds to be answered: `gen_server:call` in Erlang.",
    goal: { atLeast: 2 },
    figures: all("ask", "plain", batch / 10),
    absent: {}
  },
  {
    id: "spawn",
    title: "spawn + init + stop, named and monitored",
    kind: "rate",
    unit: "actors/s",
    about:
      "A child of a dynamic supervisor is started under a registered name, its init acknowledged, monitored, terminated by the supervisor, and its Down received; one after the other. In Erlang a gen_server with a local name under a simple_one_for_one supervisor.",
    goal: { atLeast: 1 },
    figures: [
      { arm: "erlang", args: ["spawn", "named", batch / 100] },
      { arm: "starling", args: ["spawn", "named", batch / 100] }
    ],
    absent: {
      effect: "no names, no monitors; see the next row",
      nact: "no monitors; see the next row",
      xstate: "no monitors; see the next row"
    }
  },
  {
    id: "spawn-bare",
    title: "spawn + init + stop",
    kind: "rate",
    unit: "actors/s",
    about: "The same without name and monitor. nact acknowledges no start; XState and nact have no supervisor for it.",
    goal: { atLeast: 1 },
    figures: [
      ...all("spawn", "supervised", batch / 100),
      { arm: "erlang", label: "gen_server alone: start_link, stop", args: ["spawn", "alone", batch / 100] }
    ],
    absent: {}
  },
  {
    id: "memory",
    title: "idle memory",
    kind: "bytes",
    unit: "bytes/actor",
    about:
      "100,000 children of a dynamic supervisor that have each answered one question and are watched by a monitor, after collection. Starling's have each a registered name too; Erlang's have none, and what JavaScript libraries have is neither named nor watched.",
    goal: { atMost: 0.5 },
    figures: [
      { arm: "erlang", args: ["memory", "plain", batch] },
      { arm: "starling", args: ["memory", "named", batch] },
      { arm: "effect", args: ["memory", "plain", batch] },
      { arm: "nact", args: ["memory", "plain", batch] },
      { arm: "xstate", args: ["memory", "plain", batch] },
      { arm: "starling", label: "without names", args: ["memory", "plain", batch] },
      { arm: "starling", label: "without names and monitors", args: ["memory", "bare", batch] }
    ],
    absent: {}
  },
  {
    id: "restart",
    title: "crash → next answer",
    kind: "latency",
    unit: "µs",
    about:
      "From the message that makes a permanent child crash to the next answer that its name gives. Who asks tries again as soon as others have had their turn.",
    goal: { atMost: 1 },
    figures: [
      { arm: "erlang", args: ["restart", "plain", crashes] },
      { arm: "starling", args: ["restart", "plain", crashes] },
      { arm: "effect", args: ["restart", "plain", crashes] },
      { arm: "nact", args: ["restart", "plain", crashes] }
    ],
    absent: { xstate: noRestart }
  },
  {
    id: "one-for-all",
    title: "one_for_all of 10",
    kind: "latency",
    unit: "µs",
    about: "From the message that makes one of ten crash to the answers of ten new incarnations.",
    goal: { atMost: 1 },
    figures: [
      { arm: "erlang", args: ["oneforall", "plain", 10, crashes] },
      { arm: "starling", args: ["oneforall", "plain", 10, crashes] },
      { arm: "nact", args: ["oneforall", "plain", 10, crashes] }
    ],
    absent: { effect: noSupervisor, xstate: noRestart }
  }
]

/** A thousand children, one per cent of which crash each second. @since 0.1.0 */
export const crowd = {
  id: "crowd",
  title: "1,000 children, 10 crashes a second",
  children: 1000 as number,
  crashesPerSecond: 10 as number,
  goals: { throughput: 0.9, heap: 0.05 }
}

/** Every name that `--rows` knows. @since 0.1.0 */
export const ids: ReadonlyArray<string> = [...rows.map(({ id }) => id), crowd.id]
