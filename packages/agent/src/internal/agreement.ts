/**
 * Whether the components of an agent agree with each other: what is asked of simulated members (`Member.disagreements`),
 * of the cells of an agent.
 */
import { Cell } from "@starling/machine"
import { Component, Member } from "@starling/member"
import * as HashMap from "effect/HashMap"
import type { Mailboxes } from "./components.ts"
import type * as Host from "./host.ts"
import type * as Links from "./links.ts"

interface Parts {
  readonly host: Host.Host
  readonly boxes: Pick<Mailboxes, "depth">
  readonly links: Pick<Links.Links, "byId">
}

/** Undefined while something is on its way between them: then they need not agree. */
export const broken = ({ boxes, host, links }: Parts): ReadonlyArray<string> | undefined =>
  Component.components.every((component) => isQuiet(host, component) && boxes.depth(component) === 0)
    ? Member.disagreements(knowledgeOf(host, links))
    : undefined

const isQuiet = ({ slots }: Host.Host, component: Component.Component): boolean => {
  const { cell, isDown, isOutOfStep } = slots[component]
  return Cell.isSettled(cell) && !isDown && !isOutOfStep
}

const knowledgeOf = (host: Host.Host, { byId }: Parts["links"]): Member.Knowledge => ({
  config: host.settings,
  cells: each(host, ({ cell }) => cell) as Member.Cells,
  generations: each(host, ({ generation }) => generation),
  told: Object.fromEntries(host.told),
  lost: host.lost,
  ledger: host.ledger,
  clock: host.clock,
  // The rows of all others are not looked at, and an agent does not keep them.
  durable: HashMap.make(["meta", HashMap.fromIterable(host.leased.map(({ key, value }) => [key, value] as const))]),
  links: [...byId.keys()].map((link) => ({ link }))
})

const each = <A>(
  { slots }: Host.Host,
  of: (slot: Host.Slots[Component.Component]) => A
): Readonly<Record<Component.Component, A>> => ({
  "view-manager": of(slots["view-manager"]),
  shuffler: of(slots.shuffler),
  "broadcast-tree": of(slots["broadcast-tree"]),
  "lazy-push-repair": of(slots["lazy-push-repair"]),
  clock: of(slots.clock),
  facts: of(slots.facts)
})
