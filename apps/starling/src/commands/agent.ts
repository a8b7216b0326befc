/**
 * `agent`: one supervised node in the foreground. Only the flags stand here; the node is loaded when it is started.
 *
 * @since 0.1.0
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { exitCodes, Failure } from "../Failure.ts"
import * as Root from "../root.ts"

/** More of a repeatable flag than any configuration accepts, so that its own limit is what answers. */
const repeatMax = 1000

const text = (name: string, metavar: string, description: string) =>
  Flag.String(name).pipe(Flag.withMetavar(metavar), Flag.withDescription(description), Flag.optional)

const texts = (name: string, metavar: string, description: string) =>
  Flag.String(name).pipe(
    Flag.withMetavar(metavar),
    Flag.withDescription(`${description}; repeatable`),
    Flag.between(0, repeatMax)
  )

const bool = (name: string, description: string) =>
  Flag.Boolean(name).pipe(Flag.withDescription(description), Flag.optional)

/** @since 0.1.0 @category commands */
export const agent = Command.make(
  "agent",
  {
    config: text("config", "FILE", "TOML file with any of these flags as keys (STARLING_CONFIG)"),
    name: text("name", "NAME", "Unique in the fleet; default: the host name"),
    datacenter: text("datacenter", "DC", 'Default: "default"'),
    fleet: text("fleet", "NAME", 'Default: "starling"; agents of different fleets refuse each other'),
    label: texts("label", "KEY=VALUE", "What selectors ask for"),
    gossip: text("gossip", "HOST:PORT", "Where peers connect, default 127.0.0.1:7740; port 0: any free one"),
    advertise: text("advertise", "HOST:PORT", "What peers dial; default: the bound address"),
    otlp: text("otlp", "HOST:PORT|off", "Where OpenTelemetry SDKs send, default 127.0.0.1:4318"),
    join: texts("join", "HOST:PORT", "Another node of the fleet; any one that answers is enough"),
    data: text("data", "DIR", "Identity, known peers, configuration, events; default: the user's data directory"),
    "log-level": text("log-level", "LEVEL", "trace, debug, info, warn, error or none; default info"),
    "log-format": text("log-format", "FORMAT", "pretty or json; default pretty"),
    insecure: bool("insecure", "Allows addresses that are not loopback, unencrypted and unauthenticated"),
    debug: bool("debug", "Allows `starling debug` at this agent"),
    "clock-source": text(
      "clock-source",
      "SOURCE",
      "What time it is: by most of the fleet's clocks (fleet), or by the own one (own); default fleet"
    ),
    "clock-policy": text(
      "clock-policy",
      "POLICY",
      "refuse stamps beyond the fleet's time, or accept them; default refuse"
    ),
    "clock-mode": text(
      "clock-mode",
      "MODE",
      "What to stamp by while the own clock is wrong: the fleet's time (population), or a counter; default population"
    ),
    "clock-offset": text(
      "clock-offset",
      "DURATION",
      "With --debug: reads the wall clock so far ahead, like 3h or -10m"
    ),
    check: Flag.Boolean("check").pipe(
      Flag.withDescription("Validate, print the effective configuration with where each value came from, and exit"),
      Flag.withDefault(false)
    )
  },
  ({ check, config, ...given }) =>
    Effect.gen(function* () {
      const { api, json, timeout } = yield* Root.root
      if (Option.isSome(timeout)) {
        return yield* new Failure({
          code: exitCodes.usage,
          message: "--timeout: an agent runs until it is told to stop",
          next: "leave it out; it is for the commands that ask an agent"
        })
      }
      const flags: Record<string, unknown> = {}
      for (const [key, value] of Object.entries({ ...given, api })) {
        if (!Option.isOption(value)) {
          if (value.length > 0) flags[key] = value
        } else if (value._tag === "Some") flags[key] = value.value
      }
      const { run } = yield* Effect.promise(() => import("../agent/run.ts"))
      return yield* run({ flags, config: Option.getOrUndefined(config), check, json })
    })
).pipe(
  Command.withDescription(
    "Runs one node in the foreground. Every flag is also a key of the TOML file and a STARLING_* variable; flag > environment > file > default."
  )
)
