/**
 * What can go wrong in a world, as data: so that a scenario can be written down, generated from a seed, shrunk and kept
 * as a regression.
 *
 * ```ts
 * Fault.schedule(world, [
 *   ...Fault.at(5_000, Fault.crash(a), Fault.cut([b], [c, d])),
 *   ...Fault.at(9_000, Fault.restart(a), Fault.healAll)
 * ])
 * ```
 *
 * @since 0.1.0
 */
import type { NodeId } from "@starling/machine"
import * as World from "./World.ts"

/** One fault, or its end. Crashing what is down and starting what runs changes nothing. @since 0.1.0 @category models */
export type Fault =
  | { readonly _tag: "Crash"; readonly node: NodeId.NodeId; readonly how: "reset" | "silent" }
  | { readonly _tag: "Restart"; readonly node: NodeId.NodeId; readonly disk: "kept" | "lost" }
  | {
      readonly _tag: "Cut"
      readonly some: ReadonlyArray<NodeId.NodeId>
      readonly others: ReadonlyArray<NodeId.NodeId>
      readonly direction: "both" | "there"
    }
  | {
      readonly _tag: "Heal"
      readonly some: ReadonlyArray<NodeId.NodeId>
      readonly others: ReadonlyArray<NodeId.NodeId>
    }
  | { readonly _tag: "HealAll" }
  | { readonly _tag: "ResetLinks"; readonly node: NodeId.NodeId; readonly other: NodeId.NodeId | undefined }
  | { readonly _tag: "Pause"; readonly node: NodeId.NodeId }
  | { readonly _tag: "Resume"; readonly node: NodeId.NodeId }
  | { readonly _tag: "StallDisk"; readonly node: NodeId.NodeId; readonly ms: number }
  | { readonly _tag: "SetSkew"; readonly node: NodeId.NodeId; readonly skewMs: number }

/** Faults with their virtual times; any order, and joined as lists are. @since 0.1.0 @category models */
export type Scenario = ReadonlyArray<{ readonly atMs: number; readonly fault: Fault }>

/** @since 0.1.0 @category constructors */
export const crash = (node: NodeId.NodeId, how: "reset" | "silent" = "reset"): Fault => ({ _tag: "Crash", node, how })

/** @since 0.1.0 @category constructors */
export const restart = (node: NodeId.NodeId, disk: "kept" | "lost" = "kept"): Fault => ({ _tag: "Restart", node, disk })

/** @since 0.1.0 @category constructors */
export const cut = (
  some: ReadonlyArray<NodeId.NodeId>,
  others: ReadonlyArray<NodeId.NodeId>,
  direction: "both" | "there" = "both"
): Fault => ({ _tag: "Cut", some, others, direction })

/** @since 0.1.0 @category constructors */
export const heal = (some: ReadonlyArray<NodeId.NodeId>, others: ReadonlyArray<NodeId.NodeId>): Fault => ({
  _tag: "Heal",
  some,
  others
})

/** @since 0.1.0 @category constructors */
export const healAll: Fault = { _tag: "HealAll" }

/** @since 0.1.0 @category constructors */
export const resetLinks = (node: NodeId.NodeId, other?: NodeId.NodeId): Fault => ({ _tag: "ResetLinks", node, other })

/** @since 0.1.0 @category constructors */
export const pause = (node: NodeId.NodeId): Fault => ({ _tag: "Pause", node })

/** @since 0.1.0 @category constructors */
export const resume = (node: NodeId.NodeId): Fault => ({ _tag: "Resume", node })

/** @since 0.1.0 @category constructors */
export const stallDisk = (node: NodeId.NodeId, ms: number): Fault => ({ _tag: "StallDisk", node, ms })

/** @since 0.1.0 @category constructors */
export const setSkew = (node: NodeId.NodeId, skewMs: number): Fault => ({ _tag: "SetSkew", node, skewMs })

/** Several faults at one time. @since 0.1.0 @category constructors */
export const at = (atMs: number, ...faults: ReadonlyArray<Fault>): Scenario => faults.map((fault) => ({ atMs, fault }))

/** The same, later. @since 0.1.0 */
export const shift = (scenario: Scenario, ms: number): Scenario =>
  scenario.map(({ atMs, fault }) => ({ atMs: atMs + ms, fault }))

/** Lets a fault happen now. @since 0.1.0 */
export const apply = <P extends World.Protocol>(world: World.World<P>, fault: Fault): void => {
  switch (fault._tag) {
    case "Crash":
      World.crash(world, fault.node, fault.how)
      break
    case "Restart":
      World.restart(world, fault.node, { disk: fault.disk })
      break
    case "Cut":
      World.cut(world, fault.some, fault.others, fault.direction)
      break
    case "Heal":
      World.heal(world, fault.some, fault.others)
      break
    case "HealAll":
      World.healAll(world)
      break
    case "ResetLinks":
      World.resetLinks(world, fault.node, fault.other)
      break
    case "Pause":
      World.pause(world, fault.node)
      break
    case "Resume":
      World.resume(world, fault.node)
      break
    case "StallDisk":
      World.stallDisk(world, fault.node, fault.ms)
      break
    case "SetSkew":
      World.setSkew(world, fault.node, fault.skewMs)
      break
  }
}

/** Lets every fault happen at its time; one whose time is past happens at once. @since 0.1.0 */
export const schedule = <P extends World.Protocol>(world: World.World<P>, scenario: Scenario): void => {
  for (const { atMs, fault } of scenario) World.at(world, atMs, () => apply(world, fault))
}
