#!/usr/bin/env node
/** Where the laboratory begins: its commands. */
import * as Command from "effect/cli/Command"
import { runMain } from "./cli.ts"
import { beyond } from "./commands/beyond.ts"
import { clock } from "./commands/clock.ts"
import { compare } from "./commands/compare.ts"
import { hunt } from "./commands/hunt.ts"
import { list } from "./commands/list.ts"
import { papers } from "./commands/papers.ts"
import { replay } from "./commands/replay.ts"
import { run } from "./commands/run.ts"
import { soak } from "./commands/soak.ts"

runMain(
  Command.make("lab").pipe(
    Command.withDescription("Runs the scenarios of @starling/testing: whole fleets in virtual time, by a seed."),
    Command.withSubcommands([beyond, clock, compare, hunt, list, papers, replay, run, soak])
  )
)
