/**
 * fast-check arbitraries for what goes wrong: single misfortunes and mixtures of them for the nodes of any world, and whole
 * plans for fleets of members.
 *
 * Whatever is generated begins and ends within its span, so that after it one may ask for what must be true in the end.
 *
 * ```ts
 * const faults = Arbitraries.faults({ nodes: ["a", "b", "c"], fromMs: 1000, untilMs: 20_000 })
 * fc.assert(fc.property(fc.nat(), faults, (seed, faults) => isWell(play(seed, faults))))
 * ```
 *
 * @since 0.1.0
 */
import type { NodeId } from "@starling/machine"
import { Component } from "@starling/member"
import { Fault, World } from "@starling/sim"
import * as fc from "fast-check"
import * as Plan from "./Plan.ts"

/** Kinds of misfortunes: each is a few faults that belong together. @since 0.1.0 */
export const kinds = [
  "outage",
  "quickRestart",
  "lostDisk",
  "massCrash",
  "blackout",
  "rollingRestart",
  "partition",
  "datacenter",
  "oneWay",
  "estranged",
  "flap",
  "reset",
  "midFrame",
  "halfOpen",
  "slowLinks",
  "loss",
  "heavyTail",
  "tornLinks",
  "duplicates",
  "stall",
  "slowNode",
  "disk",
  "clockJump",
  "clockDrift",
  "addresses",
  "twin"
] as const

/** @since 0.1.0 @category models */
export type Kind = (typeof kinds)[number]

/**
 * What misfortunes may befall, and when.
 *
 * - `kinds`: only these. Default: all but `duplicates` and `twin`, which a real transport and a well-kept fleet do not have.
 * - `groups`: data centres, which may be cut off as a whole. Default: two halves.
 * - `mortal`: who may go down for good. Default: nobody.
 *
 * @since 0.1.0
 * @category models
 */
export interface Around<N> {
  readonly nodes: ReadonlyArray<N>
  readonly fromMs: number
  readonly untilMs: number
  readonly kinds?: ReadonlyArray<Kind>
  readonly groups?: ReadonlyArray<ReadonlyArray<N>>
  readonly mortal?: ReadonlyArray<N>
  /** Names of twins, with their addresses. Default: none, and so no twins. */
  readonly twins?: ReadonlyArray<{ readonly twin: N; readonly address: string }>
}

const kindsDefault = kinds.filter((kind) => kind !== "duplicates" && kind !== "twin")

/** Several misfortunes, at the same time or one after the other. @since 0.1.0 @category arbitraries */
export const faults = <N>(
  around: Around<N>,
  { maxLength = 8 }: { readonly maxLength?: number } = {}
): fc.Arbitrary<Fault.Scenario<N>> =>
  fc
    .array(fc.oneof(...(around.kinds ?? kindsDefault).map((kind) => misfortune(kind, around))), {
      maxLength,
      size: "max"
    })
    .map((scenarios) => scenarios.flat())

/** One misfortune of a kind, with its end. @since 0.1.0 @category arbitraries */
export const misfortune = <N>(kind: Kind, around: Around<N>): fc.Arbitrary<Fault.Scenario<N>> => {
  const { nodes } = around
  const node = fc.constantFrom(...nodes)
  const some = fc.subarray([...nodes], { minLength: 1 })
  const within = (min: number, max: number) => span(around, min, max)
  switch (kind) {
    case "outage":
      return fc.tuple(node, within(500, 20_000), how).map(([n, at, how]) => Fault.outage(n, at, { how }))
    case "quickRestart":
      return fc.tuple(node, within(0, 50), how).map(([n, at, how]) => Fault.outage(n, at, { how }))
    case "lostDisk":
      return fc.tuple(node, within(0, 15_000), how).map(([n, at, how]) => Fault.outage(n, at, { how, disk: "lost" }))
    case "massCrash": {
      const { mortal = [] } = around
      if (mortal.length === 0) return fc.constant([])
      return fc
        .tuple(fc.subarray([...mortal], { minLength: 1 }), within(0, 0), how)
        .map(([victims, { fromMs }, how]) => Fault.massCrash(victims, fromMs, how))
    }
    case "blackout":
      return fc
        .tuple(some, within(100, 15_000), how)
        .map(([some, at, how]) => some.flatMap((node) => Fault.outage(node, at, { how })))
    case "rollingRestart":
      return fc
        .tuple(some, within(500, 15_000), fc.double({ min: 0.05, max: 1, noNaN: true }))
        .map(([some, { forMs, fromMs }, share]) => {
          const everyMs = forMs / some.length
          return Fault.rollingRestart(some, { fromMs, everyMs, downMs: everyMs * share })
        })
    case "partition":
      return fc
        .tuple(some, within(100, 20_000))
        .map(([some, at]) => Fault.partition([some, nodes.filter((n) => !some.includes(n))], at))
    case "datacenter": {
      const groups = around.groups ?? [
        nodes.slice(0, Math.ceil(nodes.length / 2)),
        nodes.slice(Math.ceil(nodes.length / 2))
      ]
      return fc
        .tuple(fc.constantFrom(...groups), within(100, 20_000))
        .map(([group, at]) => Fault.partition([group, nodes.filter((n) => !group.includes(n))], at))
    }
    case "oneWay":
      return fc.tuple(some, some, within(100, 15_000)).map(([a, b, at]) => Fault.estrange(a, b, at, "there"))
    case "estranged":
      return fc.tuple(node, some, within(100, 15_000)).map(([n, others, at]) => Fault.estrange([n], others, at))
    case "flap":
      return fc
        .tuple(
          some,
          some,
          within(1000, 15_000),
          fc.integer({ min: 2, max: 10 }),
          fc.double({ min: 0.1, max: 0.9, noNaN: true })
        )
        .map(([a, b, { forMs, fromMs }, times, share]) => {
          const everyMs = forMs / times
          return Fault.flap(a, b, { fromMs, times, downMs: everyMs * share, upMs: everyMs * (1 - share) })
        })
    case "reset":
    case "midFrame":
      return fc
        .tuple(node, fc.option(node), within(0, 0))
        .map(([n, other, { fromMs }]) =>
          Fault.at(fromMs, Fault.resetLinks(n, other, kind === "reset" ? "arrives" : "lost"))
        )
    case "halfOpen":
      return fc
        .tuple(node, fc.option(node), within(0, 0), fc.constantFrom("told" as const, "nobody" as const))
        .map(([n, other, { fromMs }, who]) => Fault.at(fromMs, Fault.halfOpen(n, other, who)))
    case "slowLinks":
    case "loss":
    case "heavyTail":
    case "tornLinks":
    case "duplicates":
      return fc
        .tuple(some, some, weathers[kind], within(500, 20_000), direction)
        .map(([a, b, weather, at, direction]) => Fault.storm(a, b, weather, at, direction))
    case "stall":
      return fc
        .tuple(node, within(100, 30_000))
        .map(([n, { forMs, fromMs }]) => Fault.stutter(n, { fromMs, times: 1, stopMs: forMs, runMs: 0 }))
    case "slowNode":
      return fc
        .tuple(
          node,
          within(1000, 15_000),
          fc.integer({ min: 2, max: 20 }),
          fc.double({ min: 0.1, max: 0.9, noNaN: true })
        )
        .map(([n, { forMs, fromMs }, times, share]) => {
          const everyMs = forMs / times
          return Fault.stutter(n, { fromMs, times, stopMs: everyMs * share, runMs: everyMs * (1 - share) })
        })
    case "disk":
      return fc
        .tuple(node, within(100, 10_000))
        .map(([n, { forMs, fromMs }]) => Fault.at(fromMs, Fault.stallDisk(n, forMs)))
    case "clockJump":
      return fc
        .tuple(node, within(0, 10_000), fc.integer({ min: -jumpMsMax, max: jumpMsMax }), fc.boolean())
        .map(([n, { forMs, fromMs }, byMs, isMended]) =>
          Fault.at(fromMs, Fault.shiftClock(n, byMs)).concat(
            // Not `-byMs`: no file keeps a negative zero.
            isMended ? Fault.at(fromMs + forMs, Fault.shiftClock(n, 0 - byMs)) : []
          )
        )
    case "clockDrift":
      return fc
        .tuple(node, within(1000, 20_000), fc.constantFrom(-1_000_000, -500_000, -200, 200, 500_000, 1_000_000))
        .map(([n, { forMs, fromMs }, ppm]) =>
          Fault.at(fromMs, Fault.setDrift(n, ppm)).concat(Fault.at(fromMs + forMs, Fault.setDrift(n, 0)))
        )
    case "addresses":
      return fc.tuple(node, node, within(0, 10_000)).map(([a, b, at]) => Fault.exchangeAddresses(a, b, at))
    case "twin": {
      const { twins = [] } = around
      if (twins.length === 0) return fc.constant([])
      return fc.tuple(node, fc.constantFrom(...twins), within(100, 10_000)).map(([n, as, at]) => Fault.haunt(n, as, at))
    }
  }
}

/** An hour: beyond every bound on skew, and within what a clock may show. */
const jumpMsMax = 3_600_000

const how = fc.constantFrom("reset" as const, "silent" as const)
const direction = fc.constantFrom("both" as const, "there" as const)
const share = (max: number) => fc.double({ min: max / 50, max, noNaN: true })

const weathers: Readonly<
  Record<"slowLinks" | "loss" | "heavyTail" | "tornLinks" | "duplicates", fc.Arbitrary<Partial<World.Weather>>>
> = {
  slowLinks: fc.record({ delayMs: fc.integer({ min: 50, max: 2000 }), jitterMs: fc.nat(500) }),
  loss: fc.record({ lossShare: share(0.3) }),
  heavyTail: fc.record({ tailMs: fc.integer({ min: 5, max: 200 }) }),
  tornLinks: fc.record({ resetShare: share(0.05) }),
  duplicates: fc.record({ duplicateShare: share(0.5) })
}

/** Begins and ends within the span, on whole milliseconds. */
const span = <N>({ fromMs, untilMs }: Around<N>, min: number, max: number): fc.Arbitrary<Fault.Span> => {
  const room = Math.max(0, untilMs - fromMs)
  return fc
    .tuple(fc.nat(room), fc.integer({ min: Math.min(min, room), max: Math.min(max, room) }))
    .map(([at, length]) => {
      const forMs = Math.min(length, room)
      return { fromMs: fromMs + Math.min(at, room - forMs), forMs }
    })
}

// ---------------------------------------------------------------------------------------------------------------------
// Commands
// ---------------------------------------------------------------------------------------------------------------------

/**
 * What a world is put through by `commands`, and what must be true of it after each.
 *
 * - `passMsMax`: time that passes at most between two faults.
 * - `holds`: throws if something is broken. The model is the test's own.
 *
 * @since 0.1.0
 * @category models
 */
export interface Ordeal<P extends World.Protocol, Model extends object> {
  readonly nodes: ReadonlyArray<NodeId.NodeId>
  readonly kinds?: ReadonlyArray<Kind>
  readonly passMsMax: number
  readonly holds: (world: World.World<P>, model: Model) => void
}

/**
 * For `fc.commands`, beside those of the test itself: a fault that happens now, time that passes, and the end of all faults.
 * Where a property takes a list of faults with their times, these let what comes next depend on what has come of it.
 *
 * @since 0.1.0
 * @category arbitraries
 */
export const commands = <P extends World.Protocol, Model extends object>({
  holds,
  kinds: only,
  nodes,
  passMsMax
}: Ordeal<P, Model>): Array<fc.Arbitrary<fc.Command<Model, World.World<P>>>> => {
  const command = (name: string, change: (world: World.World<P>) => void): fc.Command<Model, World.World<P>> => ({
    check: () => true,
    run: (model, world) => {
      change(world)
      holds(world, model)
    },
    toString: () => name
  })
  // Of those that need mortals or twins there is none here.
  const possible = (only ?? kindsDefault).filter((kind) => kind !== "massCrash" && kind !== "twin")
  const around: Around<NodeId.NodeId> = { nodes, fromMs: 0, untilMs: 60_000, kinds: possible }
  return [
    faults(around, { maxLength: 1 })
      .filter((scenario) => scenario.length > 0)
      .map(([first]) => {
        const fault = first?.fault ?? Fault.healAll
        return command(JSON.stringify(fault), (world) => Fault.apply(world, fault))
      }),
    fc.integer({ min: 1, max: passMsMax }).map((ms) => command(`${ms} ms pass`, (world) => World.pass(world, ms))),
    fc.constant(command("all is mended", (world) => mend(world)))
  ]
}

/** Ends all that goes wrong: whoever is down or stopped goes on, and every link is as ever. @since 0.1.0 */
export const mend = <P extends World.Protocol>(world: World.World<P>): void => {
  World.healAll(world)
  World.clearAllWeather(world)
  for (const id of World.ids(world)) {
    World.resume(world, id)
    World.setDrift(world, id, 0)
    World.restart(world, id)
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Plans
// ---------------------------------------------------------------------------------------------------------------------

/** @since 0.1.0 @category models */
export interface PlanOptions {
  /** Members at most; at least 2. */
  readonly size: number
  /** Misfortunes at most. Default 8. */
  readonly misfortunes?: number
  readonly kinds?: ReadonlyArray<Kind>
}

/** Everything happens within so long, the first joins included; our choice, some silences and shuffles. */
const busyMsMax = 30_000

/** Addresses that no member has. */
const ghosts = [0, 1].map((n) => ({ twin: Plan.twins + n, address: `10.255.0.${n}:7740` }))

/**
 * A fleet that joins one by one or all at once, is asked for broadcasts and configuration all the while, and has
 * misfortunes, failing components, goodbyes and poisoned frames. Member 0 is a contact and is there in the end.
 *
 * @since 0.1.0
 * @category arbitraries
 */
export const plan = ({ kinds: only = kinds, misfortunes = 8, size }: PlanOptions): fc.Arbitrary<Plan.Plan> =>
  fc.integer({ min: 2, max: Math.max(2, size) }).chain((count) => {
    const members = Array.from({ length: count }, (_, index) => index)
    const datacenters = fc.integer({ min: 1, max: 4 })
    return fc
      .record({
        seed: fc.nat(),
        mode: fc.constantFrom("interleaved" as const, "run-to-completion" as const),
        terrain: fc.constantFrom("near" as const, "wide" as const),
        contacts: fc.integer({ min: 1, max: Math.min(3, count) }),
        datacenters,
        joinEveryMs: fc.constantFrom(0, 0, 1, 20, 100, 500),
        mortal: fc.oneof(fc.constant([]), fc.subarray(members.slice(1))),
        busyMs: fc.integer({ min: 2000, max: busyMsMax })
      })
      .chain(({ busyMs, contacts, datacenters, joinEveryMs, mode, mortal, seed, terrain }) => {
        const joins = members.map((member) => ({ member, joinAtMs: Math.min(member * joinEveryMs, busyMs) }))
        return fc
          .record({
            faults: faults(
              {
                nodes: members,
                fromMs: 0,
                untilMs: busyMs,
                kinds: only,
                mortal,
                twins: ghosts,
                groups: Array.from({ length: datacenters }, (_, dc) =>
                  members.filter((n) => n % datacenters === dc)
                ).filter((group) => group.length > 0)
              },
              { maxLength: misfortunes }
            ),
            deeds: fc.array(fc.record({ atMs: fc.nat(busyMs), deed: deed(members, mortal) }), {
              maxLength: 24,
              size: "max"
            })
          })
          .map(({ deeds, faults }): Plan.Plan => ({
            seed,
            mode,
            terrain,
            contacts,
            datacenters,
            members: joins,
            faults: faults.toSorted((a, b) => a.atMs - b.atMs),
            deeds: deeds.toSorted((a, b) => a.atMs - b.atMs),
            gone: mortal,
            quietAtMs: busyMs + 500
          }))
      })
  })

/** Mostly broadcasts, of which everything else must not lose any. */
const deed = (members: ReadonlyArray<number>, mortal: ReadonlyArray<number>): fc.Arbitrary<Plan.Deed> => {
  const member = fc.constantFrom(...members)
  const broadcast = fc.record({
    _tag: fc.constant("Broadcast" as const),
    member,
    count: fc.constantFrom(1, 1, 1, 10, 100)
  })
  const leave =
    mortal.length === 0
      ? broadcast
      : fc.record({ _tag: fc.constant("Leave" as const), member: fc.constantFrom(...mortal) })
  return fc.oneof(
    { weight: 8, arbitrary: broadcast },
    {
      weight: 2,
      arbitrary: fc.record({
        _tag: fc.constant("SetConfig" as const),
        member,
        key: fc.constantFrom("a", "b", "a/b")
      })
    },
    { weight: 1, arbitrary: leave },
    {
      weight: 3,
      arbitrary: fc.record({
        _tag: fc.constant("Fail" as const),
        member,
        component: fc.constantFrom(...Component.components),
        at: fc.constantFrom("before" as const, "committed" as const, "acting" as const)
      })
    },
    {
      weight: 2,
      arbitrary: fc.record({
        _tag: fc.constant("Poison" as const),
        from: member,
        to: member,
        what: fc.constantFrom(...Plan.poisons),
        seed: fc.nat()
      })
    }
  )
}

/**
 * What an arbitrary makes of a seed: the same for the same seed and the same version of fast-check. Every other seed prefers
 * what is small or extreme. A scenario that is to be kept is kept as data.
 *
 * @since 0.1.0
 */
export const sample = <A>(arbitrary: fc.Arbitrary<A>, seed: number): A =>
  fc.sample(arbitrary, { seed, numRuns: 1, unbiased: seed % 2 === 1 })[0] as A
