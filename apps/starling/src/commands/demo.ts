/**
 * `demo`: a live fleet on this machine. Only the flags stand here; the rest is loaded when it is started.
 *
 * @since 0.1.0
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Interrupted from "../interrupted.ts"
import * as Root from "../root.ts"

const countFlag = (name: string, description: string) =>
  Flag.Int(name).pipe(
    Flag.withDescription(`${description}, default 3`),
    Flag.filter(
      (count) => count >= 1 && count <= 16,
      (count) => `Expected a count from 1 to 16, got ${count}`
    ),
    Flag.withDefault(3)
  )

/** @since 0.1.0 @category commands */
export const demo = Command.make(
  "demo",
  {
    datacenters: countFlag("datacenters", "How many data centres"),
    nodes: countFlag("nodes", "How many agents in each"),
    once: Flag.Boolean("once").pipe(
      Flag.withDescription("Stop everything after the last step"),
      Flag.withDefault(false)
    )
  },
  (input) =>
    Effect.gen(function* () {
      // Before anything is loaded: Ctrl-C is as good an end as any, also at the very beginning.
      Interrupted.exitCode.onInterrupt = 0
      const { json, jsonl } = yield* Root.root
      const [{ run }, NodeServices] = yield* Effect.promise(() =>
        Promise.all([import("../demo/command.ts"), import("@effect/platform-node/NodeServices")])
      )
      yield* Effect.provide(run({ ...input, json: json || jsonl }), NodeServices.layer)
    })
).pipe(
  Command.withDescription("A live fleet on this machine: real processes, real sockets, real OpenTelemetry applications")
)
