/** What befalls the fleet of the scenario `fleet`, by the seed, and when. */
import { Agent } from "@starling/agent"
import { Rng } from "@starling/machine"
import { Fault } from "@starling/sim"
import * as AgentFaults from "../AgentFaults.ts"
import { poisons, spoilt } from "../Plan.ts"

/**
 * Of a partition that healed: so long after, the overlay is one again. A few rounds of the view manager's probes (15 s).
 * Our choice, from what the runs show; the scenario holds the fleet to it.
 */
export const mergeMs = 35_000

/** A cut that ends before neighbours give each other up (5 s of silence) costs no link. */
export const briefMs = 3000

/** Room for a member that was started again to be part of the fleet before all must be quiet. */
const rejoinMs = 15_000

/** Before the first partition. */
const calmMs = 3000

export interface Plan {
  readonly faults: AgentFaults.Scenario
  /** The last fault is over by then. */
  readonly endMs: number
  readonly datacenters: number
  readonly latencyMs: (from: number, to: number) => number
}

export const make = (seed: number, size: number, endMs: number): Plan => {
  const draw = drawing(`${seed}/fleet`)
  const datacenters = Math.max(2, Math.min(4 + draw(2), Math.floor(size / 3)))
  const names = Array.from({ length: size }, (_, index) => `n${index}`)
  const members = (datacenter: number): ReadonlyArray<string> =>
    names.filter((_, index) => index % datacenters === datacenter)
  const between = (from: number, to: number): number => from + draw(to - from + 1)
  const stage: Stage = { draw, between, names, members, datacenters }
  const latencies = Array.from({ length: datacenters * datacenters }, () => between(5, 40))
  return {
    faults: [
      ...strikes(stage, endMs),
      ...partitions(stage, endMs - mergeMs),
      ...briefCuts(stage, Math.max(calmMs, endMs - mergeMs), endMs),
      ...others(stage, endMs),
      ...storms(stage, endMs - mergeMs),
      ...standstills(stage, endMs),
      ...moves(stage, endMs - mergeMs - rejoinMs),
      // Numbers of its own: what else a seed stands for does not hang on it.
      ...poisonings(names, drawing(`${seed}/fleet/poison`), endMs - rejoinMs)
    ].toSorted((a, b) => a.atMs - b.atMs),
    endMs,
    datacenters,
    latencyMs: (from, to) => {
      const [a, b] = [from % datacenters, to % datacenters].toSorted((x, y) => x - y) as [number, number]
      return a === b ? 1 : (latencies[a * datacenters + b] ?? 5)
    }
  }
}

const drawing = (seed: string): Stage["draw"] => {
  let rng = Rng.make(seed)
  return (bound) => {
    const [value, next] = Rng.nextInt(rng, bound)
    rng = next
    return value
  }
}

/** Before a member is started again its sockets must be closed. */
const downMsMin = 200

/**
 * These faults instead of those that were drawn: a part of a plan is a plan. What they leave open is mended after the last of
 * them; what a whole plan would have ended sooner moves the end, so that the fleet gets the time to come together that a whole
 * plan gives it.
 */
export const withFaults = (plan: Plan, faults: AgentFaults.Scenario): Plan => {
  const { mends } = courseOf(faults)
  const mendedMs = faults.reduce((last, { atMs }) => Math.max(last, atMs + downMsMin), 0)
  const all =
    mends.length === 0 ? faults : [...faults, ...AgentFaults.at(mendedMs, ...mends)].toSorted((a, b) => a.atMs - b.atMs)
  const endMs = Math.max(plan.endMs, all.at(-1)?.atMs ?? 0, courseOf(all).calmFromMs + mergeMs)
  return { ...plan, faults: all, endMs }
}

/** What faults leave behind. */
interface Course {
  /** What ends what they begin and do not end. Wrong clocks stay wrong, as in a whole plan. */
  readonly mends: ReadonlyArray<AgentFaults.AgentFault>
  /** From then on nobody is parted for as long as costs a link, and nothing ends that needs time to heal. */
  readonly calmFromMs: number
}

const courseOf = (faults: AgentFaults.Scenario): Course => {
  const [cuts, storms] = [new Set<string>(), new Set<string>()]
  const [down, still] = [new Set<string>(), new Set<string>()]
  /** By name, whether it runs: its end is no member's. */
  const twins = new Map<string, boolean>()
  let calmFromMs = Number.NEGATIVE_INFINITY
  // The stretch in which somebody is parted, by cuts or by standing still: brief ones without a gap make a long one.
  let [isParted, partedFromMs, joinedAtMs] = [false, 0, -1]
  for (const { atMs, fault } of faults) {
    switch (fault._tag) {
      case "Cut":
        for (const pair of pairsOf(fault)) cuts.add(pair)
        break
      case "Heal":
        for (const pair of pairsOf(fault)) cuts.delete(pair)
        break
      case "HealAll":
        cuts.clear()
        break
      case "SetWeather":
        for (const pair of pairsOf(fault)) storms.add(pair)
        break
      case "ClearWeather":
        for (const pair of pairsOf(fault)) if (storms.delete(pair)) calmFromMs = atMs
        break
      case "ClearAllWeather":
        if (storms.size > 0) calmFromMs = atMs
        storms.clear()
        break
      case "Pause":
        still.add(fault.node)
        break
      case "Resume":
        still.delete(fault.node)
        break
      case "Crash":
        still.delete(fault.node)
        if (twins.get(fault.node) === true) calmFromMs = atMs
        if (twins.has(fault.node)) twins.set(fault.node, false)
        else down.add(fault.node)
        break
      case "Restart":
        if (down.delete(fault.node)) calmFromMs = atMs
        break
      case "Twin":
        if (!twins.has(fault.twin)) twins.set(fault.twin, true)
        break
    }
    const wasParted = isParted
    isParted = cuts.size > 0 || still.size > 0
    // What is joined and parted in one instant is no gap.
    if (isParted && !wasParted && atMs > joinedAtMs) partedFromMs = atMs
    if (wasParted && !isParted) {
      joinedAtMs = atMs
      if (atMs - partedFromMs >= briefMs) calmFromMs = atMs
    }
  }
  return {
    mends: [
      ...(cuts.size > 0 ? [Fault.healAll] : []),
      ...(storms.size > 0 ? [Fault.clearAllWeather] : []),
      ...[...still].map((name) => Fault.resume(name)),
      ...[...twins].flatMap(([name, runs]) => (runs ? [Fault.crash(name)] : [])),
      ...[...down].map((name) => Fault.restart(name))
    ],
    calmFromMs
  }
}

/** In whatever direction. */
const pairsOf = ({
  others,
  some
}: {
  readonly some: ReadonlyArray<string>
  readonly others: ReadonlyArray<string>
}): ReadonlyArray<string> =>
  some.flatMap((one) => others.map((other) => (one < other ? `${one} ${other}` : `${other} ${one}`)))

interface Stage {
  readonly draw: (bound: number) => number
  readonly between: (from: number, to: number) => number
  readonly names: ReadonlyArray<string>
  readonly members: (datacenter: number) => ReadonlyArray<string>
  readonly datacenters: number
}

/** One component of one agent, every second, at any point of its step. */
const strikes = ({ between, draw, names }: Stage, endMs: number): AgentFaults.Scenario =>
  Array.from({ length: Math.floor(endMs / 1000) }, (_, second) => ({
    atMs: second * 1000 + between(0, 999),
    fault: AgentFaults.crashComponent(
      names[draw(names.length)] as string,
      Agent.components[draw(Agent.components.length)] as Agent.Component
    )
  }))

/** One after the other, some of them overlapping, of every kind; in a third of the seeds one outlasts the caches. */
const partitions = (stage: Stage, endMs: number): AgentFaults.Scenario => {
  const { between, draw } = stage
  const out: Array<AgentFaults.Scenario[number]> = []
  let at = calmMs
  if (draw(3) === 0 && endMs - at > longMs) {
    const some = stage.members(0).concat(stage.datacenters > 2 ? stage.members(1) : [])
    const others = stage.names.filter((name) => !some.includes(name))
    out.push(...pair(at, longMs, some, others))
    at += longMs
  }
  while (at < endMs - kindMsMax) {
    const kind = kinds[draw(kinds.length)] as Kind
    out.push(...kind(stage, at))
    at += between(3000, 14_000)
  }
  return out
}

/** Longer than broadcasts are kept. */
const longMs = 64_000

/** No kind takes longer. */
const kindMsMax = 21_000

type Kind = (stage: Stage, atMs: number) => AgentFaults.Scenario

const pair = (
  atMs: number,
  ms: number,
  some: ReadonlyArray<string>,
  others: ReadonlyArray<string>,
  direction: "both" | "there" = "both"
): AgentFaults.Scenario => [
  ...AgentFaults.at(atMs, Fault.cut(some, others, direction)),
  ...AgentFaults.at(atMs + ms, Fault.heal(some, others))
]

/** A data centre, and all others. */
const sides = ({
  datacenters,
  draw,
  members,
  names
}: Stage): readonly [ReadonlyArray<string>, ReadonlyArray<string>] => {
  const some = members(draw(datacenters))
  return [some, names.filter((name) => !some.includes(name))]
}

/** Two data centres. */
const two = ({ datacenters, draw, members }: Stage): readonly [ReadonlyArray<string>, ReadonlyArray<string>] => {
  const one = draw(datacenters)
  return [members(one), members((one + 1 + draw(datacenters - 1)) % datacenters)]
}

const severed: Kind = (stage, at) => pair(at, stage.between(6000, 20_000), ...sides(stage))

/** One of two data centres does not hear the other, which hears it. */
const oneWay: Kind = (stage, at) => pair(at, stage.between(6000, 15_000), ...two(stage), "there")

/** Two data centres do not see each other; the others see both. */
const notTransitive: Kind = (stage, at) => pair(at, stage.between(6000, 20_000), ...two(stage))

/** The way between two sides comes and goes. */
const flapping: Kind = (stage, at) => {
  const groups = stage.draw(2) === 0 ? sides(stage) : two(stage)
  const out: Array<AgentFaults.Scenario[number]> = []
  let next = at
  for (let left = stage.between(3, 6); left > 0; left--) {
    const ms = stage.between(100, 2500)
    out.push(...pair(next, ms, ...groups))
    next += ms + stage.between(50, 900)
  }
  return out
}

/** One member, cut off from all. */
const alone: Kind = (stage, at) => {
  const name = stage.names[stage.draw(stage.names.length)] as string
  return pair(
    at,
    stage.between(3000, 15_000),
    [name],
    stage.names.filter((other) => other !== name)
  )
}

const kinds: ReadonlyArray<Kind> = [severed, oneWay, notTransitive, flapping, alone]

/** Until the very end: what costs no link. */
const briefCuts = (stage: Stage, fromMs: number, endMs: number): AgentFaults.Scenario => {
  const out: Array<AgentFaults.Scenario[number]> = []
  for (let at = fromMs; at < endMs - briefMs; at += stage.between(4000, 9000)) {
    out.push(...pair(at, stage.between(100, briefMs - 500), ...(stage.draw(2) === 0 ? sides(stage) : two(stage))))
  }
  return out
}

/** Torn links, slow disks, wrong clocks, and hosts that lose their power. */
const others = (stage: Stage, endMs: number): AgentFaults.Scenario => {
  const { between, draw, names } = stage
  const any = () => anybody(stage)
  const out: Array<AgentFaults.Scenario[number]> = []
  for (let at = calmMs; at < endMs; at += between(2000, 6000)) {
    const fault =
      draw(2) === 0 ? Fault.resetLinks(any()) : Fault.stallDisk(any(), Math.min(endMs - at, between(50, 1500)))
    out.push({ atMs: at, fault: fault })
  }
  for (let left = 3; left > 0; left--) {
    out.push(...AgentFaults.at(between(0, endMs), Fault.setSkew(any(), between(-skewMsMax, skewMsMax))))
  }
  const last = endMs - mergeMs - rejoinMs
  for (const name of Rng.sample(Rng.make(draw(2 ** 30)), names, last > calmMs ? 3 : 0)[0]) {
    const at = between(calmMs, last)
    const back = at + between(downMsMin, rejoinMs)
    out.push(
      ...AgentFaults.at(at, Fault.crash(name, draw(2) === 0 ? "reset" : "silent")),
      ...AgentFaults.at(back, Fault.restart(name))
    )
  }
  return out
}

const anybody = ({ draw, names }: Stage): string => names[draw(names.length)] as string

/** Processes that stand still, most of them too briefly to be missed; half-open links; clocks that drift. */
const standstills = (stage: Stage, endMs: number): AgentFaults.Scenario => {
  const { between, draw } = stage
  const out: Array<AgentFaults.Scenario[number]> = []
  for (let at = calmMs; at < endMs - briefMs; at += between(5000, 12_000)) {
    const name = anybody(stage)
    // As long as a cut, and so a partition of one.
    const isLong = draw(4) === 0 && at < endMs - mergeMs - stillMsMax
    // In the end, together with a cut right before or after it, still brief.
    const isLate = at >= endMs - mergeMs - briefMs
    const ms = isLong ? between(briefMs, stillMsMax) : between(50, isLate ? 400 : briefMs - 500)
    out.push(...AgentFaults.at(at, Fault.pause(name)), ...AgentFaults.at(at + ms, Fault.resume(name)))
  }
  for (let at = calmMs; at < endMs - rejoinMs; at += between(10_000, 30_000)) {
    out.push(...AgentFaults.at(at, Fault.halfOpen(anybody(stage), null, draw(2) === 0 ? "told" : "nobody")))
  }
  for (let left = 3; left > 0; left--) {
    out.push(...AgentFaults.at(between(0, endMs), Fault.setDrift(anybody(stage), between(-driftPpmMax, driftPpmMax))))
  }
  return out
}

const stillMsMax = 12_000

/** Ten times what the quartz of a machine is off by. */
const driftPpmMax = 1000

/**
 * Two nodes that come back each at the other's address, and one that comes back without its disk: as another node of the same
 * name, and so not before the fleet takes the former one for lost. Small fleets are spared: what they know is in too few places.
 */
const moves = (stage: Stage, lastMs: number): AgentFaults.Scenario => {
  const { between, draw, names } = stage
  if (lastMs <= calmMs || names.length < movedSizeMin) return []
  const [one, other, third] = Rng.sample(Rng.make(draw(2 ** 30)), names, 3)[0] as [string, string, string]
  const [swapAt, lossAt] = [between(calmMs, lastMs), between(calmMs, lastMs)]
  const back = swapAt + between(2 * downMsMin, rejoinMs)
  return [
    ...AgentFaults.at(swapAt, Fault.crash(one), Fault.crash(other)),
    ...AgentFaults.at(swapAt + downMsMin, Fault.swapAddresses(one, other)),
    ...AgentFaults.at(back, Fault.restart(one), Fault.restart(other)),
    ...AgentFaults.at(lossAt, Fault.crash(third)),
    ...AgentFaults.at(lossAt + between(lostMs, rejoinMs), Fault.restart(third, "lost"))
  ]
}

const movedSizeMin = 12

/** So long after it fell silent, everybody takes a node for lost. */
const lostMs = 10_000

/** Between data centres packets are late, lost and sent again, and links torn, for a while. */
const storms = (stage: Stage, endMs: number): AgentFaults.Scenario => {
  const { between } = stage
  const out: Array<AgentFaults.Scenario[number]> = []
  for (let at = calmMs + between(0, 5000); at < endMs - stormMs; at += between(2 * stormMs, 4 * stormMs)) {
    const [some, other] = two(stage)
    const weather = {
      jitterMs: between(0, 200),
      tailMs: between(0, 10),
      lossShare: between(0, 5) / 100,
      resetShare: stage.draw(3) === 0 ? between(1, 10) / 1000 : 0
    }
    out.push(
      ...AgentFaults.at(at, Fault.setWeather(some, other, weather)),
      ...AgentFaults.at(at + between(1000, stormMs), Fault.clearWeather(some, other))
    )
  }
  return out
}

const stormMs = 8000

/** Every few seconds a member sends another one what nobody honest sends. */
const poisonings = (names: ReadonlyArray<string>, draw: Stage["draw"], endMs: number): AgentFaults.Scenario => {
  const any = (): string => names[draw(names.length)] as string
  // Announcements of what was never sent are withstood, but ask for so much in vain that a run would take three times as long.
  const kinds = [...poisons, ...spoilt].filter((kind) => kind !== "announcements")
  const out: Array<AgentFaults.Scenario[number]> = []
  for (let at = calmMs + draw(4000); at < endMs; at += 2000 + draw(4000)) {
    const what = kinds[draw(kinds.length)] as (typeof kinds)[number]
    out.push({ atMs: at, fault: AgentFaults.poison(any(), any(), what, draw(2 ** 30)) })
  }
  return out
}

/** What a machine without a time server has after a while; the clock's guard lets it pass. */
const skewMsMax = 200
