/**
 * The results of `lab papers` as a page and plots: every figure beside the paper's, every promise with what was measured.
 *
 * @since 0.1.0
 */
import * as Checks from "../Checks.ts"
import { count, fixed, percentOf, table } from "../Markdown.ts"
import type * as Plot from "../Plot.ts"
import type { About } from "../Results.ts"
import type { Results } from "./Experiments.ts"
import * as Figures from "./Figures.ts"

const { check } = Checks

/** What is promised about the overlay and its broadcasts at n = 10,000. @since 0.1.0 */
export const checks = (results: Results): ReadonlyArray<Checks.Check> => {
  const { failures, many, overlay, single, size } = results
  const five = (overlay.degrees[5] ?? 0) / size
  const tree = single.at(-1)
  const control = 2 * (overlay.links - (size - 1))
  const settled = (rounds: Results["single"]): number => 1 + rounds.findLastIndex(({ redundancy }) => redundancy !== 0)
  const after = (percent: number) => failures.find((failure) => failure.percent === percent)
  const upTo = (percent: number) => failures.filter((failure) => failure.percent <= percent)
  const least = (shares: ReadonlyArray<number>): number => Math.min(1, ...shares)
  const healed = failures.slice(0, Figures.healing.HyParView.length)
  const mended = upTo(90).map(({ tree }) => 1 + tree.findLastIndex(({ reached }) => reached < 1))
  const first = upTo(50).map(({ treeUnrepaired, percent }) => [percent, treeUnrepaired] as const)
  return [
    check("one component", "1", String(overlay.components), overlay.components === 1),
    check("mean shortest path", "6.39 ± 2 %", fixed(overlay.path, 3), Math.abs(overlay.path / 6.39 - 1) <= 0.02),
    check("clustering", "< 0.002", fixed(overlay.clustering, 5), overlay.clustering < 0.002),
    check("nodes with 5 neighbours", "≥ 99 %", percentOf(five), five >= 0.99),
    check(
      "reach after one reactive pass, up to 80 % failed",
      "100 %",
      percentOf(least(upTo(80).map(({ repaired }) => repaired))),
      upTo(80).every(({ repaired }) => repaired === 1)
    ),
    check(
      "reach after one reactive pass, 90 % failed",
      "≥ 99.5 %",
      percentOf(after(90)?.repaired ?? 0),
      (after(90)?.repaired ?? 0) >= 0.995
    ),
    check(
      "cycles until everybody is reached, 10 to 90 % failed",
      `at most ${Figures.healing.HyParView.join(", ")}`,
      healed.map(({ cycles }) => cycles ?? "more than 10").join(", "),
      healed.every(({ cycles }, at) => cycles !== null && cycles <= (Figures.healing.HyParView[at] ?? 0))
    ),
    check("payloads of one broadcast", count(size - 1), count(tree?.payloads ?? 0), tree?.payloads === size - 1),
    check(
      "control messages of one broadcast",
      `2·(E − (n − 1)) = ${count(control)}`,
      count(tree?.control ?? 0),
      tree?.control === control
    ),
    check("broadcasts of one sender until redundancy is 0", "≤ 3", String(settled(single)), settled(single) <= 3),
    check(
      `rounds of ${many.senders} senders at once until redundancy is 0`,
      "≤ 3",
      String(settled(many.rounds)),
      settled(many.rounds) <= 3
    ),
    check(
      "first broadcast in an old tree, nothing repaired, up to 50 % failed",
      "the papers' 100, 100, 100, 99, 95 % − 2",
      first.map(([, reached]) => percentOf(reached)).join(", "),
      first.every(([, reached], at) => 100 * reached >= (Figures.firstBroadcast.Plumtree[at] ?? 0) - 2)
    ),
    check(
      "broadcasts until each reaches everybody, 10 to 90 % failed",
      `at most ${Figures.treeHealing.join(", ")} + 1`,
      mended.map((broadcasts) => broadcasts + 1).join(", "),
      mended.every((broadcasts, at) => broadcasts <= (Figures.treeHealing[at] ?? 0))
    )
  ]
}

/** @since 0.1.0 */
export const page = (results: Results, about: About): string => {
  const { churn, failures, many, overlay, single, size } = results
  const at = (row: ReadonlyArray<number | null>, index: number): string => {
    const value = row[index]
    return value === null || value === undefined ? "–" : String(value)
  }
  return [
    "# The papers' experiments, run again",
    "",
    `Written by \`${about.command}\` at ${about.commit}: n = ${count(size)}, seed ${results.seed}, ${results.cycles} cycles;`,
    `${count(Math.round(results.events / 1e5) / 10)} million events in ${count(about.processorSeconds)} s of processor time and ${count(about.memoryMib)} MiB on ${about.machine}.`,
    "",
    "The nodes are the machines that an agent runs: view manager, shuffler, broadcast tree and lazy-push repair, with the",
    "papers' parameters (active view 5, passive view 30, ARWL 6, PRWL 3, ka 3, kp 4; a shuffle walks 6 hops, which the paper",
    "leaves open). The papers' figures are of n = 10,000: Leitão, Pereira, Rodrigues, TR DI-FCUL 07-13 (HyParView) and 07-14",
    "(Plumtree). Those of Cyclon, CyclonAcked and Scamp are theirs too; nothing of them was run here.",
    "",
    "## What was promised",
    "",
    ...Checks.table(checks(results)),
    "",
    "## The overlay (TR 07-13, table 1 and figure 5)",
    "",
    ...table(
      ["", "clustering", "shortest path", "farthest node, hops"],
      [
        ["measured", fixed(overlay.clustering, 5), fixed(overlay.path, 3), fixed(overlay.farthest, 1)],
        ...Figures.graphs.map(({ clustering, hops, name, path }) => [
          `${name}, paper`,
          `${clustering}`,
          fixed(path, 3),
          `${hops}`
        ])
      ]
    ),
    "",
    `Neighbours: ${degreesOf(overlay)}; ${count(overlay.links)} links.`,
    `Passive views that name a node: ${overlay.passiveIn.join(", ")} (1st, 50th and 99th percentile).`,
    "",
    "A graph of 10,000 nodes drawn at random, five links at each, has a clustering of 0.0003 (Newman, SIAM Review 45, 2003,",
    "§IV.B.1). An overlay comes close to it if each newcomer's walks are over before the next one joins: nodes that join at the",
    "same time are told of each other, and cluster.",
    "",
    "## Failures at once (TR 07-13, figures 2 and 4)",
    "",
    "Reach: the share of the survivors that a flood gets to, the mean over all sources. _Before_: in what the failure left.",
    "_After_: once the survivors have filled their slots, before any shuffle.",
    "",
    "![Reach after failures](papers/reliability.svg)",
    "",
    ...table(
      ["failed", "before", "after", "isolated", "HyParView, paper", "CyclonAcked", "Cyclon", "Scamp"],
      failures.map(({ isolated, percent, repaired, unrepaired }, index) => [
        `${percent} %`,
        percentOf(unrepaired),
        percentOf(repaired),
        String(isolated),
        ...(["HyParView", "CyclonAcked", "Cyclon", "Scamp"] as const).map((name) =>
          at(Figures.reliability[name], index)
        )
      ])
    ),
    "",
    "Cycles until a flood reaches every survivor:",
    "",
    "![Healing](papers/healing.svg)",
    "",
    ...table(
      ["failed", "measured", "HyParView, paper", "CyclonAcked", "Cyclon"],
      failures.map(({ cycles, percent }, index) => [
        `${percent} %`,
        cycles === null ? "more than 10" : String(cycles),
        ...(["HyParView", "CyclonAcked", "Cyclon"] as const).map((name) => at(Figures.healing[name], index))
      ])
    ),
    "",
    "0 stands for the reactive pass alone. The papers count cycles because there a failure is noticed when something is sent;",
    "here the link of a dead process ends at once, so that all of the repair comes before the first cycle. Who is isolated then",
    "has no survivor in its passive view, and its one contact is among the dead: shuffles do not bring it back, since nobody",
    "with five neighbours looks for one more. Agents do look: each dials a known address outside of its views every 15 s,",
    "which is off here because the papers have nothing like it, and each remembers more nodes than its views hold.",
    "",
    "## Broadcasts (TR 07-14, table 1 and figures 3 to 5)",
    "",
    `Six broadcasts of one node, and three of each of ${many.senders} nodes at once (means):`,
    "",
    "![Redundancy of the first broadcasts](papers/redundancy.svg)",
    "",
    ...table(
      [
        "broadcast",
        "payloads",
        "control",
        "redundancy",
        "last hop",
        `${many.senders} senders: redundancy`,
        "last hop",
        "paper: redundancy"
      ],
      single.map((round, index) => [
        String(index + 1),
        count(round.payloads),
        count(round.control),
        fixed(round.redundancy, 3),
        String(round.lastHop),
        many.rounds[index] === undefined ? "–" : fixed(many.rounds[index].redundancy, 3),
        many.rounds[index] === undefined ? "–" : fixed(many.rounds[index].lastHop, 1),
        at(Figures.bootstrap, index)
      ])
    ),
    "",
    `The paper has ${count(Figures.messages.payloads)} payloads and ${Figures.messages.control.map(count).join(" to ")} control messages, a last hop of ${Figures.messages.lastHop.join(" to ")}; eager push`,
    `${count(Figures.messages.eager)} payloads. Its many senders share one tree (last hop 50 to 75, with its optimisation 17); here each has its own, so`,
    "that many are as one. The first broadcast floods, and from the second on the tree stands: with the same delay on each link",
    "every copy of the first is under way before the first prune arrives, and the first to come has come the shortest way. In",
    "the paper's simulator prunes count while the first broadcast still spreads, and any copy may be the first.",
    "",
    "## Broadcasts after failures (TR 07-14, figure 6)",
    "",
    "_Left as it is_: the share of the survivors that get the first broadcast in the tree of before, while nobody fills a slot",
    "(figure 6a). The others go out one after the other, every five seconds from the failure on, while the overlay mends.",
    "",
    "![First broadcast](papers/first.svg)",
    "",
    ...table(
      [
        "failed",
        "left as it is",
        "paper",
        "eager, paper",
        "first",
        "second",
        "third",
        "redundancy",
        "second",
        "third",
        "last hop, third"
      ],
      failures.map(({ percent, tree, treeUnrepaired }, index) => [
        `${percent} %`,
        percentOf(treeUnrepaired),
        at(Figures.firstBroadcast.Plumtree, index),
        at(Figures.firstBroadcast.eager, index),
        reachedBy(tree, 0),
        reachedBy(tree, 1),
        reachedBy(tree, 2),
        redundancyOf(tree, 0),
        redundancyOf(tree, 1),
        redundancyOf(tree, 2),
        String(tree.at(-1)?.lastHop ?? "–")
      ])
    ),
    "",
    `The paper's redundancy of the first broadcast is ${Figures.spikes.map(([percent, value]) => `${value} at ${percent} %`).join(", ")}, and 0 again within two to four.`,
    "Left as it is, a broadcast gets to the whole component of its sender, since grafts go on until nobody is left to ask; it is",
    "one broadcast of one sender, so from 60 % on it shows either the large component or a small one beside it. What has",
    "mended is deep: a graft takes whoever announces, however far from the root, and nothing shortens the path afterwards",
    "(the paper's optimisation, §3.8, is not part of these machines).",
    "",
    `${churn.perCycle} nodes fail in each of ${churn.rounds.length} cycles, and a node broadcasts in each: reach at least ${percentOf(Math.min(...churn.rounds.map(({ reached }) => reached)))}, redundancy`,
    `${fixed(churn.rounds.reduce((sum, { redundancy }) => sum + redundancy, 0) / churn.rounds.length, 4)} in the mean (paper, figure 5: 100 %, slightly above 0).`,
    ""
  ].join("\n")
}

/** By the name of their files. @since 0.1.0 */
export const plots = ({ failures, many, single }: Results): Readonly<Record<string, Plot.Plot>> => {
  const percents = failures.map(({ percent }) => percent)
  const published = (name: string, values: ReadonlyArray<number | null>): Plot.Series => ({
    name,
    points: values.map((value, index) => [percents[index] ?? 0, value] as const),
    isPublished: true
  })
  const measured = (name: string, value: (failure: Results["failures"][number]) => number | null): Plot.Series => ({
    name,
    points: failures.map((failure) => [failure.percent, value(failure)] as const)
  })
  const { Cyclon, CyclonAcked, HyParView, Scamp } = Figures.reliability
  return {
    reliability: {
      title: "Reach after failures, before any cycle",
      x: "failed nodes, per cent",
      y: "reach, per cent",
      yMax: 100,
      series: [
        measured("Starling", ({ repaired }) => 100 * repaired),
        measured("Starling, not repaired", ({ unrepaired }) => 100 * unrepaired),
        published("HyParView, paper", HyParView),
        published("CyclonAcked, paper", CyclonAcked),
        published("Cyclon, paper", Cyclon),
        published("Scamp, paper", Scamp)
      ]
    },
    healing: {
      title: "Cycles until everybody is reached again",
      x: "failed nodes, per cent",
      y: "cycles",
      yMax: 80,
      series: [
        measured("Starling", ({ cycles }) => cycles),
        published("HyParView, paper", Figures.healing.HyParView),
        published("CyclonAcked, paper", Figures.healing.CyclonAcked),
        published("Cyclon, paper (to 158)", Figures.healing.Cyclon)
      ]
    },
    redundancy: {
      title: "Redundancy of the first broadcasts",
      x: "broadcast",
      y: "m / (n − 1) − 1",
      yMax: 4,
      series: [
        { name: "Starling, one sender", points: single.map(({ redundancy }, index) => [index + 1, redundancy]) },
        {
          name: `Starling, ${many.senders} at once`,
          points: many.rounds.map(({ redundancy }, index) => [index + 1, redundancy])
        },
        {
          name: "Plumtree, paper",
          points: Figures.bootstrap.map((redundancy, index) => [index + 1, redundancy]),
          isPublished: true
        }
      ]
    },
    first: {
      title: "First broadcast after failures, in a tree of before",
      x: "failed nodes, per cent",
      y: "reached, per cent",
      yMax: 100,
      series: [
        measured("Starling, mending", ({ tree }) => 100 * (tree[0]?.reached ?? 0)),
        measured("Starling, left as it is", ({ treeUnrepaired }) => 100 * treeUnrepaired),
        published("Plumtree, paper", Figures.firstBroadcast.Plumtree),
        published("eager push, paper", Figures.firstBroadcast.eager)
      ]
    }
  }
}

const reachedBy = (rounds: Results["single"], index: number): string => percentOf(rounds[index]?.reached ?? 0)

const redundancyOf = (rounds: Results["single"], index: number): string => fixed(rounds[index]?.redundancy ?? 0, 2)

const degreesOf = ({ degrees }: Results["overlay"]): string =>
  degrees.flatMap((nodes, degree) => (nodes === 0 ? [] : [`${count(nodes)} nodes have ${degree}`])).join(", ")
