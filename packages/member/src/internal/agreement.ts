/**
 * What the components of a member must believe of each other whenever nothing is on its way between them.
 *
 * Each component checks itself (`invariants` of its module). That says nothing of whether the tree pushes to the
 * neighbours that the view manager has: news can be lost, or applied to half of a component. Here what two components say
 * of the same thing is held side by side.
 *
 * A crash before a step loses one event. Some of those come again by themselves only after a while (neighbours with the
 * next snapshot, a link that is down by its silence), so what a recorded loss explains is not held against anybody.
 */
import { Stamp } from "@starling/clock"
import { NodeDoc } from "@starling/fleet"
import { MessageId } from "@starling/gossip"
import { LinkGate, type Machine, type NodeId, SeqSet } from "@starling/machine"
import * as HashMap from "effect/HashMap"
import * as HashSet from "effect/HashSet"
import * as Option from "effect/Option"
import type { Component } from "../Component.ts"
import * as Ledger from "../Ledger.ts"
import type * as Member from "../Member.ts"
import type * as Wiring from "../Wiring.ts"

/**
 * Of a quiet member, or agent. `since`: an earlier state, quiet too, of which this was asked. Asked again and again, most of this is of
 * what no step has touched since; then nothing is said of it again.
 */
export const broken = (state: Member.Knowledge, since: Member.Knowledge | undefined): ReadonlyArray<string> => {
  const out: Array<string> = []
  viewsTold(state, out)
  for (const component of listeners) if (!isHeardAlike(state, since, component)) viewsHeard(state, component, out)
  links(state, out)
  if (!isDocumentAlike(state, since)) document(state, out)
  time(state, out)
  if (!areBroadcastsAlike(state, since)) broadcasts(state, out)
  return out
}

// ---------------------------------------------------------------------------------------------------------------------
// Neighbours
// ---------------------------------------------------------------------------------------------------------------------

type Told = Extract<Wiring.Delivery["event"], { readonly _tag: "Neighbors" | "Views" }>

const toldOf = ({ told }: Member.Knowledge, component: Component): Told | undefined => {
  const event = told[component]?.event
  return event?._tag === "Neighbors" || event?._tag === "Views" ? event : undefined
}

/** The components that are told neighbours. */
const listeners = ["shuffler", "broadcast-tree", "lazy-push-repair", "clock", "facts"] as const

/** What each was told last is what the view manager has: its whole news reached everybody's queue. */
const viewsTold = (state: Member.Knowledge, out: Array<string>): void => {
  const { active, passive, version } = state.cells["view-manager"].state
  // One that has not started has told nothing, and has nothing to tell.
  if (version === 0) return
  for (const component of listeners) {
    const told = toldOf(state, component)
    if (told === undefined) out.push(`${component}: was never told of the neighbours that the view manager has`)
    else if (told._tag === "Neighbors") {
      const difference = differenceOf(told.neighbors, active)
      if (difference !== undefined)
        out.push(`${component}: was told of other neighbours than the view manager has: ${difference}`)
    } else if (told.version !== version || told.active !== active || told.passive !== passive) {
      out.push(`${component}: was told views ${told.version}, and the view manager is at ${version}`)
    }
  }
}

/** And each goes by what it was told. */
const viewsHeard = (state: Member.Knowledge, component: (typeof listeners)[number], out: Array<string>): void => {
  // Who believes its own clock asks no neighbour.
  if (component === "clock" && state.cells.clock.state.config.source === "own") return
  const told = toldOf(state, component)
  const gate = gateOf(state, component)
  const version = told?.version ?? 0
  if (gate.version !== version) {
    if (gate.version > version || !isViewLost(state, component, version)) {
      out.push(`${component}: goes by neighbours ${gate.version}, and was told ${version}`)
    }
    return
  }
  const named = told?._tag === "Views" ? told.active : (told?.neighbors ?? [])
  for (const [whose, neighbors] of believedOf(state, component)) {
    const difference = differenceOf(neighbors, named)
    if (difference !== undefined) out.push(`${component}: ${whose} are not the neighbours it was told: ${difference}`)
  }
  if (told?._tag === "Views" && state.cells.shuffler.state.passive !== told.passive) {
    out.push("shuffler: its passive peers are not those it was told")
  }
}

const isHeardAlike = (state: Member.Knowledge, since: Member.Knowledge | undefined, component: Component): boolean =>
  since !== undefined &&
  since.cells[component].state === state.cells[component].state &&
  since.told[component] === state.told[component] &&
  since.links === state.links

const gateOf = ({ cells }: Member.Knowledge, component: (typeof listeners)[number]): LinkGate.LinkGate<unknown> =>
  component === "clock" ? (cells.clock.state.population?.gate ?? LinkGate.empty) : cells[component].state.gate

/** Every list of neighbours that a component keeps. */
const believedOf = (
  { cells, links: up }: Member.Knowledge,
  component: (typeof listeners)[number]
): ReadonlyArray<readonly [whose: string, neighbors: ReadonlyArray<Machine.Neighbor>]> => {
  switch (component) {
    case "clock": {
      const { population } = cells.clock.state
      if (population === undefined) return []
      const { estimator, gate, neighbors } = population
      const heard = neighbors.filter(({ peer }, at) => estimator.neighbors[at] === peer.id)
      return [
        ["those whose frames it takes", gate.neighbors],
        ["those it asks for the time", neighbors],
        ["those whose medians count", heard]
      ]
    }
    case "facts": {
      const { gate, links: records } = cells.facts.state
      // A link that went down is forgotten before the view manager says that its peer is a neighbour no more.
      const isDown = ({ link }: Machine.Neighbor) => !HashMap.has(records, link) && !up.some((use) => use.link === link)
      const kept = [...records].map(([link, { peer }]) => ({ link, peer }))
      return [
        ["those whose frames it takes", gate.neighbors],
        ["those it sends documents to", [...kept, ...gate.neighbors.filter(isDown)]]
      ]
    }
    default:
      return [["those whose frames it takes", cells[component].state.gate.neighbors]]
  }
}

/** In words, or undefined if both name the same links to the same runs of nodes. */
const differenceOf = (
  some: ReadonlyArray<Machine.Neighbor>,
  others: ReadonlyArray<Machine.Neighbor>
): string | undefined => {
  if (some === others) return undefined
  const surplus = some.filter((one) => !others.some((other) => isSame(one, other))).map(textOf)
  const lacking = others.filter((one) => !some.some((other) => isSame(one, other))).map(textOf)
  if (surplus.length + lacking.length === 0 && some.length === others.length) return undefined
  return `${surplus.join(", ") || "nobody"} too many, ${lacking.join(", ") || "nobody"} missing`
}

const isSame = (one: Machine.Neighbor, other: Machine.Neighbor): boolean =>
  one.link === other.link && one.peer.id === other.peer.id && one.peer.incarnation === other.peer.incarnation

const textOf = ({ link, peer }: Machine.Neighbor): string => `${peer.id}.${peer.incarnation} on link ${link}`

const isViewLost = ({ lost }: Member.Knowledge, component: Component, version: number): boolean =>
  lost.some(({ event, to }) => to === component && isTold(event) && event.version === version)

const isTold = (event: Wiring.Delivery["event"]): event is Told => event._tag === "Neighbors" || event._tag === "Views"

// ---------------------------------------------------------------------------------------------------------------------
// Links
// ---------------------------------------------------------------------------------------------------------------------

/** Nobody counts on a link that is down, or keeps its frames. */
const links = (state: Member.Knowledge, out: Array<string>): void => {
  const up = new Set(state.links.map(({ link }) => link))
  const isGone = (to: Component, link: Machine.LinkId): boolean =>
    !up.has(link) &&
    !state.lost.some((one) => one.to === to && one.event._tag === "LinkDown" && one.event.link === link)
  for (const { link, role } of state.cells["view-manager"].state.links) {
    if (isGone("view-manager", link)) out.push(`view-manager: link ${link} is ${role}, and is down`)
  }
  for (const component of listeners) {
    for (const { link } of gateOf(state, component).held) {
      if (isGone(component, link)) out.push(`${component}: keeps a frame of link ${link}, which is down`)
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// What the own document says of neighbours
// ---------------------------------------------------------------------------------------------------------------------

const isDocumentAlike = (state: Member.Knowledge, since: Member.Knowledge | undefined): boolean => {
  // What was excused then may be excused no more.
  if (since === undefined || isNewsLost(since) !== isNewsLost(state)) return false
  const before = since.cells.facts.state
  const { docs, gate, lost } = state.cells.facts.state
  return before.docs === docs && before.gate.neighbors === gate.neighbors && before.lost === lost
}

/** News that was lost may have been what acquits a neighbour that had been lost. */
const isNewsLost = ({ lost }: Member.Knowledge): boolean =>
  lost.some(({ event, to }) => to === "facts" && isTold(event))

const document = (state: Member.Knowledge, out: Array<string>): void => {
  const { gate, lost } = state.cells.facts.state
  const isLost = ({ peer }: Machine.Neighbor) =>
    lost.some(({ id, incarnation }) => id === peer.id && incarnation === peer.incarnation)
  if (!isNewsLost(state)) {
    for (const neighbor of gate.neighbors) {
      if (isLost(neighbor)) out.push(`facts: ${textOf(neighbor)} is a neighbour, and taken for lost`)
    }
  }
  const names = (adjacencyOf(state)?.neighbors ?? []).map(({ id, incarnation }) => `${id}.${incarnation}`).join(", ")
  const has = gate.neighbors.filter((neighbor) => !isLost(neighbor)).map(({ peer }) => `${peer.id}.${peer.incarnation}`)
  if (names !== has.join(", ")) out.push(`facts: the document names [${names}] as neighbours, of [${has.join(", ")}]`)
}

const adjacencyOf = ({ cells }: Member.Knowledge): NodeDoc.Adjacency | undefined => {
  const { config, docs } = cells.facts.state
  const doc = Option.getOrUndefined(HashMap.get(docs, config.self.id))
  return doc === undefined ? undefined : NodeDoc.valueOf(doc, "adjacency", "Adjacency")
}

// ---------------------------------------------------------------------------------------------------------------------
// Time
// ---------------------------------------------------------------------------------------------------------------------

const time = (state: Member.Knowledge, out: Array<string>): void => {
  const { cells, clock, durable, lost } = state
  const { population } = cells.clock.state
  const { reading } = clock
  const told = population?.told
  if (told !== undefined && (!Object.is(clock.offset, told.offset ?? Number.NaN) || clock.alone !== told.alone)) {
    out.push(
      `clock: found offset ${told.offset}, alone ${told.alone}; the cell has ${clock.offset}, alone ${clock.alone}`
    )
  }
  const row = Option.getOrUndefined(
    Option.flatMap(HashMap.get(durable, "meta"), (rows) => HashMap.get(rows, "high-water"))
  )
  const [epoch, mark] = Array.isArray(row) ? (row as ReadonlyArray<number>) : []
  if (reading.limit > reading.wall && !(epoch === reading.epoch && reading.limit <= (mark ?? 0))) {
    out.push(
      `clock: the cell follows the time up to ${reading.limit} of epoch ${reading.epoch}, durable is ${mark} of ${epoch}`
    )
  }
  const size = cells.facts.state.toldSize
  const isSizeLost = lost.some(({ event, to }) => to === "clock" && event._tag === "Fleet" && event.size === size)
  if (population?.size !== undefined && population.size !== size && !isSizeLost) {
    out.push(`clock: reckons with a fleet of ${population.size}, facts told it ${size}`)
  }
  for (const [what, stamp] of ownStamps(state)) {
    if (Stamp.compare({ ...stamp, node: "" }, { ...reading, node: "" }) > 0) {
      out.push(
        `facts: ${what} bears ${Stamp.toText(stamp)}, and the clock cell is at ${reading.epoch}.${reading.wall}.${reading.counter}`
      )
    }
  }
}

/** What this run of the member stamped, as far as facts keep it apart from what an earlier run did. */
const ownStamps = (state: Member.Knowledge): ReadonlyArray<readonly [what: string, stamp: Stamp.Stamp]> => {
  const { leaving, lost } = state.cells.facts.state
  const said = adjacencyOf(state)
  return [
    ...(said === undefined ? [] : [["what it says of its neighbours", said.at] as const]),
    ...(leaving === null ? [] : [["its goodbye", leaving] as const]),
    ...lost.map(({ at, id }) => [`the loss of ${id}`, at] as const)
  ]
}

// ---------------------------------------------------------------------------------------------------------------------
// Broadcasts
// ---------------------------------------------------------------------------------------------------------------------

/** There may be thousands. */
const areBroadcastsAlike = ({ cells, ledger }: Member.Knowledge, since: Member.Knowledge | undefined): boolean => {
  if (since === undefined || since.ledger !== ledger) return false
  const [tree, repair] = [cells["broadcast-tree"].state, cells["lazy-push-repair"].state]
  const [formerTree, formerRepair] = [since.cells["broadcast-tree"].state, since.cells["lazy-push-repair"].state]
  return (
    formerTree.windows === tree.windows &&
    formerTree.cache === tree.cache &&
    formerTree.order === tree.order &&
    formerRepair.seen === repair.seen &&
    formerRepair.held === repair.held
  )
}

const broadcasts = (state: Member.Knowledge, out: Array<string>): void => {
  const { cells, ledger } = state
  const { self } = state.config
  const { cache, order, windows } = cells["broadcast-tree"].state
  const { config, held, seen } = cells["lazy-push-repair"].state
  const isForgetful = hasForgotten(state)
  for (const [origin, window] of ledger) {
    // A copy that comes late is new to a tree that has forgotten its origin, and then what came after it is not there.
    if (isForgetful && origin !== self.id) continue
    for (const [run, seqs] of window) {
      const [unknown] = lackedBy(windows, origin, run, seqs)
      if (unknown !== undefined)
        out.push(`broadcast-tree: has not seen ${origin}.${run}.${unknown}, which was handed over`)
    }
  }
  // So what the tree has seen is never missing in repair, and what it has not seen can be.
  const mayDiffer = isForgetful || isBeyondTree(state)
  if (!mayDiffer && HashMap.size(seen) !== HashMap.size(windows)) {
    out.push(
      `lazy-push-repair: has seen broadcasts of ${HashMap.size(seen)} origins, the tree of ${HashMap.size(windows)}`
    )
  }
  for (const [origin, window] of windows) {
    if (mayDiffer && origin !== self.id) continue
    const other = windowOf(seen, origin)
    if (!isSameWindow(window, other)) {
      out.push(`lazy-push-repair: has seen ${windowText(other)} of ${origin}, the tree ${windowText(window)}`)
    }
  }
  // It remembers none of an origin that it has no room for.
  const hasRoom = (origin: NodeId.NodeId) => beside(self, seen) < config.originsMax || HashMap.has(seen, origin)
  let advertised = 0
  const waiting = HashSet.size(order.names) === 0 ? undefined : order.names
  // Mostly one origin's follow each other, and each look-up is for thousands.
  let origin: NodeId.NodeId | undefined
  let [given, offered]: readonly [Window, Window] = [none, none]
  for (const { id } of HashMap.values(cache.entries)) {
    if (id.origin !== origin) {
      origin = id.origin
      given = windowOf(ledger, origin)
      offered = windowOf(held, origin)
    }
    if (isIn(offered, id)) advertised++
    else if (isAdvertisable(offered, id) && hasRoom(id.origin)) {
      out.push(`lazy-push-repair: does not advertise ${MessageId.toText(id)}, which the tree could send`)
    }
    const waits = waiting !== undefined && HashSet.has(waiting, MessageId.toText(id))
    if (waits === (isIn(given, id) || isTooOld(given, id.incarnation))) {
      const what = waits ? "waits for its turn and was handed over" : "arrived and was not handed over"
      out.push(`broadcast-tree: ${MessageId.toText(id)} ${what}`)
    }
  }
  const promised = sizeOf(held)
  if (promised !== advertised) {
    out.push(`lazy-push-repair: advertises ${promised} broadcasts, of which the tree could send ${advertised}`)
  }
}

/**
 * Ledger, tree and repair each make room for a new origin in their own way, and the ledger has more of it. So the tree may know
 * nothing of an origin that it forgot, or only what came since. A tree that was rebuilt from too many has forgotten some too,
 * and counts anew. Who has forgotten stays full.
 */
const hasForgotten = ({ cells, config, generations }: Member.Knowledge): boolean => {
  const { counters, windows, ...tree } = cells["broadcast-tree"].state
  const isFull = beside(config.self, windows) >= tree.config.originsMax
  return isFull && (counters.originsForgotten > 0 || generations["broadcast-tree"] > 0)
}

/** Repair, which may be set to have more room than the tree, knows more origins than the tree could. */
const isBeyondTree = ({ cells, config }: Member.Knowledge): boolean =>
  beside(config.self, cells["lazy-push-repair"].state.seen) > cells["broadcast-tree"].state.config.originsMax

/** How many origins there are, this member aside, as their bounds count them. */
const beside = ({ id }: Member.Config["self"], windows: Windows): number =>
  HashMap.size(windows) - (HashMap.has(windows, id) ? 1 : 0)

type Windows = Ledger.Ledger
type Window = ReadonlyArray<readonly [incarnation: number, seqs: SeqSet.SeqSet]>

const none: Window = []

/** Runs of an origin that are told apart, in every record of broadcasts; what is of an earlier run counts as known. */
const runsMax = 2

const windowOf = (windows: Windows, origin: NodeId.NodeId): Window =>
  Option.getOrElse(HashMap.get(windows, origin), () => none)

const seqsOf = (window: Window, incarnation: number): SeqSet.SeqSet | undefined =>
  window.find(([run]) => run === incarnation)?.[1]

const isTooOld = (window: Window, incarnation: number): boolean => {
  const oldest = window[runsMax - 1]
  return oldest !== undefined && incarnation < oldest[0]
}

/** At most one number of these that is not in the windows. */
const lackedBy = (
  windows: Windows,
  origin: NodeId.NodeId,
  incarnation: number,
  seqs: SeqSet.SeqSet
): ReadonlyArray<number> => {
  const window = windowOf(windows, origin)
  // With too many gaps the ledger closes the lowest, which the tree may not have done.
  if (isTooOld(window, incarnation) || seqs.length >= Ledger.intervalsMax) return []
  return SeqSet.missing(seqs, seqsOf(window, incarnation) ?? SeqSet.empty, 1)
}

const isIn = (window: Window, { incarnation, seq }: MessageId.MessageId): boolean => {
  for (const [run, seqs] of window) if (run === incarnation) return SeqSet.has(seqs, seq)
  return false
}

/** True unless there is no room for it beside what is newer. */
const isAdvertisable = (window: Window, { incarnation, seq }: MessageId.MessageId): boolean => {
  const seqs = seqsOf(window, incarnation)
  return seqs === undefined ? window.every(([run]) => run < incarnation) : seq > (seqs[0]?.[0] ?? 0)
}

const isSameWindow = (one: Window, other: Window): boolean =>
  one === other ||
  (one.length === other.length &&
    one.every(([run, seqs], at) => {
      const [otherRun, others = SeqSet.empty] = other[at] ?? []
      return run === otherRun && SeqSet.isSame(seqs, others)
    }))

const sizeOf = (windows: Windows): number => {
  let size = 0
  for (const window of HashMap.values(windows)) for (const [, seqs] of window) size += SeqSet.size(seqs)
  return size
}

const windowText = (window: Window): string =>
  window.map(([run, seqs]) => `${run}: ${seqs.map(([from, to]) => `${from}..${to}`).join(" ")}`).join("; ") || "nothing"
