/**
 * `docs/benchmarks/actor.md`: the page made from a report. What stands between its two marks is written by hand and stays.
 *
 * @since 0.1.0
 */
import * as Report from "./Report.ts"
import { type Arm, arms, crowd, type Goal, type Row } from "./Rows.ts"
import * as Text from "./Text.ts"

const begin = "<!-- by hand: begin -->"
const end = "<!-- by hand: end -->"

/** A new page has nothing between the marks. @since 0.1.0 */
export const noNotes = "\n\n"

/** What stands between the marks of a page; undefined if they are not both there. @since 0.1.0 */
export const notesOf = (page: string): string | undefined => {
  const from = page.indexOf(begin)
  const to = page.indexOf(end)
  return from < 0 || to < from ? undefined : page.slice(from + begin.length, to)
}

/** @since 0.1.0 */
export const render = (report: Report.Report, notes: string): string =>
  `${[
    "# Actors, measured",
    [
      "Written by `npx -y pnpm@12 bench actor`; only the section between the two marks is by hand. Every figure is the median",
      `of ${report.settings.rounds} rounds with the range of them behind it; a ratio is that of the medians, to Erlang. Each row was measured with`,
      "all arms in turn on one and the same core, and each arm checked that the work was done."
    ].join("\n"),
    facts(report),
    "## Against Erlang",
    [
      "Starling runs with what an agent runs: see [how each arm was run](#how-each-arm-was-run). Timer and echo: the 99th",
      "percentile of a timer of 1 ms, and of a byte to a socket and back, in the same process while it runs the row. Their goal is",
      `less than ${waitGoalMs} ms.`
    ].join("\n"),
    againstErlang(report.rows),
    ...(report.crowd === undefined ? [] : ["## A thousand children, ten crashes a second", crowdText(report.crowd)]),
    "## Beside the JavaScript libraries",
    [
      "In brackets the ratio to Erlang. Counted as a peer: nact. Shown, not counted: raw Effect, which is a fiber and a queue in a",
      "loop, without names, monitors and supervision; XState's transition actors, which have no mailbox (an event is handled on the",
      "sender's stack)."
    ].join("\n"),
    besidePeers(report.rows),
    [...absences(report.rows), ahead(report.rows)].join("\n"),
    "## The same in other ways",
    otherWays(report.rows),
    "## What bounds it",
    `${begin}${notes}${end}`,
    "## How each arm was run",
    howRun(report),
    "## What each row does",
    report.rows.map(({ row }) => `- **${row.title}** (${row.unit}): ${row.about}`).join("\n")
  ].join("\n\n")}\n`

const waitGoalMs = 20

const facts = ({ date, load, machine, minutes, settings }: Report.Report): string =>
  Text.table(
    ["", "what it was"],
    [
      ["date", `${date} UTC, after ${Math.round(minutes)} minutes`],
      ["commit", machine.commit],
      ["machine", `${machine.cpu}, ${machine.cores} cores; all arms on core ${settings.core}`],
      ["kernel", machine.kernel],
      [
        "versions",
        Object.entries(machine.versions)
          .map(([name, version]) => `${name} ${version}`)
          .join(", ")
      ],
      ["load average", `${load.before.toFixed(2)} before, ${load.after.toFixed(2)} after`],
      ["rounds", `one of ${2 * settings.roundMs} ms to warm up, ${settings.rounds} of ${settings.roundMs} ms each`]
    ],
    false
  )

/** A latency is two lines: its median and its 99th percentile. */
const linesOf = ({ kind, title }: Row): ReadonlyArray<readonly [title: string, n: number]> =>
  kind === "latency"
    ? [
        [`${title}, p50`, 0],
        [`${title}, p99`, 1]
      ]
    : [[title, 0]]

const cell = (row: Row, { least, median, most }: Report.Summary): string => {
  if (row.kind === "latency") return `${Text.time(median)} (${Text.time(least)} to ${Text.time(most)})`
  const unit = row.kind === "rate" ? "/s" : " B"
  return `${Text.number(median)}${unit} (${Text.number(least)} to ${Text.number(most)})`
}

const summaryOf = (report: Report.RowReport, arm: Arm["id"], n: number): Report.Summary | undefined => {
  const figures = Report.mainOf(report, arm)
  return figures === undefined ? undefined : Report.summary(figures.rounds, n)
}

const againstErlang = (rows: ReadonlyArray<Report.RowReport>): string =>
  Text.table(
    ["row", "Erlang +S 1", "Starling", "ratio", "goal", "", "timer p99", "echo p99"],
    rows.flatMap((report) =>
      linesOf(report.row).map(([title, n]) => {
        const erlang = summaryOf(report, "erlang", n)
        const starling = summaryOf(report, "starling", n)
        const { row, waits } = report
        if (erlang === undefined || starling === undefined) return [title]
        const ratio = starling.median / erlang.median
        const figures = [cell(row, erlang), cell(row, starling), Text.ratio(ratio)]
        const goal = [goalText(row.goal), verdict(row.goal, ratio)]
        // Once for a row, which may have two lines.
        return [title].concat(figures, goal, n === 0 ? [waitText(waits.timer), waitText(waits.echo)] : [])
      })
    )
  )

const goalText = (goal: Goal): string => ("atLeast" in goal ? `≥ ${goal.atLeast}×` : `≤ ${goal.atMost}×`)

/** Met, or by how much not. @since 0.1.0 */
export const verdict = (goal: Goal, ratio: number): string => {
  if ("atLeast" in goal) {
    return ratio >= goal.atLeast ? "met" : `short by ${percent(1 - ratio / goal.atLeast)}`
  }
  return ratio <= goal.atMost ? "met" : `over by ${percent(ratio / goal.atMost - 1)}`
}

/** Never 0 % where something is missing. */
const percent = (share: number): string =>
  share < 0.1 ? `${(share * 100).toPrecision(2)} %` : `${Math.round(share * 100)} %`

const waitText = ({ p99 }: Report.Wait): string => `${p99.toFixed(1)} ms${p99 < waitGoalMs ? "" : ", over"}`

const besidePeers = (rows: ReadonlyArray<Report.RowReport>): string => {
  const shown = arms.filter(({ id }) => id !== "erlang")
  const figure = (report: Report.RowReport, arm: Arm["id"], n: number): string => {
    const erlang = summaryOf(report, "erlang", n)
    const value = summaryOf(report, arm, n)
    if (value === undefined || erlang === undefined) return "–"
    return `${cell(report.row, value)} [${Text.ratio(value.median / erlang.median)}]`
  }
  return Text.table(
    ["row", ...shown.map(({ name }) => name)],
    rows.flatMap((report) =>
      linesOf(report.row).map(([title, n]) => [title].concat(shown.map(({ id }) => figure(report, id, n))))
    )
  )
}

const absences = (rows: ReadonlyArray<Report.RowReport>): ReadonlyArray<string> =>
  rows.flatMap(({ row }) => {
    const reasons = arms.flatMap(({ id, name }) => {
      const reason = row.absent[id]
      return reason === undefined ? [] : [`${name} (${reason})`]
    })
    return reasons.length === 0 ? [] : [`- No figure for ${row.title}: ${reasons.join(", ")}.`]
  })

/** Where Starling is ahead of the others, and where not. */
const ahead = (rows: ReadonlyArray<Report.RowReport>): string =>
  arms
    .filter(({ id }) => id !== "erlang" && id !== "starling")
    .map((arm) => {
      const compared = rows.flatMap((report) =>
        linesOf(report.row).flatMap(([title, n]) => {
          const starling = summaryOf(report, "starling", n)
          const other = summaryOf(report, arm.id, n)
          if (starling === undefined || other === undefined) return []
          const times = report.row.kind === "rate" ? starling.median / other.median : other.median / starling.median
          return [{ title, times }]
        })
      )
      const behind = compared.filter(({ times }) => times <= 1)
      const where = behind.map(({ times, title }) => `${title} (${Text.ratio(1 / times)})`)
      const head = `- Starling is ahead of ${arm.name}${arm.isPeer ? "" : " (not counted)"} in ${compared.length - behind.length} of ${compared.length} lines`
      return where.length === 0 ? `${head}.` : `${head}; behind in ${where.join(", ")}.`
    })
    .join("\n")

const otherWays = (rows: ReadonlyArray<Report.RowReport>): string =>
  Text.table(
    ["row, and how", "figure", "ratio to Erlang's in the table above"],
    rows.flatMap((report) =>
      report.figures.flatMap(({ arm, label, rounds }) =>
        label === undefined
          ? []
          : linesOf(report.row).map(([title, n]) => {
              const value = Report.summary(rounds, n)
              const erlang = summaryOf(report, "erlang", n)
              const name = arms.find(({ id }) => id === arm)?.name ?? arm
              return [
                `${title}: ${name}, ${label}`,
                cell(report.row, value),
                Text.ratio(value.median / (erlang?.median ?? Number.NaN))
              ]
            })
      )
    )
  )

const crowdText = (report: Report.CrowdReport): string => {
  const drift = Report.heapDrift(report)
  const { least, median, most } = Report.crowdRatio(report)
  const seen = (bytes: ReadonlyArray<number>) => `${mebibytes(Math.min(...bytes))} to ${mebibytes(Math.max(...bytes))}`
  return [
    [
      "One supervisor, one_for_one, with a thousand children under load: each has up to 32 messages waiting, always. In a crashing",
      "round ten children a second, in an order that a seed has shuffled, are made to crash. Messages of all children are counted,",
      "of those that crash too. Heap: in use after a collection, six times in a round."
    ].join("\n"),
    Text.table(
      ["pair", "quiet", "crashing", "ratio", "crashes", "heap, quiet", "heap, crashing"],
      report.pairs.map(({ crashing, quiet }, i) => [
        String(i + 1),
        `${Text.number(quiet.rate)}/s`,
        `${Text.number(crashing.rate)}/s`,
        Text.ratio(crashing.rate / quiet.rate),
        String(crashing.crashes),
        seen(quiet.heap),
        seen(crashing.heap)
      ])
    ),
    [
      `- Throughput: ${Text.ratio(median)} (${Text.ratio(least)} to ${Text.ratio(most)}) of the quiet round; goal ≥ ${crowd.goals.throughput}×: ${verdict({ atLeast: crowd.goals.throughput }, median)}.`,
      `- Heap: at most ${(drift * 100).toFixed(1)} % from the first look at it in a crashing round; goal ± ${crowd.goals.heap * 100} %: ${drift <= crowd.goals.heap ? "met" : "not met"}.`,
      `- While it crashes: timer p99 ${waitText(report.waits.timer)}, echo p99 ${waitText(report.waits.echo)}.`
    ].join("\n")
  ].join("\n\n")
}

const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`

const howRun = ({ settings }: Report.Report): string =>
  [
    `All sources are in [\`apps/lab/bench/actor\`](../../apps/lab/bench/actor). Each arm of a row is one process, started anew for the row by \`taskset --cpu-list ${settings.core}\`, so that all threads of it share that core. Only one works at a time: after a round to warm up, the arms measure their first round one after the other, then their second, and so on. A round does batches of fixed work until its time is over; those who did the work count it, and a round whose count is not what was ordered fails the run. The timer and the socket are watched in a further round of ${settings.probeMs / 1000} seconds that is not counted.`,
    "- **Erlang**: `erl -noshell +S 1`, one scheduler, compiled by `erlc` without options, JIT as it comes, log level none. Mailbox, ping-pong and ring are plain linked processes in a receive loop, its fastest way; ask, spawn, memory and restarts are gen_servers and supervisors of OTP. The restart window holds exactly the crashes of a batch.",
    "- **Starling**: `node --expose-gc`, the sources as they are. Every actor is the child of a supervisor, registered by a name, with a monitor on it, and has a bounded mailbox of 4,096 messages with backpressure, and the system lane beside it. Messages go to the reference of the incarnation by `tellUnsafe`; crash and restart go by name. Handlers are plain functions, except where the row says otherwise. Log level none, everything else at its default: reports, dead letters and counters are kept. Spawned and idle actors are children of a dynamic supervisor.",
    "- **raw Effect**: a fiber and a `Queue.bounded(4096)` for each actor, `Queue.takeUnsafe` as long as there is something; an ask is a `Deferred` under `Effect.timeout`; a restart is `Effect.retry` around the loop, and the queue outlives it.",
    "- **nact**: `spawn` under the system, `dispatch`, `query`; mailboxes without bound, with the same credit. A crash is answered by `reset`, or `resetAll` of the siblings.",
    "- **XState**: `createActor(fromTransition(…))`; an ask is an event and `waitFor`.",
    "One arm alone, as for a profile: `printf 'run 1000\\nrun 5000\\n' | node --cpu-prof --expose-gc apps/lab/bench/actor/starling.ts ask plain 10000`, and with the modules compiled `printf 'run 1000\\n' | erl -noshell +S 1 -s bench main -extra ask plain 10000`; the words after the program are in [`Rows.ts`](../../apps/lab/src/bench/Rows.ts)."
  ].join("\n\n")
