/** `bench actor`: its arms in JavaScript at tiny sizes, and the page that it makes. Nothing here is a measurement. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { spawnSync } from "node:child_process"
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import * as Measure from "../../apps/lab/src/bench/Measure.ts"
import * as Page from "../../apps/lab/src/bench/Page.ts"
import * as Program from "../../apps/lab/src/bench/Program.ts"
import type * as Report from "../../apps/lab/src/bench/Report.ts"
import { arms, type ArmId, type Figure, type Row, rows } from "../../apps/lab/src/bench/Rows.ts"

const run: Measure.Run = {
  settings: { rounds: 1, roundMs: 1, probeMs: 50, crowdSeconds: 0.3 },
  pin: [],
  beams: "",
  say: () => Effect.void
}

/** The same work, a thousandth of it. */
const tiny = ({ args, ...figure }: Figure): Figure => ({
  ...figure,
  args: args.map((arg) => (typeof arg === "number" && arg > 100 ? Math.max(10, Math.round(arg / 1000)) : arg))
})

const rowOf = (id: string): Row => {
  const row = rows.find((row) => row.id === id)
  if (row === undefined) throw new Error(`there is no row ${id}`)
  return row
}

const tinyRow = (id: string, ...only: ReadonlyArray<ArmId>): Row => {
  const row = rowOf(id)
  return { ...row, figures: row.figures.filter(({ arm }) => only.includes(arm)).map(tiny) }
}

describe("the arms in JavaScript", () => {
  const cases: ReadonlyArray<readonly [id: string, ...arms: ReadonlyArray<ArmId>]> = [
    ["mailbox-10", "starling", "effect", "nact", "xstate"],
    ["spawn", "starling"],
    ["one-for-all", "starling"]
  ]
  for (const [id, ...arms] of cases) {
    it.live(`run ${id}, and their work is counted`, () =>
      Effect.gen(function* () {
        const report = yield* Measure.measureRow(run, tinyRow(id, ...arms))
        for (const { arm, rounds } of report.figures) {
          assert.lengthOf(rounds, 1)
          assert.isTrue(
            rounds.flat().every((value) => Number.isFinite(value) && value > 0),
            `${arm}: ${rounds.join()}`
          )
        }
        assert.isAbove(report.waits.timer.samples, 0)
        assert.isAbove(report.waits.echo.samples, 0)
      }).pipe(Effect.provide(NodeServices.layer))
    )
  }

  it.live("run the crowd, with as many crashes as were ordered", () =>
    Effect.gen(function* () {
      const { pairs } = yield* Measure.measureCrowd(run, { children: 200, crashesPerSecond: 100 })
      assert.deepStrictEqual(
        pairs.map(({ crashing, quiet }) => [quiet.crashes, crashing.crashes]),
        [[0, 30]]
      )
    }).pipe(Effect.provide(NodeServices.layer))
  )

  it.live("fail with what they said, when they have no answer", () =>
    Effect.gen(function* () {
      const program = yield* Program.start([], [process.execPath, "-e", "process.exit(3)"], [])
      const error = yield* Effect.flip(Measure.round(program, "rate", 1))
      assert.include(error.message, "ended with code 3")
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
  )
})

const waits: Report.Waits = {
  timer: { p50: 1, p99: 6.2, max: 9, samples: 500 },
  echo: { p50: 1, p99: 25, max: 30, samples: 500 }
}

const figures = (arm: ArmId, label: string | undefined, ...rounds: Report.Figures["rounds"]): Report.Figures => ({
  arm,
  label,
  rounds
})

const report: Report.Report = {
  date: "2024-06-14 13:40",
  minutes: 18.2,
  load: { before: 0.05, after: 1.02 },
  machine: { cpu: "a CPU", cores: 2, kernel: "Linux 6", commit: "c0", versions: { Node: "26.10.0" } },
  settings: { core: 1, rounds: 3, roundMs: 1000, probeMs: 3000, crowdSeconds: 60 },
  rows: [
    {
      row: rowOf("ping-pong"),
      figures: [
        figures("erlang", undefined, [1.2e6], [1e6], [0.9e6]),
        figures("starling", undefined, [2.4e6], [2.9e6], [2.7e6]),
        figures("effect", undefined, [1e5], [1e5], [1e5]),
        figures("nact", undefined, [2e5], [2e5], [2e5]),
        figures("xstate", undefined, [3e6], [3e6], [3e6]),
        figures("erlang", "two gen_servers that cast", [5e5], [5e5], [5e5])
      ],
      waits
    },
    {
      row: rowOf("one-for-all"),
      figures: [
        figures("erlang", undefined, [180, 320], [190, 340], [170, 300]),
        figures("starling", undefined, [90, 640], [80, 700], [95, 600]),
        figures("nact", undefined, [100, 400], [100, 400], [100, 400])
      ],
      waits
    }
  ],
  crowd: {
    pairs: [
      { quiet: { rate: 5e6, heap: [100], crashes: 0 }, crashing: { rate: 4.6e6, heap: [100, 104], crashes: 600 } },
      { quiet: { rate: 5e6, heap: [100], crashes: 0 }, crashing: { rate: 4.8e6, heap: [98, 107], crashes: 600 } },
      { quiet: { rate: 5e6, heap: [100], crashes: 0 }, crashing: { rate: 4.4e6, heap: [100, 100], crashes: 600 } }
    ],
    waits
  }
}

describe("the page", () => {
  const page = Page.render(report, "\n\nA hand wrote this.\n\n")

  const line = (begin: string): ReadonlyArray<string> => {
    const text = page.split("\n").find((text) => text.startsWith(begin)) ?? ""
    return text.split("|").map((cell) => cell.trim())
  }

  it("has medians, ranges, the ratio of the medians, and by how much a goal was missed", () => {
    assert.deepStrictEqual(line("| ping-pong ").slice(2, 7), [
      "1 M/s (900 k to 1.2 M)",
      "2.7 M/s (2.4 M to 2.9 M)",
      "2.70×",
      "≥ 3×",
      "short by 10 %"
    ])
    assert.deepStrictEqual(line("| one_for_all of 10, p50 ").slice(2, 7), [
      "180 µs (170 µs to 190 µs)",
      "90 µs (80 µs to 95 µs)",
      "0.50×",
      "≤ 1×",
      "met"
    ])
    assert.include(line("| one_for_all of 10, p99 "), "over by 100 %")
  })

  it("says where timers and sockets wait too long", () => {
    assert.deepStrictEqual(line("| ping-pong ").slice(7, 9), ["6.2 ms", "25.0 ms, over"])
  })

  it("says what an arm does not run and why, and where Starling is behind", () => {
    assert.include(page, "- No figure for one_for_all of 10: raw Effect (no supervisor), XState (")
    assert.include(page, "ahead of nact in 2 of 3 lines; behind in one_for_all of 10, p99 (1.60×).")
    assert.include(page, "ahead of XState (not counted) in 0 of 1 lines; behind in ping-pong (1.11×).")
  })

  it("judges the crowd by the median of its pairs and by the farthest look at the heap", () => {
    assert.include(page, "- Throughput: 0.92× (0.88× to 0.96×) of the quiet round; goal ≥ 0.9×: met.")
    assert.include(page, "- Heap: at most 7.0 % from the first look at it in a crashing round; goal ± 5 %: not met.")
  })

  it("keeps what was written by hand, and tells when its marks are lost", () => {
    const notes = Page.notesOf(page)
    assert.include(notes, "A hand wrote this.")
    assert.strictEqual(Page.render(report, notes ?? ""), page)
    assert.isUndefined(Page.notesOf("# Actors, measured\n\nA hand wrote this.\n"))
  })

  it("is as the formatter has it", () => {
    const directory = mkdtempSync(join(tmpdir(), "starling-bench-"))
    try {
      const path = join(directory, "actor.md")
      writeFileSync(path, page)
      const root = fileURLToPath(new URL("../../", import.meta.url))
      const args = ["--check", "--config", join(root, ".oxfmtrc.json"), path]
      const { status, stderr, stdout } = spawnSync(join(root, "node_modules/.bin/oxfmt"), args, {
        cwd: directory,
        encoding: "utf8"
      })
      assert.strictEqual(status, 0, stdout + stderr)
    } finally {
      rmSync(directory, { recursive: true })
    }
  })
})

describe("the rows", () => {
  it("have a figure of Erlang and of Starling each, and for every other arm a figure or a reason", () => {
    for (const row of rows) {
      for (const { id } of arms) {
        const has = row.figures.some(({ arm, label }) => arm === id && label === undefined)
        assert.notStrictEqual(has, id in row.absent, `${row.id}, ${id}`)
      }
      assert.isFalse("erlang" in row.absent || "starling" in row.absent)
    }
  })
})

describe("bench", () => {
  const main = fileURLToPath(new URL("../../apps/lab/src/bench.ts", import.meta.url))
  const bench = (path: string | undefined, ...args: ReadonlyArray<string>) =>
    spawnSync(process.execPath, [main, ...args], {
      encoding: "utf8",
      timeout: 200_000,
      env: { ...process.env, ...(path === undefined ? {} : { PATH: path }) }
    })

  it("refuses what it does not understand with exit 5, and says what would be right", () => {
    const { status, stderr, stdout } = bench(undefined, "actor", "--rows", "ping-pong,pong")
    assert.strictEqual(status, 5)
    assert.match(stderr, /mailbox-1.*crowd.*"ping-pong,pong"/)
    assert.strictEqual(stdout, "")
  })

  it("without Erlang says how to install it", () => {
    const directory = mkdtempSync(join(tmpdir(), "starling-bench-"))
    try {
      const taskset = join(directory, "taskset")
      writeFileSync(taskset, "#!/bin/sh\n")
      chmodSync(taskset, 0o755)
      const { status, stderr } = bench(directory, "actor", "--rows", "ask")
      assert.strictEqual(status, 1)
      assert.match(stderr, /`erl` is not on this machine[^]*apt-get install erlang-base/)
    } finally {
      rmSync(directory, { recursive: true })
    }
  })
})
