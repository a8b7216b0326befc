/** The view manager's messages as plain arrays, kind first, and back. */
import { Codec, NodeId, Peer } from "@starling/machine"
import type { DisconnectReason, Label, Message, Priority, Wish } from "./viewModel.ts"

/** The largest walk length that is read; a receiver cuts it down to its own `arwl`. */
const ttlMax = 64

/** The largest sample that is read: both views of a node with twice the default sizes. */
const sampleMax = 64

/** Numbers are for ever: a reason that falls out of use keeps its place. */
const reasons: ReadonlyArray<DisconnectReason> = ["evicted", "replaced", "left", "asymmetric"]

const priorities: ReadonlyArray<Priority> = ["low", "high", "split"]

export const encode = (message: Message): ReadonlyArray<unknown> => {
  switch (message._tag) {
    case "Join":
      return [0, Peer.encode(message.peer)]
    case "ForwardJoin":
      return [1, Peer.encode(message.peer), message.ttl]
    case "Neighbor":
      return [2, Peer.encode(message.peer), priorities.indexOf(message.priority), encodeWish(message.wish)]
    case "NeighborReply":
      return [
        3,
        message.accepted ? 1 : 0,
        message.sample.map(Peer.encode),
        message.hinted ? 1 : 0,
        message.slow === true ? 1 : 0
      ]
    case "Disconnect":
      return [4, reasons.indexOf(message.reason), message.sample.map(Peer.encode)]
    case "Ping":
      return [5, message.seq, message.claim ? 1 : 0, encodeLabel(message.label)]
    case "Pong":
      return [6, message.seq, message.claim ? 1 : 0, encodeLabel(message.label)]
    case "Probe":
      return [7, Peer.encode(message.peer), encodeLabel(message.label), message.sample.map(Peer.encode)]
    case "ProbeReply":
      return [8, encodeLabel(message.label), message.sample.map(Peer.encode)]
  }
}

export const decode: Codec.Decoder<Message> = (input) => {
  const fields = Codec.tuple(input, 1, "view message")
  if (!fields.ok) return fields
  const [kind, a, b, c, d] = fields.value
  switch (kind) {
    case 0:
      return with1(Peer.decode(a), (peer) => ({ _tag: "Join", peer }))
    case 1:
      return with2(Peer.decode(a), count(b, ttlMax, "ForwardJoin: ttl"), (peer, ttl) => ({
        _tag: "ForwardJoin",
        peer,
        ttl
      }))
    case 2:
      return with2(
        with2(Peer.decode(a), oneOf(priorities, b, "Neighbor: priority"), pair),
        decodeWish(c),
        ([peer, priority], wish) => ({ _tag: "Neighbor", peer, priority, ...wish })
      )
    case 3:
      return with2(
        with2(flag(a, "NeighborReply: accepted"), decodeSample(b), pair),
        flag(c, "NeighborReply: hinted"),
        ([accepted, sample], hinted) => ({
          _tag: "NeighborReply",
          accepted,
          sample,
          hinted,
          ...(d === 1 ? { slow: true } : {})
        })
      )
    case 4:
      return with2(oneOf(reasons, a, "Disconnect: reason"), decodeSample(b), (reason, sample) => ({
        _tag: "Disconnect",
        reason,
        sample
      }))
    case 5:
    case 6:
      return decodeBeat(kind === 5 ? "Ping" : "Pong", a, b, c)
    case 7:
      return with2(Peer.decode(a), with2(decodeLabel(b), decodeSample(c), pair), (peer, [label, sample]) => ({
        _tag: "Probe",
        peer,
        label,
        sample
      }))
    case 8:
      return with2(decodeLabel(a), decodeSample(b), (label, sample) => ({ _tag: "ProbeReply", label, sample }))
    default:
      return Codec.refuse(`unknown kind of view message${Codec.isCount(kind) ? ` ${kind}` : ""}`)
  }
}

/** A field that older readers skip. */
const encodeWish = (wish: Wish | undefined): ReadonlyArray<unknown> | null => {
  if (wish === undefined) return null
  return wish._tag === "Near" ? [0, wish.rttMs] : [1, Peer.encode(wish.gives), wish.cross ? 1 : 0]
}

/** Of an older node there is none. One of a later version counts as none: what is left is the plain request. */
const decodeWish = (input: unknown): Codec.Decoded<{ readonly wish?: Wish }> => {
  const [kind, what, cross]: ReadonlyArray<unknown> = Array.isArray(input) ? input : []
  if (kind === 0) {
    const isTime = what === null || (typeof what === "number" && Number.isFinite(what) && what >= 0)
    return isTime
      ? Codec.accept({ wish: { _tag: "Near", rttMs: what } })
      : Codec.refuse("Neighbor: round trip is neither null nor a number of milliseconds")
  }
  if (kind !== 1) return Codec.accept({})
  return with2(Peer.decode(what), flag(cross, "Neighbor: cross"), (gives, isCross) => ({
    wish: { _tag: "Swap", gives, cross: isCross }
  }))
}

const decodeBeat = (tag: "Ping" | "Pong", seq: unknown, claim: unknown, label: unknown): Codec.Decoded<Message> => {
  const head = with2(count(seq, Number.MAX_SAFE_INTEGER, `${tag}: seq`), flag(claim, `${tag}: claim`), pair)
  return with2(head, decodeLabel(label), ([number, claims], read) => ({
    _tag: tag,
    seq: number,
    claim: claims,
    label: read
  }))
}

const encodeLabel = (label: Label): ReadonlyArray<unknown> => [
  label.leader,
  label.incarnation,
  label.beat,
  label.stable ? 1 : 0,
  // A field that older readers skip.
  label.merged === true ? 1 : 0
]

const decodeLabel: Codec.Decoder<Label> = (input) => {
  const fields = Codec.tuple(input, 4, "label")
  if (!fields.ok) return fields
  const [leader, incarnation, beat, stable, merged] = fields.value
  if (!NodeId.isNodeId(leader)) return Codec.refuse("label: leader is not twelve hexadecimal digits")
  if (!Codec.isCount(incarnation)) return Codec.refuse("label: incarnation is not a count")
  if (!Codec.isCount(beat)) return Codec.refuse("label: beat is not a count")
  return with1(flag(stable, "label: stable"), (isStable) => ({
    leader,
    incarnation,
    beat,
    stable: isStable,
    ...(merged === 1 ? { merged: true } : {})
  }))
}

const decodeSample = (input: unknown): Codec.Decoded<ReadonlyArray<Peer.Peer>> =>
  Codec.list(input, Peer.decode, sampleMax, "sample")

const oneOf = <A>(values: ReadonlyArray<A>, input: unknown, what: string): Codec.Decoded<A> => {
  const value = Codec.isCount(input) ? values[input] : undefined
  return value === undefined ? Codec.refuse(`${what} is unknown`) : Codec.accept(value)
}

const count = (input: unknown, max: number, what: string): Codec.Decoded<number> =>
  Codec.isCount(input, max) ? Codec.accept(input) : Codec.refuse(`${what} is not a count of at most ${max}`)

const flag = (input: unknown, what: string): Codec.Decoded<boolean> =>
  input === 0 || input === 1 ? Codec.accept(input === 1) : Codec.refuse(`${what} is neither 0 nor 1`)

const pair = <A, B>(a: A, b: B): readonly [A, B] => [a, b]

const with1 = <A, C>(a: Codec.Decoded<A>, build: (a: A) => C): Codec.Decoded<C> =>
  a.ok ? Codec.accept(build(a.value)) : a

const with2 = <A, B, C>(a: Codec.Decoded<A>, b: Codec.Decoded<B>, build: (a: A, b: B) => C): Codec.Decoded<C> => {
  if (!a.ok) return a
  return b.ok ? Codec.accept(build(a.value, b.value)) : b
}
