/**
 * A small network of facts machines in virtual time: seeded latencies, links that are reset, disks that lose what was not
 * durable, a broadcast that may lose messages, steps that crash. Only the facts run here; who is whose neighbour is the
 * test's business.
 */
import { Hlc, type Stamp } from "@starling/clock"
import { Facts, type Query } from "@starling/fleet"
import { type NodeId, type Peer, Rng } from "@starling/machine"

export interface Options {
  readonly nodes: number
  readonly seed?: number
  readonly datacenter?: (index: number) => string
  readonly labels?: (index: number) => Readonly<Record<string, string>>
  readonly name?: (index: number) => string
  /** Clock error of a node in milliseconds. */
  readonly skew?: (index: number) => number
  /** Share of broadcasts that a node never gets. */
  readonly lost?: number
  /** One-way latency of links, milliseconds: evenly from .. to. */
  readonly latency?: readonly [number, number]
  /** Send messages through the codec. */
  readonly codec?: boolean
  readonly facts?: Partial<Facts.Config>
  /**
   * What a node does about stamps beyond the guard: `refuse` them, as who knows the time; take the facts and not the stamps
   * (`probation`); follow them all (`accept`, the default).
   */
  readonly guard?: (index: number) => "refuse" | "probation" | "accept"
  /** Nodes that run the release before relays. */
  readonly old?: (index: number) => boolean
}

export interface Member {
  readonly index: number
  readonly id: NodeId.NodeId
  incarnation: number
  alive: boolean
  state: Facts.State
  reading: Hlc.Reading
  /** By link. */
  readonly links: Map<number, { readonly peer: number; readonly other: number }>
  views: number
  readonly disk: Map<string, Map<string, unknown>>
  readonly outputs: Array<{ readonly at: number; readonly output: Facts.Output }>
  /** Events whose step is to crash, */
  crashes: number
  /** of this kind only. */
  crashIf: ((event: Facts.Event) => boolean) | undefined
  /** Acts on what it is asked to apply, after this long; undefined: never answers. */
  applying: { readonly delayMs: number; readonly status: "applied" | "failed" | "rejected" } | undefined
}

type Agenda = { readonly at: number; readonly order: number; readonly run: () => void }

const epochWall = 1_750_000_000_000

const guardMs = 5000

export class Network {
  now = 0
  readonly members: Array<Member> = []
  readonly problems: Array<string> = []
  bytes = 0
  /** Documents and entries that the guard refused. */
  refused = 0
  frames = 0
  /** Messages that are lost from now on. */
  drop: ((message: Facts.Message) => boolean) | undefined
  private agenda: Array<Agenda> = []
  private order = 0
  private rng: Rng.Rng
  private nextLink = 1
  private readonly fifo = new Map<number, number>()
  private readonly options: Options

  constructor(options: Options) {
    this.options = options
    this.rng = Rng.make(options.seed ?? 1)
    for (let index = 0; index < options.nodes; index++) this.join(index)
  }

  join(index: number): Member {
    const id = (0xa00000000000 + index).toString(16)
    const disk = new Map<string, Map<string, unknown>>()
    const member: Member = {
      index,
      id,
      incarnation: 1,
      alive: true,
      state: this.make(index, id, 1, disk),
      reading: Hlc.make(Number.MAX_SAFE_INTEGER),
      links: new Map(),
      views: 0,
      disk,
      outputs: [],
      crashes: 0,
      crashIf: undefined,
      applying: undefined
    }
    this.members[index] = member
    this.event(member, { _tag: "Started" })
    return member
  }

  private make(index: number, id: string, incarnation: number, disk: Facts.Stored): Facts.State {
    return Facts.make(
      {
        ...Facts.defaults,
        ...this.options.facts,
        self: {
          id,
          incarnation,
          address: `10.0.0.${index}:7740`,
          name: this.options.name?.(index) ?? `n${index}`,
          datacenter: this.options.datacenter?.(index) ?? "default",
          labels: this.options.labels?.(index) ?? {}
        },
        startedAt: this.wall(index)
      },
      disk,
      Rng.make(`${this.options.seed ?? 1}/${index}/${incarnation}`),
      this.wall(index)
    )
  }

  wall(index: number): number {
    return epochWall + Math.floor(this.now) + (this.options.skew?.(index) ?? 0)
  }

  at(index: number): Member {
    return this.members[index] as Member
  }

  context(index: number): Query.Context {
    const member = this.at(index)
    return { now: this.now, wall: this.wall(index), stamp: Hlc.stamp(member.reading, this.wall(index), member.id)[1] }
  }

  random(bound: number): number {
    const [value, rng] = Rng.nextInt(this.rng, bound)
    this.rng = rng
    return value
  }

  /** Makes two members neighbours. */
  connect(a: number, b: number): void {
    if (a === b || [...this.at(a).links.values()].some(({ peer }) => peer === b)) return
    const left = this.nextLink++
    const right = this.nextLink++
    this.at(a).links.set(left, { peer: b, other: right })
    this.at(b).links.set(right, { peer: a, other: left })
    this.later(this.random(20), () => this.views(this.at(a)))
    this.later(this.random(20), () => this.views(this.at(b)))
  }

  /** A ring and some chords: connected. */
  overlay(degree: number): void {
    const size = this.members.length
    for (let i = 0; i < size; i++) this.connect(i, (i + 1) % size)
    for (let i = 0; i < (size * (degree - 2)) / 2; i++) this.connect(this.random(size), this.random(size))
  }

  /** Ends the link of two members; each end learns of it by itself. */
  cut(a: number, b: number, cause: Facts.DownCause, delayMs: number = 0): void {
    for (const [one, two] of [
      [a, b],
      [b, a]
    ] as const) {
      const member = this.at(one)
      for (const [link, { peer }] of member.links) {
        if (peer !== two) continue
        member.links.delete(link)
        this.later(delayMs + this.random(5), () => {
          if (!member.alive) return
          this.event(member, { _tag: "LinkDown", link, reason: { _tag: "Reset" } })
          this.event(member, { _tag: "NeighborDown", peer: this.peer(two), cause })
          this.views(member)
        })
      }
    }
  }

  /** The process dies: its neighbours see it, in this way and after this time. */
  kill(index: number, cause: Facts.DownCause = "closed", delayMs: number = 0): void {
    const member = this.at(index)
    member.alive = false
    const peers = Array.from(member.links.values(), ({ peer }) => peer)
    for (const peer of peers) this.cut(index, peer, cause, delayMs)
  }

  /** Starts again from what was durable. */
  restart(index: number): void {
    const member = this.at(index)
    member.incarnation += 1
    member.alive = true
    member.views = 0
    member.outputs.length = 0
    member.state = this.make(index, member.id, member.incarnation, member.disk)
    this.event(member, { _tag: "Started" })
  }

  /** The facts alone are built anew, after a second crash. */
  rebuild(index: number): void {
    const member = this.at(index)
    member.state = this.make(index, member.id, member.incarnation, member.disk)
    this.event(member, { _tag: "Started" })
    this.views(member)
  }

  peer(index: number): Peer.Peer {
    const { id, incarnation } = this.at(index)
    return { id, incarnation, address: `10.0.0.${index}:7740` }
  }

  private views(member: Member): void {
    if (!member.alive) return
    member.views += 1
    const neighbors = [...member.links].map(([link, { peer }]) => ({ link, peer: this.peer(peer) }))
    this.event(member, { _tag: "Neighbors", version: member.views, neighbors })
  }

  /** The neighbour set as it is sent every few seconds. */
  refresh(): void {
    for (const member of this.members) this.views(member)
  }

  later(delayMs: number, run: () => void): void {
    this.agenda.push({ at: this.now + delayMs, order: this.order++, run })
  }

  run(durationMs: number): void {
    const end = this.now + durationMs
    for (;;) {
      let best = -1
      for (let i = 0; i < this.agenda.length; i++) {
        const one = this.agenda[i] as Agenda
        const other = this.agenda[best]
        if (other === undefined || one.at < other.at || (one.at === other.at && one.order < other.order)) best = i
      }
      const next = this.agenda[best]
      if (next === undefined || next.at > end) break
      const last = this.agenda.pop() as Agenda
      if (last !== next) this.agenda[best] = last
      this.now = Math.max(this.now, next.at)
      next.run()
    }
    this.now = end
  }

  event(member: Member, event: Facts.Event): void {
    if (!member.alive) return
    const wall = this.wall(member.index)
    if (event._tag === "Received") {
      const { message, refused } = Facts.sift(event.message, (stamp) => this.isRefused(member, stamp))
      this.refused += refused.length
      this.merge(member, Facts.stampsOf(message))
      return this.step(member, { ...event, message }, wall)
    }
    if (event._tag === "Delivered") {
      const stamp = Facts.stampOfPayload(event.payload)
      if (stamp !== undefined && this.isRefused(member, stamp)) {
        this.refused += 1
        return this.step(member, { ...event, isAside: true }, wall)
      }
      this.merge(member, stamp)
    }
    this.step(member, event, wall)
  }

  /** Beyond the guard, by true time. */
  isBeyond(stamp: Stamp.Stamp): boolean {
    return stamp.wall > epochWall + this.now + guardMs
  }

  private isRefused({ index }: Member, stamp: Stamp.Stamp): boolean {
    return this.options.guard?.(index) === "refuse" && this.isBeyond(stamp)
  }

  private step(member: Member, event: Facts.Event, wall: number): void {
    const [reading, stamp] = Hlc.stamp(member.reading, wall, member.id)
    member.reading = reading
    if (member.crashes > 0 && (member.crashIf?.(event) ?? true)) {
      member.crashes -= 1
      return
    }
    const [state, actions] = Facts.step(member.state, { now: this.now, event, stamp, wall })
    member.state = state
    for (const action of actions) this.act(member, action)
    if (event._tag === "Written") this.check(member)
  }

  private merge(member: Member, stamp: Stamp.Stamp | undefined): void {
    if (stamp === undefined) return
    if (this.options.guard?.(member.index) === "probation" && this.isBeyond(stamp)) return
    member.reading = Hlc.receive(member.reading, stamp, this.wall(member.index))
  }

  private act(member: Member, action: Facts.Action): void {
    const { incarnation } = member
    const same = () => member.alive && member.incarnation === incarnation
    switch (action._tag) {
      case "SetTimer":
        return this.later(action.delayMs, () => {
          if (same()) this.event(member, { _tag: "TimerFired", timer: action.timer })
        })
      case "Write":
        // Not before the writes ahead of it.
        return this.ordered(-member.index - 1, 1 + this.random(10), () => {
          if (!same()) return
          for (const { table, key, value } of action.rows) {
            const rows = member.disk.get(table) ?? new Map<string, unknown>()
            member.disk.set(table, rows)
            if (value === null) rows.delete(key)
            else rows.set(key, value)
          }
          this.event(member, { _tag: "Written", token: action.token })
        })
      case "Send":
        return this.send(member, action.link, action.message)
      case "Emit":
        return this.output(member, action.output)
      case "Open":
      case "Close":
        this.problems.push(`${action._tag} is not the facts' business`)
    }
  }

  private send(member: Member, link: number, message: Facts.Message): void {
    const target = member.links.get(link)
    if (target === undefined || this.drop?.(message) === true) return
    this.frames += 1
    const between = this.between(member.index, target.peer, message)
    if (between === undefined) return
    const sent = this.options.codec === true ? this.transcode(between) : between
    const [from, to] = this.options.latency ?? [1, 30]
    this.ordered(link, from + this.random(Math.max(1, to - from)), () => {
      const receiver = this.at(target.peer)
      if (receiver.links.has(target.other)) {
        this.event(receiver, { _tag: "Received", link: target.other, message: sent })
      }
    })
  }

  /** What arrives of a message if one of the two knows nothing of relays. */
  private between(from: number, to: number, message: Facts.Message): Facts.Message | undefined {
    const { old } = this.options
    if (old === undefined || !(old(from) || old(to))) return message
    switch (message._tag) {
      case "Digest":
        return { ...message, relays: false }
      case "Delta":
        return { ...message, via: [] }
      case "Have":
      case "Want":
      case "Beats":
      case "Claims":
        // Counted and dropped there, and never sent from there.
        this.problems.push(`${message._tag} between node ${from} and node ${to}`)
        return undefined
      default:
        return message
    }
  }

  private transcode(message: Facts.Message): Facts.Message {
    const plain = JSON.stringify(Facts.encode(message))
    this.bytes += plain.length
    const decoded = Facts.decode(JSON.parse(plain))
    if (decoded.ok) return decoded.value
    this.problems.push(`${message._tag}: ${decoded.reason}`)
    return message
  }

  private ordered(queue: number, delayMs: number, run: () => void): void {
    const at = Math.max(this.now + delayMs, this.fifo.get(queue) ?? 0)
    this.fifo.set(queue, at)
    this.later(at - this.now, run)
  }

  private output(member: Member, output: Facts.Output): void {
    member.outputs.push({ at: this.now, output })
    if (output._tag === "Broadcast") {
      for (const other of this.members) {
        if (this.random(1000) < 1000 * (this.options.lost ?? 0) && other !== member) continue
        this.later(other === member ? 0 : 5 + this.random(80), () =>
          this.event(other, { _tag: "Delivered", id: null, topic: 0, payload: output.payload })
        )
      }
    }
    if (output._tag === "Apply" && member.applying !== undefined) {
      const { delayMs, status } = member.applying
      const { key, revision } = output.entry
      this.later(delayMs, () =>
        this.event(member, { _tag: "Applied", key, revision, status, reason: status === "applied" ? "" : "because" })
      )
    }
  }

  /** What a state says it has received is on its disk, or was once and is superseded. */
  private check(member: Member): void {
    const durable = member.disk.get("config") ?? new Map()
    for (const dot of member.state.registers.entries) {
      if (!durable.has(dot[0])) this.problems.push(`${member.id} claims ${dot[0]} before it is durable`)
    }
    for (const broken of Facts.invariants(member.state)) this.problems.push(`${member.id}: ${broken}`)
  }
}

let token = 0

export const set = (key: string, value: string | null, selector: string = ""): Facts.Event => ({
  _tag: "SetConfig",
  token: ++token,
  key,
  value,
  selector,
  author: "test",
  note: ""
})

export const record = (body: string): Facts.Event => ({
  _tag: "RecordEvent",
  token: ++token,
  app: "shop/cart",
  severity: "error",
  body,
  attributes: { attempt: 1, final: false, host: "a" }
})

export const answersOf = (member: Member): ReadonlyArray<Extract<Facts.Output, { _tag: "Answer" }>["answer"]> =>
  member.outputs.flatMap(({ output }) => (output._tag === "Answer" ? [output.answer] : []))
