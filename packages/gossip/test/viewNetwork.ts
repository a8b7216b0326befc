/**
 * A few view managers and shufflers over seeded links, inside a test. Every frame passes the codecs; every step is
 * checked against the invariants. Closing is seen by each end in its own time, and a dead host tells nobody.
 */
import { assert } from "@effect/vitest"
import { Shuffler, ViewManager } from "@starling/gossip"
import { type Machine, Peer, Rng } from "@starling/machine"

type Part = "view" | "shuffle"

interface End {
  readonly run: Run
  readonly link: Machine.LinkId
  readonly conn: Conn
  open: boolean
  /** Nothing arrives here before this: frames keep their order. */
  quietUntil: number
}

interface Conn {
  readonly ends: Array<End>
  readonly latency: number
}

/** One run of a node: a process. */
export interface Run {
  readonly peer: Peer.Peer
  view: ViewManager.State
  shuffle: Shuffler.State
  alive: boolean
  nextLink: number
  readonly ends: Map<Machine.LinkId, End>
  /** Neighbours as told by NeighborUp and NeighborDown. */
  readonly told: Map<string, Machine.LinkId>
  version: number
  readonly downs: Array<{ readonly at: number; readonly id: string; readonly cause: string }>
  readonly refusals: Array<string>
}

interface Task {
  readonly at: number
  readonly order: number
  readonly act: () => void
}

export interface Options {
  readonly seed: number
  readonly settings?: Partial<ViewManager.Settings>
  readonly shuffles?: boolean
  /** Share of frames that arrive twice. */
  readonly duplicates?: number
  readonly latencyMs?: readonly [number, number]
  /** Nodes are in this many data centres, by their index; none if there are none. */
  readonly datacenters?: number
}

export class Network {
  now = 0
  frames = 0
  /** Share of events whose step crashes: the event is gone, the state stays. */
  crashing = 0
  readonly runs: Array<Run> = []
  readonly group = new Map<string, number>()
  private rng: Rng.Rng
  private order = 0
  private readonly heap: Array<Task> = []
  private readonly options: Options

  constructor(options: Options) {
    this.options = options
    this.rng = Rng.make(options.seed)
  }

  /** Starts a process. The same index again is the same node with the next incarnation. */
  start(index: number, contacts: ReadonlyArray<number>, remembered: ReadonlyArray<Peer.Peer> = []): Run {
    const id = idOf(index)
    const earlier = this.runs.filter((run) => run.peer.id === id)
    const { datacenters } = this.options
    const datacenter = datacenters === undefined ? "" : `dc${index % datacenters}`
    const peer = Peer.within({ id, incarnation: earlier.length + 1, address: addressOf(index) }, datacenter)
    const seed = Rng.split(this.rng, `${id}/${peer.incarnation}`)
    const config = { ...ViewManager.defaults, ...this.options.settings, self: peer, contacts: contacts.map(addressOf) }
    const run: Run = {
      peer,
      view: ViewManager.make(config, seed, remembered),
      shuffle: Shuffler.make({ ...Shuffler.defaults, self: peer }, Rng.split(seed, "shuffler")),
      alive: true,
      nextLink: 1,
      ends: new Map(),
      told: new Map(),
      version: 0,
      downs: [],
      refusals: []
    }
    this.runs.push(run)
    this.view(run, { _tag: "Started" })
    if (this.options.shuffles ?? true) this.shuffle(run, { _tag: "Started" })
    return run
  }

  live(): ReadonlyArray<Run> {
    return this.runs.filter((run) => run.alive)
  }

  /** The running process of a node, if there is one. */
  node(index: number): Run | undefined {
    return this.runs.findLast((run) => run.alive && run.peer.id === idOf(index))
  }

  /** Ends a process: its host resets every connection. */
  kill(run: Run): void {
    run.alive = false
    for (const end of run.ends.values()) this.breakEnd(this.other(end), { _tag: "Reset" })
  }

  /** Takes a host off the net: nobody hears anything of it again. */
  vanish(run: Run): void {
    run.alive = false
    this.group.set(run.peer.id, -1 - this.runs.indexOf(run))
  }

  leave(run: Run): void {
    this.view(run, { _tag: "Leave" })
    this.at(50, () => {
      run.alive = false
    })
  }

  /** What a supervisor does after a second crash: a state from the live links alone. */
  rebuild(run: Run): void {
    const links = [...run.ends.values()].map((end) => ({ link: end.link, peer: this.other(end).run.peer }))
    run.told.clear()
    run.view = ViewManager.rebuild(run.view.config, links, run.view.remembered, Rng.split(run.view.rng, "rebuild"))
    this.view(run, { _tag: "Started" })
  }

  /** Breaks the connection behind a link at both ends. */
  reset(run: Run, link: Machine.LinkId): void {
    const end = run.ends.get(link)
    if (end === undefined) return
    this.breakEnd(end, { _tag: "Reset" })
    this.breakEnd(this.other(end), { _tag: "Reset" })
  }

  advance(ms: number): void {
    const until = this.now + ms
    for (let task = this.heap[0]; task !== undefined && task.at <= until; task = this.heap[0]) {
      this.pop()
      this.now = task.at
      task.act()
    }
    this.now = until
  }

  chance(): number {
    const [value, rng] = Rng.nextFloat(this.rng)
    this.rng = rng
    return value
  }

  view(run: Run, event: ViewManager.Event): void {
    if (!run.alive) return
    if (this.crashing > 0 && event._tag !== "Leave" && event._tag !== "Started" && this.chance() < this.crashing) return
    const [state, actions] = ViewManager.step(run.view, { now: this.now, event })
    run.view = state
    this.checkView(run, actions)
    for (const action of actions) {
      if (action._tag === "Emit") this.onViewOutput(run, action.output)
      else this.carryOut(run, "view", action, (timer) => this.view(run, { _tag: "TimerFired", timer }))
    }
  }

  shuffle(run: Run, event: Shuffler.Event): void {
    if (!run.alive) return
    const [state, actions] = Shuffler.step(run.shuffle, { now: this.now, event })
    run.shuffle = state
    assert.deepStrictEqual(Shuffler.invariants(state), [])
    for (const action of actions) {
      if (action._tag === "Emit") {
        const { received, sent } = action.output
        this.at(0, () => this.view(run, { _tag: "Integrate", received, sent }))
      } else this.carryOut(run, "shuffle", action, (timer) => this.shuffle(run, { _tag: "TimerFired", timer }))
    }
  }

  private onViewOutput(run: Run, output: ViewManager.Output): void {
    switch (output._tag) {
      case "NeighborUp": {
        const { link, peer } = output.neighbor
        assert.isFalse(run.told.has(peer.id), "NeighborUp of a neighbour")
        run.told.set(peer.id, link)
        return
      }
      case "NeighborDown":
        assert.strictEqual(run.told.get(output.peer.id), output.link, "NeighborDown of a stranger")
        run.told.delete(output.peer.id)
        run.downs.push({ at: this.now, id: output.peer.id, cause: output.cause })
        return
      case "NeighborRefused":
        run.refusals.push(output.peer.id)
        return
      case "Views":
        assert.isAbove(output.version, run.version, "the version of Views rises")
        run.version = output.version
        assert.deepStrictEqual(
          output.active.map((neighbor) => [neighbor.peer.id, neighbor.link]),
          [...run.told],
          "Views agree with what was told before"
        )
        if (this.options.shuffles ?? true) this.at(0, () => this.shuffle(run, output))
    }
  }

  private checkView(run: Run, actions: ReadonlyArray<ViewManager.Action>): void {
    const broken = ViewManager.invariants(run.view)
    if (broken.length > 0) assert.fail(`${run.peer.id} at ${this.now}: ${broken.join("; ")}`)
    for (const action of actions) {
      if (action._tag !== "Send") continue
      const { message } = action
      if (message._tag === "Neighbor" && message.priority === "high")
        assert.strictEqual(run.view.active.length, 0, "high priority only without a neighbour")
    }
  }

  private carryOut<Message extends ViewManager.Message | Shuffler.Message, Timer>(
    run: Run,
    part: Part,
    action: Exclude<Machine.Action<Message, Timer, never>, { readonly _tag: "Emit" }>,
    fire: (timer: Timer) => void
  ): void {
    switch (action._tag) {
      case "SetTimer":
        return this.at(action.delayMs, () => fire(action.timer))
      case "Open":
        return this.open(run, part, action.attempt, action.address)
      case "Send":
        return this.send(run, part, action.link, action.message)
      case "Close":
        return this.close(run, action.link, action.reason)
      case "Write":
        assert.fail("nothing here is durable")
    }
  }

  private open(run: Run, part: Part, attempt: number, address: string): void {
    const latency = this.latency()
    const answer = (event: Machine.ShellEvent<never, never>) =>
      part === "view" ? this.view(run, event) : this.shuffle(run, event)
    this.at(latency, () => {
      const target = this.live().find((other) => other.peer.address === address)
      const host = this.runs.findLast((other) => other.peer.address === address)
      if (host !== undefined && this.isCut(run, host)) {
        const failure = { _tag: "Unreachable" } as const
        return this.at(5000, () => answer({ _tag: "LinkRefused", attempt, address, failure }))
      }
      if (target === undefined || !run.alive || target === run) {
        const failure: Machine.OpenFailure =
          target === run ? { _tag: "Rejected", code: "self", message: "" } : { _tag: "Refused" }
        return this.at(latency, () => answer({ _tag: "LinkRefused", attempt, address, failure }))
      }
      const conn: Conn = { ends: [], latency }
      const near = this.end(run, conn)
      const far = this.end(target, conn)
      this.view(target, { _tag: "LinkUp", link: far.link, peer: run.peer })
      this.arrive(near, () => answer({ _tag: "LinkUp", link: near.link, peer: target.peer, attempt }))
    })
  }

  private end(run: Run, conn: Conn): End {
    const end = { run, link: run.nextLink++, conn, open: true, quietUntil: this.now }
    run.ends.set(end.link, end)
    conn.ends.push(end)
    return end
  }

  private other(end: End): End {
    return end.conn.ends.find((candidate) => candidate !== end) as End
  }

  private send(run: Run, part: Part, link: Machine.LinkId, message: ViewManager.Message | Shuffler.Message): void {
    const end = run.ends.get(link)
    if (end === undefined || !end.open) return
    const far = this.other(end)
    const copies = this.chance() < (this.options.duplicates ?? 0) ? 2 : 1
    const bytes =
      part === "view"
        ? ViewManager.encode(message as ViewManager.Message)
        : Shuffler.encode(message as Shuffler.Message)
    for (let copy = 0; copy < copies; copy++)
      this.arrive(far, () => {
        if (this.isCut(run, far.run)) return
        this.frames++
        if (part === "view") {
          const read = ViewManager.decode(bytes)
          assert.deepStrictEqual(read, { ok: true, value: message as ViewManager.Message })
          if (read.ok) this.view(far.run, { _tag: "Received", link: far.link, message: read.value })
        } else {
          const read = Shuffler.decode(bytes)
          if (read.ok) this.shuffle(far.run, { _tag: "Received", link: far.link, message: read.value })
          else assert.fail(read.reason)
        }
      })
  }

  private close(run: Run, link: Machine.LinkId, reason: Machine.CloseReason): void {
    const end = run.ends.get(link)
    if (end === undefined || !end.open) return
    const far = this.other(end)
    this.breakEnd(end, { _tag: "Local", reason }, 0)
    this.arrive(far, () => {
      if (!this.isCut(run, far.run)) this.down(far, { _tag: "ClosedByPeer", reason })
    })
  }

  /** An end hears of the end in its own time, after what was on its way. */
  private breakEnd(end: End, reason: Machine.DownReason, delay?: number): void {
    if (delay === 0) {
      end.open = false
      end.run.ends.delete(end.link)
      this.at(0, () => this.tellDown(end, reason))
      return
    }
    this.arrive(end, () => this.down(end, reason))
  }

  private down(end: End, reason: Machine.DownReason): void {
    if (!end.open) return
    end.open = false
    end.run.ends.delete(end.link)
    this.tellDown(end, reason)
  }

  private tellDown(end: End, reason: Machine.DownReason): void {
    this.view(end.run, { _tag: "LinkDown", link: end.link, reason })
    if (this.options.shuffles ?? true) this.shuffle(end.run, { _tag: "LinkDown", link: end.link, reason })
  }

  private arrive(end: End, act: () => void): void {
    const at = Math.max(end.quietUntil, this.now + end.conn.latency * (1 + this.chance()))
    end.quietUntil = at
    this.at(at - this.now, () => {
      if (end.open) act()
    })
  }

  private isCut(a: Run, b: Run): boolean {
    return (this.group.get(a.peer.id) ?? 0) !== (this.group.get(b.peer.id) ?? 0)
  }

  private latency(): number {
    const [low, high] = this.options.latencyMs ?? [1, 10]
    return low + (high - low) * this.chance()
  }

  at(delay: number, act: () => void): void {
    this.push({ at: this.now + delay, order: this.order++, act })
  }

  private push(task: Task): void {
    const { heap } = this
    let i = heap.push(task) - 1
    while (i > 0) {
      const up = (i - 1) >> 1
      if (!isBefore(task, heap[up] as Task)) break
      heap[i] = heap[up] as Task
      i = up
    }
    heap[i] = task
  }

  private pop(): void {
    const { heap } = this
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return
    let i = 0
    for (;;) {
      let child = 2 * i + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Task, heap[child] as Task)) child++
      if (!isBefore(heap[child] as Task, last)) break
      heap[i] = heap[child] as Task
      i = child
    }
    heap[i] = last
  }
}

const isBefore = (a: Task, b: Task): boolean => a.at < b.at || (a.at === b.at && a.order < b.order)

/** Ids in no order that a test could lean on. */
export const idOf = (index: number): string =>
  (((index + 1) * 0x9e3779b1) % 0x1000000000000).toString(16).padStart(12, "0")

export const addressOf = (index: number): string => `10.0.0.${index}:7000`

/** Adjacency that both ends agree on, by id. */
const edges = (network: Network): ReadonlyMap<string, ReadonlySet<string>> => {
  const claims = new Map(
    network.live().map((run) => [run.peer.id, new Set(run.view.active.map((neighbor) => neighbor.peer.id))])
  )
  return new Map(
    [...claims].map(([id, others]) => [id, new Set([...others].filter((other) => claims.get(other)?.has(id) === true))])
  )
}

export const unbiased = (run: Run): ReadonlyArray<Machine.Neighbor> =>
  run.view.active.filter((neighbor) => neighbor.near !== true)

/** What is wrong with the overlay as a whole; empty if nothing is. */
export const overlayFaults = (network: Network): ReadonlyArray<string> => {
  const faults: Array<string> = []
  const agreed = edges(network)
  for (const run of network.live())
    for (const { peer } of run.view.active)
      if (agreed.get(run.peer.id)?.has(peer.id) !== true) faults.push(`${run.peer.id} claims ${peer.id} in vain`)
  if (components(network) > 1) faults.push(`${components(network)} components`)
  const open = network.live().filter((run) => unbiased(run).length < run.view.config.activeMax)
  for (const a of open)
    for (const b of open)
      if (a.peer.id < b.peer.id && agreed.get(a.peer.id)?.has(b.peer.id) !== true)
        faults.push(`${a.peer.id} and ${b.peer.id} have free slots for each other`)
  return faults
}

export const components = (network: Network): number => {
  const agreed = edges(network)
  const seen = new Set<string>()
  let found = 0
  for (const id of agreed.keys()) {
    if (seen.has(id)) continue
    found++
    const queue = [id]
    for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
      if (seen.has(next)) continue
      seen.add(next)
      queue.push(...(agreed.get(next) ?? []))
    }
  }
  return found
}

export const degrees = (network: Network): ReadonlyArray<number> => network.live().map((run) => run.view.active.length)
