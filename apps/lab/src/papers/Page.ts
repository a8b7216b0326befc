/**
 * The results of `lab papers` as a page: every figure beside the paper's, every promise with what was measured.
 *
 * @since 0.1.0
 */
import * as Checks from "../Checks.ts"
import type { Round } from "../Fleets.ts"
import { count, fixed, percentOf, table } from "../Markdown.ts"
import type { About } from "../Results.ts"
import type { Results } from "./Experiments.ts"
import { type Failure, healingMax, repaired, rounds, shippedCycleMs } from "./Failures.ts"
import * as Figures from "./Figures.ts"
import { ordinal, shown } from "./Plots.ts"
import { broadcastsMissed, checks, goneAt, meanRedundancy, shippedCycles } from "./Promises.ts"

/** @since 0.1.0 */
export const page = (results: Results, about: About): string =>
  [
    "# The papers' experiments, run again",
    "",
    `Written by \`${about.command}\` at ${about.commit}: n = ${count(results.size)}, seed ${results.seed}, ${results.cycles} cycles;`,
    `${count(Math.round(results.events / 1e5) / 10)} million events in ${count(about.realSeconds)} s, with ${count(about.processorSeconds)} s of processor time of its two threads and ${count(about.memoryMib)} MiB`,
    `on ${about.machine}.`,
    goalOf(about),
    "",
    "The nodes are the machines that an agent runs: view manager, shuffler, broadcast tree and lazy-push repair, with the",
    "papers' parameters and none of an agent's limits on joins (active view 5, passive view 30, ARWL 6, PRWL 3, ka 3, kp 4; a shuffle walks 6 hops, which the paper",
    "leaves open). The papers' figures are of n = 10,000: Leitão, Pereira, Rodrigues, TR DI-FCUL 07-13 (HyParView) and 07-14",
    "(Plumtree). Those of Cyclon, CyclonAcked and Scamp are theirs too; nothing of them was run here. What stands in a figure",
    "only is read off it, to about two points. Each plot is there as SVG and as PNG.",
    "",
    "## What was promised",
    "",
    ...Checks.table(checks(results)),
    "",
    ...outsidePage(results),
    ...overlayPage(results),
    ...failuresPage(results),
    ...broadcastsPage(results),
    ...recoveryPage(results)
  ].join("\n")

/** What a run of the papers' scale is to take at most, on two cores. */
const goal = { seconds: 600, mib: 4096 }

const goalOf = ({ memoryMib, realSeconds }: About): string =>
  `Goal: under ten minutes (**${realSeconds < goal.seconds ? "met" : "missed, here"}**) and under ${count(goal.mib)} MiB (**${memoryMib < goal.mib ? "met" : "missed, here"}**); no figure below depends on it.`

/** What the paper has and nothing is promised of, so that the table is not taken for the whole paper. */
const outsidePage = ({ failures }: Results): ReadonlyArray<string> => {
  const late = stillRedundant(failures)
  if (late.length === 0) return []
  return [
    `Not promised, and not so: as shipped, with the optimisation, redundancy after failures is not 0 again within ${Figures.redundancyGone[1]} broadcasts`,
    `${atShares(late, failures)}; [why](#broadcasts-after-failures-tr-07-14-figure-6).`,
    ""
  ]
}

const atShares = (some: ReadonlyArray<Failure>, all: ReadonlyArray<Failure>): string =>
  some.length === all.length ? "whatever share fails" : `with ${some.map(({ percent }) => percent).join(", ")} % failed`

const stillRedundant = (failures: ReadonlyArray<Failure>): ReadonlyArray<Failure> =>
  failures.filter(({ tree }) => goneAt(tree) > Figures.redundancyGone[1])

const plot = (title: string, name: string): ReadonlyArray<string> => [`![${title}](papers/${name}.svg)`, ""]

const at = (row: ReadonlyArray<number | null>, index: number): string => String(row[index] ?? "–")

const overlayPage = ({ overlay, settling }: Results): ReadonlyArray<string> => [
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
  "From the last join on, at the end of a cycle:",
  "",
  ...table(
    ["cycle", "shortest path", "clustering", "nodes with 5 neighbours"],
    settling.map(({ clustering, cycle, full, path }) => [
      String(cycle),
      fixed(path, 2),
      fixed(clustering, 5),
      percentOf(full)
    ])
  ),
  "",
  ...plot("Mean shortest path", "path"),
  ...plot("Clustering", "clustering"),
  "A graph of 10,000 nodes drawn at random, five links at each, has a clustering of 0.0003 (Newman, SIAM Review 45, 2003,",
  "§IV.B.1). An overlay comes close to it if each newcomer's walks are over before the next one joins: nodes that join at the",
  "same time are told of each other, and cluster.",
  "",
  `Neighbours: ${degreesOf(overlay)}; ${count(overlay.links)} links.`,
  "",
  ...table(
    ["in-degree", "1st percentile", "50th", "99th", "paper, figure 5"],
    [
      ["active views that name a node", ...percentiles(overlay.activeIn), "5 for nearly all"],
      ["passive views that name a node", ...percentiles(overlay.passiveIn), "–"],
      ["Cyclon", "–", "–", "–", "25 to 45 around 35"],
      ["Scamp", "–", "–", "–", "1 to 25, most at 9"]
    ]
  ),
  "",
  ...plot("In-degree", "degrees")
]

const percentiles = (counts: ReadonlyArray<number>): ReadonlyArray<string> => {
  const all = counts.reduce((sum, nodes) => sum + nodes, 0)
  return [0.01, 0.5, 0.99].map((share) => {
    let below = 0
    return String(counts.findIndex((nodes) => (below += nodes) > share * (all - 1)))
  })
}

const degreesOf = ({ degrees }: Results["overlay"]): string =>
  degrees.flatMap((nodes, degree) => (nodes === 0 ? [] : [`${count(nodes)} nodes have ${degree}`])).join(", ")

const failuresPage = ({ failures }: Results): ReadonlyArray<string> => [
  "## Failures at once (TR 07-13, figures 2 and 4)",
  "",
  "Reach: the share of the survivors that a flood gets to, the mean over all sources. _Before_: in what the failure left.",
  "_After_: once the survivors have filled their slots, before any shuffle; at 90 and 95 % the mean of five draws of who fails,",
  "with the nodes that each leaves alone.",
  "",
  ...plot("Reach after failures", "reliability"),
  ...table(
    ["failed", "before", "after", "isolated", "HyParView, paper", "CyclonAcked", "Cyclon", "Scamp"],
    failures.map((failure, index) => [
      `${failure.percent} %`,
      percentOf(failure.unrepaired),
      percentOf(repaired(failure)),
      failure.passes.map(({ isolated }) => isolated).join(", "),
      ...(["HyParView", "CyclonAcked", "Cyclon", "Scamp"] as const).map((name) => at(Figures.reliability[name], index))
    ])
  ),
  "",
  "The paper's figure 2 is of broadcasts that are sent after the failure, in the course of which failures are noticed and mended.",
  "Here _after_ is one pass over the free slots. Where nine of ten fail, a few survivors know no other by then, the isolated ones:",
  "they and those that hang together apart from the rest are the share that is missing. How many they are is a matter of who fails:",
  "[more draws](../protocols/hyparview.md#known-limits).",
  "",
  "Until a flood reaches every survivor:",
  "",
  ...plot("Healing", "healing"),
  ...table(
    [
      "failed",
      "shuffles only, cycles",
      "as shipped, cycles",
      "as shipped, seconds",
      "HyParView, paper",
      "CyclonAcked",
      "Cyclon"
    ],
    failures.map((failure, index) => [
      `${failure.percent} %`,
      String(failure.cycles ?? `more than ${healingMax}`),
      String(shippedCycles(failure) ?? `more than ${healingMax}`),
      failure.shippedMs === null ? "–" : String(failure.shippedMs / 1000),
      ...(["HyParView", "CyclonAcked", "Cyclon"] as const).map((name) => at(Figures.healing[name], index))
    ])
  ),
  "",
  "0 stands for what is done before the first cycle is over. The papers count cycles because there a failure is noticed when",
  "something is sent; here the link of a dead process ends at once, so that all of the repair comes before the first cycle.",
  "",
  "_Shuffles only_ is the papers' setting: a node knows others by its two views alone. Who is isolated then has no survivor in",
  "its passive view, and its one contact may be among the dead. Shuffles do not bring it back: it has nobody to shuffle with,",
  "and nobody with five neighbours looks for one more. In the paper failures are noticed bit by bit, as messages are sent,",
  "and cycles of shuffles go on meanwhile; that is, we take it, how its passive views find survivors.",
  "",
  "_As shipped_ is what agents have beside the two views. Each remembers up to 256 nodes that its facts told it of, dead or",
  "alive, and turns to them when its passive view has nobody left; keepalives carry the label of a component; and each dials",
  "a known address outside of its views about every 15 s, which joins parts with different labels. What each remembers is drawn",
  `at random from all nodes of before. Seconds are counted from the failure, by ones; an agent's cycle is ${shippedCycleMs / 1000} s. Shuffles`,
  "play no part in this: theirs are still a minute apart.",
  ""
]

const broadcastsPage = ({ many, single }: Results): ReadonlyArray<string> => [
  "## Broadcasts (TR 07-14, table 1 and figures 3 to 5)",
  "",
  `Six broadcasts of one node, and three of each of ${many.senders} nodes at once (means):`,
  "",
  ...plot("Redundancy of the first broadcasts", "redundancy"),
  ...table(
    [
      "broadcast",
      "payloads",
      "control",
      "redundancy",
      "last hop",
      `${many.senders} senders: redundancy`,
      "payloads",
      "control",
      "last hop",
      "paper: redundancy"
    ],
    single.map((round, index) => [
      String(index + 1),
      count(round.payloads),
      count(round.control),
      fixed(round.redundancy, 3),
      String(round.lastHop),
      ...manyOf(many.rounds[index]),
      at(Figures.bootstrap, index)
    ])
  ),
  "",
  ...plot("Messages of one broadcast", "messages"),
  ...plot("Last delivery hop", "hops"),
  `The paper has ${count(Figures.messages.payloads)} payloads and ${Figures.messages.control.map(count).join(" to ")} control messages, a last hop of ${Figures.messages.lastHop.join(" to ")}; eager push`,
  `${count(Figures.messages.eager)} payloads. Its many senders share one tree (last hop 50 to 75, with its optimisation ${Figures.messages.sharedHop}); here each has its own, so`,
  "that many are as one. The first broadcast floods, and from the second on the tree stands: with the same delay on each link",
  "every copy of the first is under way before the first prune arrives, and the first to come has come the shortest way. In",
  "the paper's simulator prunes count while the first broadcast still spreads, and any copy may be the first.",
  ""
]

const manyOf = (round: Round | undefined): ReadonlyArray<string> =>
  round === undefined
    ? ["–", "–", "–", "–"]
    : [fixed(round.redundancy, 3), count(round.payloads), count(round.control), fixed(round.lastHop, 1)]

const laterTable = (
  failures: ReadonlyArray<readonly [percent: number, rounds: ReadonlyArray<Round>]>
): ReadonlyArray<string> =>
  table(
    ["failed", "redundancy: first", ...shown.slice(1).map(ordinal), "last hop: first", ...shown.slice(1).map(ordinal)],
    failures.map(([percent, rounds]) => [
      `${percent} %`,
      ...shown.map((round) => fixed(rounds[round]?.redundancy ?? 0, 2)),
      ...shown.map((round) => String(rounds[round]?.lastHop ?? "–"))
    ])
  )

const laterRedundancy = (failures: ReadonlyArray<Failure>): string => {
  const late = stillRedundant(failures)
  if (late.length === 0) return ""
  const of = (round: (failure: Failure) => Round | undefined): string => {
    const values = failures.map((failure) => round(failure)?.redundancy ?? 0)
    return `${fixed(Math.min(...values), 2)} to ${fixed(Math.max(...values), 2)}`
  }
  return (
    `**It is outside of the paper's band** ${atShares(late, failures)}:\nthe fifth broadcast still has ` +
    `${of(({ tree }) => tree[4])}, the ${ordinal(rounds - 1)} ${of(({ tree }) => tree.at(-1))}.`
  )
}

const missedText = (missed: number | null): string => (missed === null ? `more than ${rounds}` : String(missed + 1))

const recoveryPage = ({ churn, failures }: Results): ReadonlyArray<string> => [
  "## Broadcasts after failures (TR 07-14, figure 6)",
  "",
  "_Left as it is_: the share of the survivors that get the first broadcast in a tree of before, while nobody fills a slot",
  "(figure 6a), from the senders that survived. Grafts go on until nobody is left to ask, so that a broadcast gets to the whole",
  "part of its sender, the largest or a small one beside it, and the mean over all nodes as senders is that of a flood (_all_).",
  "",
  ...plot("First broadcast", "first"),
  ...table(
    ["failed", "largest part", "all", "senders", "best of them", "their mean", "Plumtree, paper", "eager, paper"],
    failures.map(({ largest, left, percent, unrepaired }, index) => [
      `${percent} %`,
      percentOf(largest),
      percentOf(unrepaired),
      String(left.length),
      left.length === 0 ? "–" : percentOf(Math.max(...left)),
      left.length === 0 ? "–" : percentOf(left.reduce((sum, reached) => sum + reached, 0) / left.length),
      at(Figures.firstBroadcast.Plumtree, index),
      at(Figures.firstBroadcast.eager, index)
    ])
  ),
  "",
  "The paper does not say whether its figure is of senders in the largest part only; from 60 % on that makes most of the",
  "difference. Its Plumtree stays behind its eager push there; ours gets as far as eager push does.",
  "",
  "Eight broadcasts one after the other, every five seconds from the failure on, while the overlay mends as shipped (but for",
  "keepalives and probes, of which nothing shows within seconds):",
  "",
  ...table(
    ["failed", ...shown.map(ordinal), "until everybody", "paper, at most"],
    failures.map((failure, index) => [
      `${failure.percent} %`,
      ...shown.map((round) => percentOf(failure.tree[round]?.reached ?? 0)),
      missedText(broadcastsMissed(failure)),
      at(Figures.treeHealing, index)
    ])
  ),
  "",
  ...plot("Redundancy of broadcasts after failures, without the optimisation", "recovery"),
  ...plot("Last delivery hop after failures, as shipped", "recoveryhops"),
  "Without the optimisation (§3.8), which the paper looks at by itself (whether its figure is with or without was not found out):",
  "",
  ...laterTable(failures.map(({ percent, plain }) => [percent, plain])),
  "",
  `The paper's redundancy of the first broadcast is ${Figures.spikes.map(([percent, value]) => `${value} at ${percent} %`).join(", ")}, and 0 again within ${Figures.redundancyGone.join(" to ")}`,
  "broadcasts. Ours is lower at 40 and 60 %, and not at 80 %: it is sent in the instant of the failure, and what can still get through",
  "the rest of the tree has passed before free slots are filled with neighbours to push to (our reading; it was not measured). A",
  "graft takes whoever announces, however far that is from the root, so that what has mended is deep, and stays so.",
  "",
  "As shipped, with it:",
  "",
  ...laterTable(failures.map(({ percent, tree }) => [percent, tree])),
  "",
  "The optimisation takes a neighbour as parent whose way had fewer hops, and paths shorten broadcast by broadcast. The paper",
  "prunes the old parent at once; here it stays until the next broadcast has come twice, so that none falls between the two:",
  `that is the redundancy of later broadcasts. ${laterRedundancy(failures)}`,
  "",
  ...plot("Redundancy under churn", "churn"),
  `${churn.perCycle} nodes fail in each of ${churn.rounds.length} cycles, and a node broadcasts in each: reach at least ${percentOf(Math.min(...churn.rounds.map(({ reached }) => reached)))}, redundancy`,
  `${fixed(meanRedundancy(churn.rounds), 4)} in the mean (paper, figure 5: 100 %, slightly above 0).`,
  ""
]
