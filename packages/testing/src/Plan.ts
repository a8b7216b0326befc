/**
 * A trial of a fleet as data: who joins when, what goes wrong, what is asked of the members, and from when on it is quiet.
 *
 * A plan is JSON. It can be written by hand, made by an arbitrary (`Arbitraries.plan`), shrunk (`Shrink.plan`) and kept in a
 * file; `Trial.run` plays it. Members are numbered from 0. Every part of a plan is a plan: at `quietAtMs` everything that
 * still goes wrong is mended, and whoever is down and not among the `gone` is started again, so that what must be true
 * in the end does not hang on a fault that somebody took out of the list.
 *
 * @since 0.1.0
 */
import type { Component, Member } from "@starling/member"
import type { Fault } from "@starling/sim"
import * as Schema from "effect/Schema"
import * as Result from "effect/Result"
import * as Faults from "./internal/faultSchema.ts"

/**
 * What is asked of members, or done to their components.
 *
 * - `Broadcast`: so many application broadcasts at once.
 * - `SetConfig`: a key of the fleet's configuration.
 * - `Leave`: says goodbye and ends, as `Agent.leave` does.
 * - `Fail`: a component crashes, the next time it gets to that point.
 * - `Poison`: see `Poisoning`.
 *
 * @since 0.1.0
 * @category models
 */
export type Deed =
  | { readonly _tag: "Broadcast"; readonly member: number; readonly count: number }
  | { readonly _tag: "SetConfig"; readonly member: number; readonly key: string }
  | { readonly _tag: "Leave"; readonly member: number }
  | {
      readonly _tag: "Fail"
      readonly member: number
      readonly component: Component.Component
      readonly at: Member.CrashPoint
    }
  | Poisoning<number>

/**
 * `from` sends `to`, or another one that it has a link to, what no honest member sends: a few of `what`, by the seed. The same
 * befalls whole agents (`AgentFaults`), whose nodes have names.
 *
 * @since 0.1.0
 * @category models
 */
export interface Poisoning<Node> {
  readonly _tag: "Poison"
  readonly from: Node
  readonly to: Node
  readonly what: Poison
  readonly seed: number
}

/**
 * What a faulty or hostile member sends. What cannot be read ends the link, at the receiver, for a `violation`; but a kind of
 * frame that nobody knows is dropped, since a later version may say more. Of what mixes, frames and what is dropped come first,
 * and one that cannot be read last: what is behind it would be in vain.
 *
 * - `garbage`: frames that are none: of unknown kinds, with fields missing, of the wrong type, without end.
 * - `announcements`: of broadcasts that do not exist.
 * - `shuffles`: with nodes that do not exist, from origins that do not exist.
 * - `walks`: of joins of nodes that do not exist, with far too many hops to go; of some, with more than a frame may say.
 * - `spoofs`: joins, requests and answers in the name of another member.
 * - `grafts`: requests for broadcasts that do not exist, denials and prunes that nobody asked for.
 * - `kinds`: frames of kinds that nobody knows.
 * - `channels`: frames on channels that do not exist.
 * - `bytes`: noise, with and without an honest length before it.
 * - `oversize`: the length of a frame that nobody takes.
 *
 * @since 0.1.0
 * @category models
 */
export type Poison = (typeof poisons)[number] | (typeof spoilt)[number]

/** What plans are drawn from. @since 0.1.0 */
export const poisons = ["garbage", "announcements", "shuffles", "walks", "spoofs", "grafts"] as const

/** What differs for whole agents only: a member sees no more of these than of `garbage`. @since 0.1.0 */
export const spoilt = ["kinds", "channels", "bytes", "oversize"] as const

/** @since 0.1.0 @category models */
export interface Plan {
  /** Of all chance that is left: latencies, jitter, disks, and which component moves next. */
  readonly seed: number
  /** `interleaved`: one move at a time, as actors do. */
  readonly mode: Member.Config["mode"]
  /** `near`: 10 to 50 ms between members. `wide`: member by member in the next of nineteen regions. */
  readonly terrain: "near" | "wide"
  /** How many of the first members the others join at. */
  readonly contacts: number
  readonly datacenters: number
  readonly members: ReadonlyArray<{ readonly member: number; readonly joinAtMs: number }>
  /** Numbers from `Plan.twins` on are twins. */
  readonly faults: Fault.Scenario<number>
  readonly deeds: ReadonlyArray<{ readonly atMs: number; readonly deed: Deed }>
  /** Who may be down in the end. */
  readonly gone: ReadonlyArray<number>
  readonly quietAtMs: number
}

/** Members have lower numbers, and twins these. @since 0.1.0 */
export const twins = 100_000

/** What a plan may hold at most; our choice, far above what a run of seconds has. @since 0.1.0 */
export const bounds = { members: 10_000, faults: 100_000, deeds: 100_000, quietAtMs: 86_400_000 } as const

/** A plan without anything that happens to some of its members. @since 0.1.0 */
export const deedMembers = (deed: Deed): ReadonlyArray<number> =>
  deed._tag === "Poison" ? [deed.from, deed.to] : [deed.member]

// ---------------------------------------------------------------------------------------------------------------------
// As text
// ---------------------------------------------------------------------------------------------------------------------

/** As a file keeps it. @since 0.1.0 */
export const toText = (plan: Plan): string => `${JSON.stringify(plan, undefined, 1)}\n`

/** The plan that plain data are, or what is wrong with them and where. @since 0.1.0 */
export const decode = (input: unknown): Result.Result<Plan, string> =>
  Result.mapError(decodePlan(input), (error) => String(error.message))

const count = (max: number) => Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: max }))
const member = count(2 * twins)
const members = Schema.Array(member)
const atMs = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: bounds.quietAtMs }))

/** For nodes as a file names them. @since 0.1.0 */
export const poisoning = <Node extends Schema.Top>(node: Node) =>
  Schema.TaggedStruct("Poison", {
    from: node,
    to: node,
    what: Schema.Literals([...poisons, ...spoilt]),
    seed: Schema.Int
  })

const DeedSchema = Schema.Union([
  Schema.TaggedStruct("Broadcast", { member, count: count(1000) }),
  Schema.TaggedStruct("SetConfig", { member, key: Schema.String }),
  Schema.TaggedStruct("Leave", { member }),
  Schema.TaggedStruct("Fail", {
    member,
    component: Schema.Literals(["view-manager", "shuffler", "broadcast-tree", "lazy-push-repair", "clock", "facts"]),
    at: Schema.Literals(["before", "committed", "acting"])
  }),
  poisoning(member)
])

/** `S` when its type and `A` are the same type, else nothing: a field that is missing here or there does not build. */
type Describes<A, S extends Schema.Constraint> = [S["Type"]] extends [A] ? ([A] extends [S["Type"]] ? S : never) : never

const describes =
  <A>() =>
  <S extends Schema.Constraint>(schema: S & Describes<A, S>): S =>
    schema

const decodePlan = Schema.decodeUnknownResult(
  describes<Plan>()(
    Schema.Struct({
      seed: Schema.Int,
      mode: Schema.Literals(["interleaved", "run-to-completion"]),
      terrain: Schema.Literals(["near", "wide"]),
      contacts: count(bounds.members),
      datacenters: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: bounds.members })),
      members: Schema.Array(Schema.Struct({ member, joinAtMs: atMs })).check(
        Schema.isMinLength(1),
        Schema.isMaxLength(bounds.members)
      ),
      faults: Schema.Array(Schema.Struct({ atMs, fault: Faults.schema(member, atMs) })).check(
        Schema.isMaxLength(bounds.faults)
      ),
      deeds: Schema.Array(Schema.Struct({ atMs, deed: DeedSchema })).check(Schema.isMaxLength(bounds.deeds)),
      gone: members,
      quietAtMs: atMs
    })
  )
)
