/**
 * What no honest member sends, by a seed: for `Poison` of a plan, and as it befalls whole agents.
 *
 * What it may do is use up time and place within the bounds that members have, and end the link that it came on. So none of it
 * is a forged broadcast of a member that exists, or accuses one: against a member that lies about others nothing here is armed.
 */
import type { LazyPushRepair, MessageId } from "@starling/gossip"
import { type NodeId, type Peer, Rng } from "@starling/machine"
import { Component, type Wiring } from "@starling/member"
import { Frame, Pack } from "@starling/wire"
import { type Poison, poisons } from "../Plan.ts"

/** Of each kind so many at once; our choice, and more of what is cheap. */
const doses = 20

/** What is put on a link: plain data on a channel, as honest frames are, or bytes that are none. */
export type Dose =
  | { readonly _tag: "Data"; readonly channel: number; readonly data: unknown }
  | { readonly _tag: "Bytes"; readonly bytes: Uint8Array }

interface Brew {
  readonly members: ReadonlyArray<Peer.Peer>
  readonly draw: (bound: number) => number
}

/**
 * `members`: who there is, for those who act in the name of others.
 *
 * Whoever receives the doses ends the link at the first that is rubbish, and reads nothing behind it. So of the
 * kinds that may mix, what can be read comes first, and of the rubbish one dose last. The others are all of one sort.
 */
export const brew = (what: Poison, seed: number, members: ReadonlyArray<Peer.Peer>): ReadonlyArray<Dose> => {
  let rng = Rng.make(`${seed}/poison`)
  const draw = (bound: number): number => {
    const [value, next] = Rng.nextInt(rng, bound)
    rng = next
    return value
  }
  const kinds = recipes[what]
  const drawn = Array.from({ length: doses }, () => (kinds[draw(kinds.length)] as Recipe)({ members, draw }))
  if (!poisons.some((mixed) => mixed === what)) return drawn
  const isRubbish = (dose: Dose): boolean => effectOf(dose)._tag === "Rubbish"
  return [...drawn.filter((dose) => !isRubbish(dose)), ...drawn.filter(isRubbish).slice(0, 1)]
}

/** What a dose is to who receives it; `Dropped`: it is counted, and nothing else happens; `Rubbish`: it ends the link. */
export type Effect =
  | { readonly _tag: "Frame"; readonly frame: Wiring.Frame }
  | { readonly _tag: "Dropped" }
  | { readonly _tag: "Rubbish" }

/** As the links of an agent take it, through the same decoders. */
export const effectOf = (dose: Dose): Effect => {
  const channel = dose._tag === "Data" ? Component.ofChannel(dose.channel) : undefined
  if (dose._tag === "Bytes" || channel === undefined) return { _tag: "Rubbish" }
  const message = Component.specs[channel].decode(dose.data)
  if (message.ok) return { _tag: "Frame", frame: { channel, message: message.value } as Wiring.Frame }
  return { _tag: Component.isUnknownKind(message) ? "Dropped" : "Rubbish" }
}

/** As it goes over a connection. */
export const bytesOf = (dose: Dose): Uint8Array => {
  if (dose._tag === "Bytes") return dose.bytes
  const bytes = Frame.encode(dose.channel, dose.data)
  if (!bytes.ok) throw new Error(`a poison that cannot be sent: ${bytes.reason}`)
  return bytes.value
}

type Recipe = (brew: Brew) => Dose

/** Twelve hexadecimal digits that no member has: theirs end in their small numbers. */
const nobody = ({ draw }: Brew): NodeId.NodeId => `ffff${(draw(2 ** 31) + 2 ** 31).toString(16)}`

const stranger = (brew: Brew): Peer.Peer => ({
  id: nobody(brew),
  incarnation: 1 + brew.draw(5),
  address: `10.254.${brew.draw(256)}.${brew.draw(256)}:7740`
})

const several = <A>(brew: Brew, max: number, make: (brew: Brew) => A): ReadonlyArray<A> =>
  Array.from({ length: 1 + brew.draw(max) }, () => make(brew))

const anybody = ({ draw, members }: Brew): Peer.Peer => members[draw(members.length)] as Peer.Peer

/** A broadcast that was never sent: of nobody, or of a run of a member that has not been. */
const fiction = (brew: Brew): MessageId.MessageId =>
  brew.draw(2) === 0
    ? { origin: nobody(brew), incarnation: 1, seq: 1 + brew.draw(1_000_000) }
    : { origin: anybody(brew).id, incarnation: 1000 + brew.draw(1000), seq: 1 + brew.draw(1_000_000) }

const announcement = (brew: Brew): LazyPushRepair.Announcement => [fiction(brew), brew.draw(50)]

/** Something of any type, of any depth up to four. */
const junk = (brew: Brew, depth = 0): unknown => {
  const { draw } = brew
  switch (draw(depth > 3 ? 6 : 8)) {
    case 0:
      return draw(2 ** 32) - 2 ** 31
    case 1:
      return [Number.NaN, Number.POSITIVE_INFINITY, -0, 0.5, 2 ** 53, -1][draw(6)]
    case 2:
      return "x".repeat(draw(200))
    case 3:
      return null
    case 4:
      return draw(2) === 0
    case 5:
      return anybody(brew).id
    case 6:
      return Array.from({ length: draw(12) }, () => junk(brew, depth + 1))
    default:
      return Object.fromEntries(Array.from({ length: draw(4) }, (_, n) => [`k${n}`, junk(brew, depth + 1)]))
  }
}

const anyChannel = ({ draw }: Brew): Component.Component =>
  Component.components[draw(Component.components.length)] as Component.Component

const on = (component: Component.Component, data: unknown): Dose => ({
  _tag: "Data",
  channel: Component.channels[component],
  data
})

/** A kind that nobody knows. */
const unknownKind: Recipe = (brew) => on(anyChannel(brew), [100 + brew.draw(1000), junk(brew)])

/** Honest frames, some of whose fields are spoilt; a few are still frames, and lie. */
const garbage: ReadonlyArray<Recipe> = [
  unknownKind,
  // Not even a list.
  (brew) => on(anyChannel(brew), junk(brew)),
  // A list that does not end.
  (brew) =>
    on(
      anyChannel(brew),
      Array.from({ length: 20_000 }, () => 0)
    ),
  // A known kind with fields that are none.
  (brew) => on("shuffler", [brew.draw(2), junk(brew), junk(brew), junk(brew), junk(brew)]),
  (brew) => on("lazy-push-repair", [brew.draw(2), junk(brew)]),
  (brew) => on("broadcast-tree", [1 + brew.draw(4), junk(brew)])
]

const noise = ({ draw }: Brew): ReadonlyArray<number> => Array.from({ length: 1 + draw(200) }, () => draw(256))

/** A frame by its length, whatever is in it. */
const framed = (content: ArrayLike<number>): Uint8Array => {
  const bytes = new Uint8Array(Frame.prefixBytes + content.length)
  Frame.put(bytes, 0, Uint8Array.from(content))
  return bytes
}

const spoiltBytes: ReadonlyArray<Recipe> = [
  (brew) => ({ _tag: "Bytes", bytes: Uint8Array.from(noise(brew)) }),
  // 0xc1 is no MessagePack.
  (brew) => ({ _tag: "Bytes", bytes: framed([0xc1, ...noise(brew)]) }),
  // Plain data, and no frame.
  (brew) => {
    const data = Pack.encode({ junk: junk(brew) })
    return { _tag: "Bytes", bytes: framed(data.ok ? data.value : []) }
  }
]

const oversize: ReadonlyArray<Recipe> = [
  ({ draw }) => {
    const bytes = new Uint8Array(Frame.prefixBytes + draw(100))
    new DataView(bytes.buffer).setUint32(0, Frame.frameBytesMax + 1 + draw(2 ** 31))
    return { _tag: "Bytes", bytes }
  }
]

const noChannel: ReadonlyArray<Recipe> = [
  (brew) => ({ _tag: "Data", channel: 1000 + brew.draw(60_000), data: junk(brew) })
]

/** What an honest member could say, and none has cause to. */
type Lie = (brew: Brew) => Wiring.Frame

const lie = (frame: Wiring.Frame): Dose => {
  const { encode } = Component.specs[frame.channel] as Component.Spec<Component.Component>
  return on(frame.channel, encode(frame.message as never))
}

const announcements: ReadonlyArray<Lie> = [
  (brew) => ({ channel: "lazy-push-repair", message: { _tag: "IHave", items: several(brew, 400, announcement) } }),
  (brew) => ({
    channel: "lazy-push-repair",
    message: {
      _tag: "Summary",
      windows: several(brew, 90, (brew) => {
        const { incarnation, origin, seq } = fiction(brew)
        return [origin, incarnation, [[seq, seq + brew.draw(1000)]]] as const
      })
    }
  })
]

const shuffles: ReadonlyArray<Lie> = [
  (brew) => ({
    channel: "shuffler",
    message: {
      _tag: "Shuffle",
      id: brew.draw(1000),
      origin: brew.draw(2) === 0 ? stranger(brew) : anybody(brew),
      list: several(brew, 8, stranger),
      ttl: brew.draw(7)
    }
  }),
  (brew) => ({
    channel: "shuffler",
    message: { _tag: "ShuffleReply", id: brew.draw(1000), list: several(brew, 8, stranger) }
  })
]

const walks: ReadonlyArray<Lie> = [
  (brew) => ({ channel: "view-manager", message: { _tag: "ForwardJoin", peer: stranger(brew), ttl: brew.draw(256) } }),
  (brew) => ({ channel: "view-manager", message: { _tag: "ForwardJoin", peer: anybody(brew), ttl: brew.draw(7) } })
]

const spoofs: ReadonlyArray<Lie> = [
  (brew) => ({ channel: "view-manager", message: { _tag: "Join", peer: anybody(brew) } }),
  (brew) => ({ channel: "view-manager", message: { _tag: "Join", peer: stranger(brew) } }),
  (brew) => ({
    channel: "view-manager",
    message: {
      _tag: "Neighbor",
      peer: anybody(brew),
      priority: (["high", "low", "split"] as const)[brew.draw(3)] ?? "low"
    }
  }),
  (brew) => ({
    channel: "view-manager",
    message: {
      _tag: "NeighborReply",
      accepted: brew.draw(2) === 0,
      sample: several(brew, 8, stranger),
      hinted: brew.draw(2) === 0
    }
  }),
  (brew) => ({
    channel: "view-manager",
    message: { _tag: "Disconnect", reason: "evicted", sample: several(brew, 8, stranger) }
  })
]

const grafts: ReadonlyArray<Lie> = [
  (brew) => ({ channel: "broadcast-tree", message: { _tag: "Graft", ids: several(brew, 90, fiction) } }),
  (brew) => ({ channel: "broadcast-tree", message: { _tag: "GraftMiss", ids: several(brew, 90, fiction) } }),
  (brew) => ({ channel: "broadcast-tree", message: { _tag: "Prune", root: anybody(brew).id } }),
  (brew) => ({ channel: "broadcast-tree", message: { _tag: "Prune", root: nobody(brew) } }),
  (brew) => ({ channel: "broadcast-tree", message: { _tag: "Adopt", root: anybody(brew).id } })
]

const lies = (kinds: ReadonlyArray<Lie>): ReadonlyArray<Recipe> => kinds.map((kind) => (brew) => lie(kind(brew)))

const recipes: Readonly<Record<Poison, ReadonlyArray<Recipe>>> = {
  garbage,
  announcements: lies(announcements),
  shuffles: lies(shuffles),
  walks: lies(walks),
  spoofs: lies(spoofs),
  grafts: lies(grafts),
  kinds: [unknownKind],
  channels: noChannel,
  bytes: spoiltBytes,
  oversize
}
