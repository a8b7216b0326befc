/** Frames of every kind, as members of this version send them to each other while much goes wrong. */
import { Stamp } from "@starling/clock"
import { Config, type Facts } from "@starling/fleet"
import type { NodeId } from "@starling/machine"
import type { Component, Wiring } from "@starling/member"
import { Fault, World } from "@starling/sim"
import { MemberFleet } from "@starling/testing"
import type { Handshake } from "@starling/wire"
import * as HashMap from "effect/HashMap"
import * as Codecs from "./codecs.ts"

export interface Recorded {
  readonly kind: string
  /** A frame without its length prefix. */
  readonly bytes: Uint8Array
  readonly value: unknown
}

type Tags = { readonly [C in Component.Component]: Readonly<Record<Component.MessageOf<C>["_tag"], true>> }

/** A message that is new to this version has to be named here, and the run below, or `made`, has to send it. */
const tags: Tags = {
  "view-manager": {
    Join: true,
    ForwardJoin: true,
    Neighbor: true,
    NeighborReply: true,
    Disconnect: true,
    Ping: true,
    Pong: true,
    Probe: true,
    ProbeReply: true
  },
  shuffler: { Shuffle: true, ShuffleReply: true },
  "broadcast-tree": { Gossip: true, Prune: true, Graft: true, GraftMiss: true, Adopt: true, Entry: true },
  "lazy-push-repair": { IHave: true, Summary: true },
  clock: { Clocks: true },
  facts: {
    Digest: true,
    Delta: true,
    Entries: true,
    Summary: true,
    Pull: true,
    Have: true,
    Want: true,
    Beats: true,
    Claims: true
  }
}

/** Every kind of message that this version can send. */
export const kinds: ReadonlyArray<string> = [
  ...Object.entries(tags).flatMap(([channel, names]) => Object.keys(names).map((name) => `${channel}/${name}`)),
  ...["Hello", "Welcome", "Refusal"].map((name) => `handshake/${name}`)
]

/** Frames that are kept for each thing that is new in them. */
const keptOfEach = 2

/** Larger ones say nothing that smaller ones do not. */
const bytesMax = 3000

/** The same seed records the same frames. */
export const record = (seed: string): ReadonlyArray<Recorded> => {
  const counts = new Map<string, number>()
  const kept = new Set<string>()
  const looked = new Map<string, number>()
  const out: Array<Recorded> = []
  const keep = (channel: Component.Component | "handshake", message: { readonly _tag: string }): void => {
    // What is new in a kind shows early; later, one in ten is enough to look at.
    const times = (looked.get(message._tag) ?? 0) + 1
    looked.set(message._tag, times)
    if (times > 500 && times % 10 !== 0) return
    const traits = traitsOf(message)
      .map((trait) => `${channel}/${message._tag} ${trait}`)
      .filter((trait) => (counts.get(trait) ?? 0) < keptOfEach)
    if (traits.length === 0) return
    const bytes = Codecs.write(channel, message)
    const text = Buffer.from(bytes).toString("hex")
    if (bytes.length > bytesMax || kept.has(text)) return
    kept.add(text)
    const { _tag, ...read } = Codecs.read(bytes)
    if (!("value" in read)) throw new Error(`${channel}/${message._tag} of ours is ${_tag} to us: ${read.reason}`)
    for (const trait of traits) counts.set(trait, (counts.get(trait) ?? 0) + 1)
    out.push({ bytes, ...read })
  }
  for (const [channel, message] of made) keep(channel, message)
  run(seed, ({ channel, message }) => keep(channel, message))
  return out.toSorted((a, b) => (a.kind < b.kind ? -1 : a.kind > b.kind ? 1 : 0))
}

/** Fields whose few values change how a message is read. */
const words = new Set([
  "_tag",
  "priority",
  "reason",
  "code",
  "operation",
  "cause",
  "topic",
  "status",
  "state",
  "severity"
])

/** What is in a message, one by one: its fields, and the words, flags and gaps in them. */
const traitsOf = (message: { readonly _tag: string }): ReadonlyArray<string> => {
  const found = new Set(Object.keys(message))
  const look = (item: unknown): void => {
    if (typeof item !== "object" || item === null || HashMap.isHashMap(item)) return
    for (const [key, field] of Object.entries(item)) {
      if (words.has(key) || typeof field === "boolean" || field === null) found.add(`${key}=${JSON.stringify(field)}`)
      if (key !== "raw") look(field)
    }
  }
  look(message)
  return [...found]
}

const peer = { id: "00000000000a", incarnation: 3, address: "10.1.2.3:7740" }
const hello: Handshake.Hello = {
  fleet: "starling",
  versions: [1, 1],
  node: { ...peer, boot: 123_456_789, name: "ams-1", datacenter: "ams" }
}

type ViewMessage = Component.MessageOf<"view-manager">
type TreeMessage = Component.MessageOf<"broadcast-tree">
type Words<M, Tag, Field extends keyof Extract<M, { readonly _tag: Tag }>> = Readonly<
  Record<Extract<M, { readonly _tag: Tag }>[Field] & string, true>
>
const keysOf = <K extends string>(record: Readonly<Record<K, true>>): ReadonlyArray<K> =>
  Object.keys(record) as Array<K>

/** Words that are new to this version have to be named here: to an earlier one an unknown word may be garbage. */
const priorities: Words<ViewMessage, "Neighbor", "priority"> = { high: true, low: true, split: true }
const reasons: Words<ViewMessage, "Disconnect", "reason"> = {
  evicted: true,
  replaced: true,
  left: true,
  asymmetric: true
}
const codes: Readonly<Record<Handshake.RefusalCode, true>> = {
  fleet: true,
  version: true,
  self: true,
  duplicate: true,
  outdated: true,
  name: true,
  busy: true,
  garbage: true
}

/** What a run does not send, or only by luck. */
const made: ReadonlyArray<
  | readonly ["handshake", Handshake.Message]
  | readonly ["view-manager", ViewMessage]
  | readonly ["broadcast-tree", TreeMessage]
> = [
  ["handshake", { _tag: "Hello", hello }],
  ["handshake", { _tag: "Welcome", version: 1, hello }],
  ...keysOf(codes).map(
    (code) => ["handshake", { _tag: "Refusal", refusal: { code, message: `no: ${code}`, incarnation: 4 } }] as const
  ),
  ...keysOf(reasons).map((reason) => ["view-manager", { _tag: "Disconnect", reason, sample: [peer] }] as const),
  ...keysOf(priorities).map((priority) => ["view-manager", { _tag: "Neighbor", peer, priority }] as const),
  ["broadcast-tree", { _tag: "Adopt", root: peer.id }],
  ["broadcast-tree", { _tag: "Entry", id: { origin: peer.id, incarnation: 3, seq: 7 }, entry: peer.id }],
  ["broadcast-tree", { _tag: "GraftMiss", ids: [{ origin: peer.id, incarnation: 3, seq: 7 }] }]
]

const size = 12

/** Twelve members in three data centres: configuration, events, publishers, broadcasts, a cut, a crash, a goodbye. */
const run = (seed: string, sent: (frame: Wiring.Frame) => void): void => {
  let newest: Config.Entry | undefined
  const fleet = MemberFleet.make({
    seed,
    size,
    mode: "run-to-completion",
    checkSteps: false,
    digestLeavesMax: 1,
    joinEveryMs: 40,
    settings: {
      labels: { zone: "a", tier: "edge" },
      // Small caches and views, so that graft misses, refusals and evictions come about.
      viewManager: { activeMax: 3, passiveMax: 8 },
      broadcastTree: { cacheCountMax: 4 },
      clock: { source: "fleet" },
      facts: { antiEntropyMs: 3000 }
    },
    network: {
      resetShare: 0.002,
      carry: (frame) => {
        sent(frame)
        if (frame.channel === "broadcast-tree" && frame.message._tag === "Gossip") {
          const entry = Config.decodeEntry(frame.message.payload)
          if (entry.ok) newest = entry.value
        }
        return frame
      }
    }
  })
  const { peers, world } = fleet
  const idOf = (index: number): NodeId.NodeId => peers[index % size]?.id ?? ""
  const tell = (index: number, event: Facts.Event): void => {
    MemberFleet.command(fleet, idOf(index), { to: "facts", event })
  }
  const some = peers.slice(0, 4).map(({ id }) => id)
  const others = peers.slice(4).map(({ id }) => id)
  Fault.schedule(world, [
    ...Fault.at(9000, Fault.crash(idOf(5), "silent")),
    ...Fault.at(12_000, Fault.cut(some, others)),
    ...Fault.at(22_000, Fault.healAll),
    ...Fault.at(24_000, Fault.restart(idOf(5))),
    ...Fault.at(26_000, Fault.crash(idOf(7), "reset")),
    ...Fault.at(28_000, Fault.restart(idOf(7), "lost"))
  ])
  World.pass(world, 3000)
  for (let second = 0; second < 30; second++) {
    for (const index of [second, second + 5]) {
      MemberFleet.broadcast(fleet, idOf(index), {
        text: `hello ${index}`,
        bytes: new Uint8Array([1, 2, 255]),
        list: [1.5, -2, null, true]
      })
    }
    MemberFleet.command(fleet, idOf(second % 3), {
      to: "broadcast-tree",
      event: { _tag: "Broadcast", token: 1_000_000 + second, topic: 1, payload: "in order", ordered: true }
    })
    tell(second, {
      _tag: "SetConfig",
      token: second + 1,
      key: `sampling/${second % 3}`,
      value: second % 7 === 6 ? null : `value ${second} ü`,
      selector: second % 4 === 0 ? "zone=a" : "",
      author: "somebody",
      note: second % 2 === 0 ? "why" : ""
    })
    tell(second + 1, {
      _tag: "RecordEvent",
      token: second + 1,
      app: second % 2 === 0 ? "checkout" : "",
      severity: second % 3 === 0 ? "warn" : "error",
      body: `event ${second} 😀`,
      attributes: { order: second, fast: second % 2 === 0, currency: "EUR" }
    })
    tell(second % 3, {
      _tag: "Published",
      app: "checkout",
      instance: `i-${second % 2}`,
      signal: second % 2 === 0 ? "metrics" : "logs",
      labels: { version: "1.2" }
    })
    if (second === 1) tell(1, { _tag: "Handles", patterns: ["sampling/*", "**"] })
    if (newest !== undefined) {
      const status = (["applying", "failed", "rejected", "applied"] as const)[second % 4] ?? "applied"
      tell(1, {
        _tag: "Applied",
        key: newest.key,
        revision: Stamp.toText(newest.revision),
        status,
        reason: "no such shop"
      })
    }
    World.pass(world, 1000)
  }
  MemberFleet.command(fleet, idOf(2), { to: "facts", event: { _tag: "Leave" } })
  MemberFleet.command(fleet, idOf(2), { to: "view-manager", event: { _tag: "Leave" } })
  World.pass(world, 1000)
}
