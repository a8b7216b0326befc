#!/usr/bin/env node
/** Where benchmarks begin: `bench actor`, `bench clock`, `bench gossip`, `bench sim`, `bench micro`, `bench PACKAGE`. */
import * as Command from "effect/cli/Command"
import { runMain } from "./cli.ts"
import { actor } from "./commands/actor.ts"
import { micro } from "./commands/micro.ts"
import { stamps } from "./commands/stamps.ts"
import { steps } from "./commands/steps.ts"
import { worlds } from "./commands/worlds.ts"

runMain(
  Command.make("bench").pipe(
    Command.withDescription("Measures in real time, beside others. Leave the machine alone meanwhile."),
    Command.withSubcommands([actor, stamps, steps, worlds, ...micro])
  )
)
