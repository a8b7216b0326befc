/**
 * Frames that no honest member sends, by a seed: for `Poison` of a plan.
 *
 * What they may do is use up time and place within the bounds that members have, and no more. So none of them is a forged
 * broadcast of a member that exists, or accuses one: against a member that lies about others nothing here is armed.
 */
import type { LazyPushRepair, MessageId } from "@starling/gossip"
import { type NodeId, type Peer, Rng } from "@starling/machine"
import { Component, type Wiring } from "@starling/member"
import * as MemberFleet from "../MemberFleet.ts"
import type { Poison } from "../Plan.ts"

/** Of each kind so many at once; our choice, and more of what is cheap. */
const frames = 20

interface Brew {
  readonly members: ReadonlyArray<Peer.Peer>
  readonly draw: (bound: number) => number
}

/** `members`: who there is, for those who act in the name of others. */
export const brew = (what: Poison, seed: number, members: ReadonlyArray<Peer.Peer>): ReadonlyArray<Wiring.Frame> => {
  let rng = Rng.make(`${seed}/poison`)
  const draw = (bound: number): number => {
    const [value, next] = Rng.nextInt(rng, bound)
    rng = next
    return value
  }
  const kinds = recipes[what]
  const made = Array.from({ length: frames }, () => kinds[draw(kinds.length)]?.({ members, draw }))
  return made.filter((frame) => frame !== undefined)
}

type Recipe = (brew: Brew) => Wiring.Frame | undefined

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

/** Honest frames, some of whose fields are spoilt; those that are still frames but lie are left out. */
const garbage: ReadonlyArray<Recipe> = [
  // A kind that nobody knows.
  (brew) => MemberFleet.decoded(anyChannel(brew), [100 + brew.draw(1000), junk(brew)]),
  // Not even a list.
  (brew) => MemberFleet.decoded(anyChannel(brew), junk(brew)),
  // A list that does not end.
  (brew) =>
    MemberFleet.decoded(
      anyChannel(brew),
      Array.from({ length: 20_000 }, () => 0)
    ),
  // A known kind with fields that are none.
  (brew) => MemberFleet.decoded("shuffler", [brew.draw(2), junk(brew), junk(brew), junk(brew), junk(brew)]),
  (brew) => MemberFleet.decoded("lazy-push-repair", [brew.draw(2), junk(brew)]),
  (brew) => MemberFleet.decoded("broadcast-tree", [1 + brew.draw(4), junk(brew)])
]

const announcements: ReadonlyArray<Recipe> = [
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

const shuffles: ReadonlyArray<Recipe> = [
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

const walks: ReadonlyArray<Recipe> = [
  (brew) => ({ channel: "view-manager", message: { _tag: "ForwardJoin", peer: stranger(brew), ttl: brew.draw(256) } }),
  (brew) => ({ channel: "view-manager", message: { _tag: "ForwardJoin", peer: anybody(brew), ttl: brew.draw(7) } })
]

const spoofs: ReadonlyArray<Recipe> = [
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

const grafts: ReadonlyArray<Recipe> = [
  (brew) => ({ channel: "broadcast-tree", message: { _tag: "Graft", ids: several(brew, 90, fiction) } }),
  (brew) => ({ channel: "broadcast-tree", message: { _tag: "GraftMiss", ids: several(brew, 90, fiction) } }),
  (brew) => ({ channel: "broadcast-tree", message: { _tag: "Prune", root: anybody(brew).id } }),
  (brew) => ({ channel: "broadcast-tree", message: { _tag: "Prune", root: nobody(brew) } }),
  (brew) => ({ channel: "broadcast-tree", message: { _tag: "Adopt", root: anybody(brew).id } })
]

const recipes: Readonly<Record<Poison, ReadonlyArray<Recipe>>> = {
  garbage,
  announcements,
  shuffles,
  walks,
  spoofs,
  grafts
}
