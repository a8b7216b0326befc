/** Components of an agent that disagree are found out, once nothing is on its way between them. */
import { assert, describe, it } from "@effect/vitest"
import type { Machine } from "@starling/machine"
import { Component, type Parts, type Wiring } from "@starling/member"
import * as Agreement from "../src/internal/agreement.ts"
import * as Host from "../src/internal/host.ts"

const settings: Parts.Settings = {
  self: { id: "aaaaaaaaaaaa", incarnation: 1, address: "h:1" },
  name: "a",
  datacenter: "dc",
  labels: {},
  contacts: []
}

const peer = { id: "bbbbbbbbbbbb", incarnation: 1, address: "h:2" }

/** A host whose events wait in one list, and whose disk answers when it is told to. */
const make = () => {
  const told: Array<Wiring.Delivery> = []
  const writes: Array<() => void> = []
  const host = Host.make(
    settings,
    new Map(),
    {
      monotonic: () => 0,
      wall: () => 1_700_000_000_000,
      tell: (delivery) => void told.push(delivery),
      open: () => {},
      send: () => {},
      isCongested: () => false,
      close: () => {},
      setTimer: () => {},
      write: (_, written) => void writes.push(written),
      application: () => {},
      lost: () => {},
      links: () => []
    },
    1
  )
  const broken = () =>
    Agreement.broken({
      host,
      boxes: { depth: (component) => told.filter(({ to }) => to === component).length },
      // Of links only the numbers are looked at.
      links: { byId: new Map<Machine.LinkId, never>([[1, undefined as never]]) }
    })
  /** Whether each event is handled, which it must be, or is lost to a crash. */
  const settle = (isLost: (delivery: Wiring.Delivery) => boolean = () => false): void => {
    for (;;) {
      for (const written of writes.splice(0)) written()
      const delivery = told.shift()
      if (delivery === undefined) return
      if (isLost(delivery)) Host.arm(host, delivery.to, "before")
      try {
        Host.handle(host, delivery.to, delivery.event)
      } catch (error) {
        assert.instanceOf(error, Host.InjectedCrash)
        Host.takeOver(host, delivery.to, 2)
        Host.goOn(host, delivery.to)
      }
    }
  }
  for (const component of Component.components) {
    Host.takeOver(host, component, 1)
    Host.goOn(host, component)
    told.push({ to: component, event: { _tag: "Started" } })
  }
  told.push(
    { to: "view-manager", event: { _tag: "LinkUp", link: 1, peer } },
    { to: "view-manager", event: { _tag: "Received", link: 1, message: { _tag: "Join", peer } } }
  )
  return { host, told, settle, broken }
}

/** Everybody but one is told of the neighbour; that one has lost the news. */
const lossOf = (component: Component.Component) => {
  const made = make()
  made.settle(({ event, to }) => to === component && event._tag === "Neighbors" && event.neighbors.length > 0)
  return made
}

describe("what an agent's components disagree on", () => {
  it("is nobody's to say while something is on its way between them, and nothing afterwards", () => {
    const { broken, host, settle } = make()
    assert.isUndefined(broken())
    settle()
    assert.lengthOf(Host.stateOf(host, "view-manager").active, 1)
    assert.deepStrictEqual(broken(), [])
    Host.arm(host, "shuffler", "committed")
    assert.throws(() => Host.handle(host, "shuffler", { _tag: "Started" }))
    assert.isUndefined(broken(), "a component is down")
  })

  for (const component of ["broadcast-tree", "lazy-push-repair", "clock", "facts"] as const) {
    it(`${component}: is what it was told and does not know, unless a crash explains it`, () => {
      const { broken, host } = lossOf(component)
      assert.deepStrictEqual(
        host.lost.map(({ to }) => to),
        [component]
      )
      assert.deepStrictEqual(broken(), [])
      host.lost = []
      assert.match(broken()?.[0] ?? "", new RegExp(`^${component}: goes by neighbours 1, and was told 2$`))
    })
  }

  it("is a time that the clock follows and no disk holds", () => {
    const { broken, host, settle } = make()
    settle()
    const limit = 1_800_000_000_000
    host.clock = { ...host.clock, reading: { ...host.clock.reading, wall: 1_700_000_000_000, limit } }
    assert.match(broken()?.[0] ?? "", /^clock: the cell follows the time up to 1800000000000 of epoch 0, durable is 17/)
    host.leased = [{ table: "meta", key: "high-water", value: [0, limit] }]
    assert.deepStrictEqual(broken(), [])
  })
})
