/**
 * A small network for both Plumtree machines: a symmetric overlay, one queue per link, seeded latencies, virtual time.
 * It checks after every step what must hold of a step, and remembers what was delivered.
 */
import { assert } from "@effect/vitest"
import { BroadcastTree, LazyPushRepair, MessageId } from "@starling/gossip"
import { type Codec, Peer, Rng } from "@starling/machine"

export type Component = "tree" | "repair"

interface End {
  readonly link: number
  readonly peer: number
  readonly edge: Edge
}

interface Edge {
  readonly ends: readonly [End, End]
  readonly latencyMs: number
  /** Frames arrive only while this is so; what is in flight when it ends is lost. */
  open: boolean
  /** By sender: when the frame sent last arrives. */
  readonly lastAt: Map<number, number>
}

interface Node {
  readonly peer: Peer.Peer
  tree: BroadcastTree.State
  repair: LazyPushRepair.State
  ends: ReadonlyArray<End>
  version: number
  readonly delivered: Map<string, number>
  /** Of what was delivered, in order. */
  readonly topics: Array<number>
  /** Hops of the broadcast that came last. */
  lastRound: number
  readonly answers: Map<number, string>
  /** Events of this component that are lost from now on, as in a step that crashes. */
  readonly lose: Record<Component, number>
  readonly disk: Map<string, Map<string, unknown>>
  readonly lastAt: Map<string, number>
  /** Counts rebuilds of each component: timers and writes of an older one are not answered. */
  readonly generation: Record<Component, number>
}

interface Options {
  readonly nodes: number
  readonly degree: number
  readonly seed: number
  /** Extra latency of each frame, at most; the order of a link holds. */
  readonly jitterMs?: number
  /** Share of frames that arrive twice. */
  readonly duplicates?: number
  /** Nodes are in so many data centres, by turns; links between two take ten times as long as those within one. */
  readonly regions?: number
  readonly tree?: Partial<BroadcastTree.Settings>
  readonly repair?: Partial<LazyPushRepair.Settings>
}

export const peerOf = (index: number): Peer.Peer => ({
  id: (index + 1).toString(16).padStart(12, "0"),
  incarnation: 1,
  address: `10.0.0.${index + 1}:7000`
})

/** A random regular symmetric graph that is connected. */
const overlay = (seed: number, nodes: number, degree: number): ReadonlyArray<readonly [number, number]> => {
  for (let attempt = 0; ; attempt++) {
    const stubs = Array.from({ length: nodes * degree }, (_, i) => Math.floor(i / degree))
    const [shuffled] = Rng.sample(Rng.make(`${seed}/${attempt}`), stubs, stubs.length)
    const pairs: Array<[number, number]> = []
    const known = new Set<string>()
    // A pair that cannot be is swapped with an earlier one: pure rejection would take ages for small graphs.
    for (let i = 0; i + 1 < shuffled.length; i += 2) {
      const [a, b] = [shuffled[i] ?? 0, shuffled[i + 1] ?? 0]
      const key = a < b ? `${a}-${b}` : `${b}-${a}`
      if (a === b || known.has(key)) continue
      known.add(key)
      pairs.push([a, b])
    }
    const isNearlyRegular = pairs.length >= Math.floor((nodes * degree) / 2) - degree
    if (isNearlyRegular && isConnected(nodes, pairs)) return pairs
  }
}

const isConnected = (nodes: number, pairs: ReadonlyArray<readonly [number, number]>): boolean => {
  const reached = new Set([0])
  for (let before = 0; before !== reached.size;) {
    before = reached.size
    for (const [a, b] of pairs) {
      if (reached.has(a)) reached.add(b)
      else if (reached.has(b)) reached.add(a)
    }
  }
  return reached.size === nodes
}

export class Network {
  now = 0
  readonly nodes: ReadonlyArray<Node>
  edges: Array<Edge> = []
  /** Payload frames, grafted ids, announced ids, prunes: on the wire so far. */
  readonly sent = { payloads: 0, crossing: 0, grafted: 0, announced: 0, prunes: 0, adopts: 0 }
  private rng: number
  private readonly options: Options
  private readonly agenda: Array<{ readonly at: number; readonly number: number; readonly run: () => void }> = []
  private number = 0
  private links = 0
  private tokens = 0

  constructor(options: Options) {
    this.options = options
    this.rng = Rng.make(options.seed)
    this.nodes = Array.from({ length: options.nodes }, (_, index) => {
      const self = this.peerAt(index)
      return {
        peer: self,
        tree: BroadcastTree.make({ ...BroadcastTree.defaults, ...options.tree, self }, new Map(), index),
        repair: LazyPushRepair.make({ ...LazyPushRepair.defaults, ...options.repair, self }, new Map(), index),
        ends: [],
        version: 0,
        delivered: new Map(),
        topics: [],
        lastRound: 0,
        answers: new Map(),
        lose: { tree: 0, repair: 0 },
        disk: new Map(),
        lastAt: new Map(),
        generation: { tree: 0, repair: 0 }
      }
    })
    for (let i = 0; i < options.nodes; i++) {
      this.tell(i, "tree", { _tag: "Started" })
      this.tell(i, "repair", { _tag: "Started" })
    }
    for (const [a, b] of overlay(options.seed, options.nodes, options.degree)) this.connect(a, b)
    // Beside it two more neighbours of the same region, as near slots give.
    const { regions } = options
    if (regions !== undefined) {
      for (let i = 0; i < options.nodes; i++) this.connect(i, i + regions < options.nodes ? i + regions : i % regions)
    }
    this.snapshots()
  }

  private peerAt(index: number): Peer.Peer {
    const { regions } = this.options
    return Peer.within(peerOf(index), regions === undefined ? "" : `region ${index % regions}`)
  }

  float(): number {
    const [value, rng] = Rng.nextFloat(this.rng)
    this.rng = rng
    return value
  }

  /** Runs everything up to `ms` from now. */
  run(ms: number): void {
    const until = this.now + ms
    for (let next = this.agenda[0]; next !== undefined && next.at <= until; next = this.agenda[0]) {
      this.pop()
      this.now = next.at
      next.run()
    }
    this.now = until
  }

  broadcast(index: number, payload: unknown = "payload", topic: number = 1): number {
    const token = ++this.tokens
    this.tell(index, "tree", { _tag: "Broadcast", token, topic, payload })
    return token
  }

  connect(a: number, b: number): void {
    if (a === b || this.edges.some(({ ends }) => ends.every(({ peer }) => peer === a || peer === b))) return
    const make = (peer: number): { link: number; peer: number } => ({ link: ++this.links, peer })
    const [toB, toA] = [make(b), make(a)]
    const isNear = this.options.regions !== undefined && a % this.options.regions === b % this.options.regions
    const latencyMs = (10 + Math.floor(this.float() * 40)) / (isNear ? 10 : 1)
    const edge = { latencyMs, open: true, lastAt: new Map() } as unknown as Edge
    const ends = [
      { ...toB, edge },
      { ...toA, edge }
    ] as const
    Object.assign(edge, { ends })
    this.edges.push(edge)
    // The ends learn of their neighbour each in its own time.
    for (const [index, end] of [
      [a, ends[0]],
      [b, ends[1]]
    ] as const) {
      this.later(this.float() * 20, () => {
        if (!edge.open) return
        const node = this.node(index)
        node.ends = [...node.ends, end]
        this.announceNeighbors(index)
      })
    }
  }

  /** Breaks a link: what is in flight is lost, and the ends learn of it each in its own time. */
  reset(edge: Edge): void {
    if (!edge.open) return
    edge.open = false
    this.edges = this.edges.filter((other) => other !== edge)
    const [toB, toA] = edge.ends
    for (const [index, end] of [
      [toA.peer, toB],
      [toB.peer, toA]
    ] as const) {
      this.later(this.float() * 100, () => {
        const node = this.node(index)
        node.ends = node.ends.filter((other) => other.link !== end.link)
        for (const component of ["tree", "repair"] as const) {
          this.tell(index, component, { _tag: "LinkDown", link: end.link, reason: { _tag: "Reset" } })
        }
        this.announceNeighbors(index)
      })
    }
  }

  at(time: number, run: () => void): void {
    const entry = { at: time, number: this.number++, run }
    const heap = this.agenda
    let i = heap.push(entry) - 1
    while (i > 0) {
      const up = (i - 1) >> 1
      const parent = heap[up]
      if (parent === undefined || !isBefore(entry, parent)) break
      heap[i] = parent
      i = up
    }
    heap[i] = entry
  }

  later(ms: number, run: () => void): void {
    this.at(this.now + ms, run)
  }

  /** The view manager's numbered snapshot, every 5 s. */
  private snapshots(): void {
    this.later(5000, () => {
      for (let index = 0; index < this.nodes.length; index++) this.announceNeighbors(index)
      this.snapshots()
    })
  }

  /** What a supervisor does after a second crash. */
  rebuild(index: number, component: Component): void {
    const node = this.node(index)
    node.generation[component]++
    const seed = Rng.make(`${index}/${node.generation[component]}`)
    if (component === "tree") {
      node.tree = BroadcastTree.rebuild(node.tree.config, node.disk, node.tree.windows, seed)
    } else node.repair = LazyPushRepair.rebuild(node.repair.config, node.tree.windows, seed)
    this.tell(index, component, { _tag: "Started" })
    this.announceNeighbors(index)
  }

  /** Edges of a root's tree that both ends call eager, and those that only one does. */
  eagerEdges(root: number): { readonly mutual: number; readonly oneWay: number } {
    const id = this.node(root).peer.id
    const isEager = (from: number, end: End): boolean =>
      BroadcastTree.eager(this.node(from).tree, id).includes(end.link)
    let mutual = 0
    let oneWay = 0
    for (const { ends } of this.edges) {
      const sides = [isEager(ends[1].peer, ends[0]), isEager(ends[0].peer, ends[1])]
      if (sides.every(Boolean)) mutual++
      else if (sides.some(Boolean)) oneWay++
    }
    return { mutual, oneWay }
  }

  /** Every broadcast that was accepted is delivered everywhere, and nothing else. */
  assertComplete(): void {
    const accepted = this.nodes.flatMap(({ answers }) => [...answers.values()])
    for (const node of this.nodes) {
      const missed = accepted.filter((id) => node.delivered.get(id) !== 1)
      assert.deepStrictEqual(missed, [], `${node.peer.id} at ${this.now} (seed ${this.options.seed})`)
      assert.strictEqual(LazyPushRepair.missingSize(node.repair), 0, `${node.peer.id} misses nothing`)
    }
  }

  node(index: number): Node {
    const node = this.nodes[index]
    if (node === undefined) throw new Error(`no node ${index}`)
    return node
  }

  announceNeighbors(index: number): void {
    const node = this.node(index)
    const version = ++node.version
    const neighbors = node.ends.map(({ link, peer }) => ({ link, peer: this.peerAt(peer) }))
    for (const component of ["tree", "repair"] as const) {
      this.tell(index, component, { _tag: "Neighbors", version, neighbors })
    }
  }

  /** Queues an event, as mailboxes do: what one component says to another stays in order, and takes up to 1 ms. */
  private tell(
    index: number,
    to: Component,
    event: BroadcastTree.Event | LazyPushRepair.Event,
    from: string = "shell"
  ): void {
    const node = this.node(index)
    const key = `${from}>${to}`
    const at = Math.max(node.lastAt.get(key) ?? 0, this.now + this.float())
    node.lastAt.set(key, at)
    this.at(at, () => this.step(index, to, event))
  }

  private step(index: number, to: Component, event: BroadcastTree.Event | LazyPushRepair.Event): void {
    const node = this.node(index)
    if (node.lose[to] > 0) {
      node.lose[to]--
      return
    }
    if (to === "tree") {
      const before = node.tree
      const input = { now: this.now, event: event as BroadcastTree.Event }
      const [state, actions] = BroadcastTree.step(before, input)
      node.tree = state
      this.assertLaws(BroadcastTree.invariants(state), node, event._tag)
      assertTreeStep(before, input.event, state, actions)
      for (const action of actions) this.carryOut(index, "tree", action)
      return
    }
    const [state, actions] = LazyPushRepair.step(node.repair, {
      now: this.now,
      event: event as LazyPushRepair.Event
    })
    node.repair = state
    this.assertLaws(LazyPushRepair.invariants(state), node, event._tag)
    for (const action of actions) this.carryOut(index, "repair", action)
  }

  private assertLaws(broken: ReadonlyArray<string>, node: Node, after: string): void {
    if (broken.length === 0) return
    assert.fail(`${node.peer.id} after ${after} at ${this.now} (seed ${this.options.seed}): ${broken.join("; ")}`)
  }

  private carryOut(index: number, from: Component, action: BroadcastTree.Action | LazyPushRepair.Action): void {
    const node = this.node(index)
    const generation = node.generation[from]
    switch (action._tag) {
      case "Send": {
        const end = node.ends.find(({ link }) => link === action.link)
        if (end !== undefined) this.transmit(index, end, from, action.message)
        return
      }
      case "SetTimer":
        this.later(action.delayMs, () => {
          if (generation !== node.generation[from]) return
          this.step(index, from, { _tag: "TimerFired", timer: action.timer } as BroadcastTree.Event)
        })
        return
      case "Write": {
        const at = Math.max(node.lastAt.get("disk") ?? 0, this.now + 1 + this.float() * 5)
        node.lastAt.set("disk", at)
        this.at(at, () => {
          if (generation !== node.generation[from]) return
          for (const { key, table, value } of action.rows) {
            node.disk.set(table, (node.disk.get(table) ?? new Map()).set(key, value))
          }
          this.tell(index, from, { _tag: "Written", token: action.token })
        })
        return
      }
      case "Emit":
        return this.hear(index, action.output)
      default:
        throw new Error(`${action._tag} is not for a gossip machine`)
    }
  }

  private hear(index: number, output: BroadcastTree.Output | LazyPushRepair.Output): void {
    const node = this.node(index)
    switch (output._tag) {
      case "Delivered": {
        const key = MessageId.toText(output.id)
        node.delivered.set(key, (node.delivered.get(key) ?? 0) + 1)
        node.topics.push(output.topic)
        node.lastRound = output.round
        return
      }
      case "Accepted":
        node.answers.set(output.token, MessageId.toText(output.id))
        return
      case "Rejected":
        return
      case "Graft":
      case "Shorter":
        return this.tell(index, "tree", output, "repair")
      default:
        return this.tell(index, "repair", output, "tree")
    }
  }

  private transmit(
    index: number,
    end: End,
    to: Component,
    message: BroadcastTree.Message | LazyPushRepair.Message
  ): void {
    const { edge, peer } = end
    switch (message._tag) {
      case "Gossip":
        this.sent.payloads++
        if (Peer.isFar(this.peerAt(index), this.peerAt(peer))) this.sent.crossing++
        break
      case "Graft":
        this.sent.grafted += message.ids.length
        break
      case "Prune":
        this.sent.prunes++
        break
      case "Adopt":
        this.sent.adopts++
        break
      case "IHave":
        this.sent.announced += message.items.length
    }
    const other = edge.ends[0] === end ? edge.ends[1] : edge.ends[0]
    const copies = this.float() < (this.options.duplicates ?? 0) ? 2 : 1
    for (let copy = 0; copy < copies; copy++) {
      const latency = edge.latencyMs + this.float() * (this.options.jitterMs ?? 0)
      const at = Math.max(edge.lastAt.get(index) ?? 0, this.now + latency)
      edge.lastAt.set(index, at)
      this.at(at, () => {
        if (!edge.open) return
        const decoded =
          to === "tree"
            ? through(BroadcastTree, message as BroadcastTree.Message)
            : through(LazyPushRepair, message as LazyPushRepair.Message)
        // Both components of a node read one link; each has its own mailbox.
        this.tell(peer, to, { _tag: "Received", link: other.link, message: decoded } as BroadcastTree.Event, `${index}`)
      })
    }
  }

  private pop(): void {
    const heap = this.agenda
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return
    let i = 0
    for (;;) {
      let child = 2 * i + 1
      const left = heap[child]
      const right = heap[child + 1]
      if (left === undefined) break
      if (right !== undefined && isBefore(right, left)) child++
      const least = heap[child]
      if (least === undefined || !isBefore(least, last)) break
      heap[i] = least
      i = child
    }
    heap[i] = last
  }
}

const isBefore = (
  a: { readonly at: number; readonly number: number },
  b: { readonly at: number; readonly number: number }
): boolean => a.at < b.at || (a.at === b.at && a.number < b.number)

/** What the other end makes of a message. */
const through = <Message>(protocol: Protocol<Message>, message: Message): Message => {
  const decoded = protocol.decode(protocol.encode(message))
  return decoded.ok ? decoded.value : assert.fail(decoded.reason)
}

interface Protocol<Message> {
  readonly encode: (message: Message) => ReadonlyArray<unknown>
  readonly decode: Codec.Decoder<Message>
}

/** What must hold of one step of the tree, whatever its state. */
const assertTreeStep = (
  before: BroadcastTree.State,
  event: BroadcastTree.Event,
  after: BroadcastTree.State,
  actions: ReadonlyArray<BroadcastTree.Action>
): void => {
  const neighbors = new Set(after.gate.neighbors.map(({ link }) => link))
  const from = event._tag === "Received" ? event.link : undefined
  const isGraft = event._tag === "Received" && event.message._tag === "Graft"
  for (const action of actions) {
    if (action._tag !== "Send") continue
    assert.isTrue(neighbors.has(action.link), "frames go to neighbours only")
    const { message } = action
    if (message._tag === "Gossip" && event._tag !== "Neighbors") {
      assert.isTrue(isGraft || action.link !== from, "nothing is sent back to the peer it came from")
      const along = message.along ?? message.id.origin
      assert.isFalse(BroadcastTree.lazy(after, along).includes(action.link), "payloads go to eager links")
    }
    // Or for one that the other end had, or told of.
    const isAsked = event._tag === "Received" && (event.message._tag === "Entry" || event.message._tag === "Prune")
    if (message._tag === "Prune" && event._tag !== "Neighbors" && !isAsked) {
      assert.strictEqual(after.counters.duplicates, before.counters.duplicates + 1, "prune only for a duplicate")
    }
    if (message._tag === "Graft") {
      for (const id of message.ids) assert.isFalse(BroadcastTree.hasSeen(before, id), "graft only what is missing")
    }
  }
}
