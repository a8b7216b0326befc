/**
 * Makes what fails small, by trying parts of it: fewer nodes, fewer faults, less time.
 *
 * `list` is delta debugging (Zeller, Hildebrandt: "Simplifying and Isolating Failure-Inducing Input", IEEE TSE 2002): it
 * takes away halves, then quarters and so on, for as long as what is left still fails; in the end no single item can go.
 * A scenario of `Fault` is such a list, and so fits any world.
 *
 * ```ts
 * const small = Shrink.list(scenario, (part) => play(seed, part).broken.length > 0)
 * ```
 *
 * @since 0.1.0
 */
import { Fault } from "@starling/sim"
import * as Plan from "./Plan.ts"

/**
 * A part of the items that fails, of which none can be left out. What is passed must fail.
 *
 * @since 0.1.0
 */
export const list = <A>(items: ReadonlyArray<A>, fails: (items: ReadonlyArray<A>) => boolean): ReadonlyArray<A> => {
  let left = items
  let size = Math.ceil(left.length / 2)
  while (size >= 1 && left.length > 0) {
    const smaller = without(left, size, fails)
    if (smaller !== undefined) {
      left = smaller
      size = Math.min(size, Math.ceil(left.length / 2))
    } else if (size === 1) break
    else size = Math.ceil(size / 2)
  }
  return left
}

/** The first part without a stretch of this size that fails. Later stretches first: what comes late is seldom the cause. */
const without = <A>(
  items: ReadonlyArray<A>,
  size: number,
  fails: (items: ReadonlyArray<A>) => boolean
): ReadonlyArray<A> | undefined => {
  for (let end = items.length; end > 0; end -= size) {
    const part = items.slice(0, Math.max(0, end - size)).concat(items.slice(end))
    if (fails(part)) return part
  }
  return undefined
}

/**
 * A smaller plan that fails, too: fewer deeds, faults and members, groups with fewer members in them, an earlier end, and the
 * plainer way of stepping. What is passed must fail. It tries at most `triesMax` plans (default 500) for as long as
 * `goOn` says.
 *
 * @since 0.1.0
 */
export const plan = (
  failing: Plan.Plan,
  fails: (plan: Plan.Plan) => boolean,
  { goOn = () => true, triesMax = 500 }: { readonly triesMax?: number; readonly goOn?: () => boolean } = {}
): Plan.Plan => {
  let tries = 0
  const stillFails = (plan: Plan.Plan): boolean => {
    if (tries >= triesMax || !goOn()) return false
    tries++
    return fails(plan)
  }
  let best = failing
  for (let before = ""; before !== JSON.stringify(best);) {
    before = JSON.stringify(best)
    for (const shrink of shrinks) best = shrink(best, stillFails)
  }
  return best
}

type Shrinker = (plan: Plan.Plan, fails: (plan: Plan.Plan) => boolean) => Plan.Plan

const deeds: Shrinker = (plan, fails) => ({ ...plan, deeds: list(plan.deeds, (deeds) => fails({ ...plan, deeds })) })

const faults: Shrinker = (plan, fails) => ({
  ...plan,
  faults: list(plan.faults, (faults) => fails({ ...plan, faults }))
})

/** Member 0 is a contact; without one there is no fleet. */
const members: Shrinker = (plan, fails) => {
  const [first, ...others] = plan.members
  if (first === undefined) return plan
  return among(plan, list(others, (left) => fails(among(plan, [first, ...left]))).toSpliced(0, 0, first))
}

/** What is left of a plan when only these join. */
const among = (plan: Plan.Plan, members: Plan.Plan["members"]): Plan.Plan => {
  const ids = new Set(members.map(({ member }) => member))
  const exists = (member: number): boolean => ids.has(member) || member >= Plan.twins
  return {
    ...plan,
    members,
    faults: plan.faults.flatMap(({ atMs, fault }) => {
      const left = Fault.restrict(fault, exists)
      return left === undefined ? [] : [{ atMs, fault: left }]
    }),
    deeds: plan.deeds.filter(({ deed }) => Plan.deedMembers(deed).every(exists)),
    gone: plan.gone.filter(exists)
  }
}

/** Members taken out of the groups of each fault that has groups. */
const groups: Shrinker = (plan, fails) => {
  let best = plan
  for (const [index, { fault }] of plan.faults.entries()) {
    if (!("some" in fault)) continue
    const withFault = (fault: Fault.Fault<number>): Plan.Plan => ({
      ...best,
      faults: best.faults.with(index, { atMs: best.faults[index]?.atMs ?? 0, fault })
    })
    const some = list(fault.some, (some) => some.length > 0 && fails(withFault({ ...fault, some })))
    best = withFault({ ...fault, some })
    const others = list(fault.others, (others) => others.length > 0 && fails(withFault({ ...fault, some, others })))
    best = withFault({ ...fault, some, others })
  }
  return best
}

const ends: Shrinker = (plan, fails) => {
  const last = Math.max(0, ...plan.faults.map(({ atMs }) => atMs), ...plan.deeds.map(({ atMs }) => atMs))
  const times = [last + 1, (last + plan.quietAtMs) / 2].map(Math.ceil).filter((atMs) => atMs < plan.quietAtMs)
  for (const quietAtMs of times) if (fails({ ...plan, quietAtMs })) return { ...plan, quietAtMs }
  return plan
}

const bursts: Shrinker = (plan, fails) => {
  let best = plan
  for (const [index, { atMs, deed }] of plan.deeds.entries()) {
    if (deed._tag !== "Broadcast" || deed.count === 1) continue
    const smaller = { ...best, deeds: best.deeds.with(index, { atMs, deed: { ...deed, count: 1 } }) }
    if (fails(smaller)) best = smaller
  }
  return best
}

const plainer: Shrinker = (plan, fails) => {
  let best = plan
  const simpler: ReadonlyArray<Partial<Plan.Plan>> = [
    { mode: "run-to-completion" },
    { terrain: "near" },
    { datacenters: 1 },
    { gone: [] }
  ]
  for (const change of simpler) {
    const next = { ...best, ...change }
    if (JSON.stringify(next) !== JSON.stringify(best) && fails(next)) best = next
  }
  return best
}

/** Members first: every later try is the cheaper for it. */
const shrinks: ReadonlyArray<Shrinker> = [members, faults, deeds, groups, bursts, ends, plainer]
