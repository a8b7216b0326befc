import { assert, describe, it } from "@effect/vitest"
import type { Agent } from "@starling/agent"
import { Config } from "@starling/fleet"
import type { Machine } from "@starling/machine"
import { Component, Parts, Wiring } from "@starling/member"
import * as Host from "../src/internal/host.ts"

interface Shell {
  now: number
  readonly told: Array<Wiring.Delivery>
  readonly sent: Array<{ readonly link: Machine.LinkId; readonly channel: number }>
  readonly writes: Array<{ readonly rows: ReadonlyArray<Machine.StoreRow>; readonly written: () => void }>
  readonly timers: Array<() => void>
  readonly outputs: Array<Wiring.ToApplication>
  readonly lost: Array<Wiring.Delivery>
  readonly congested: Set<Machine.LinkId>
}

const settings: Parts.Settings = {
  self: { id: "aaaaaaaaaaaa", incarnation: 1, address: "h:1" },
  name: "a",
  datacenter: "dc",
  labels: {},
  contacts: []
}

const neighbor: Machine.Neighbor = { link: 7, peer: { id: "bbbbbbbbbbbb", incarnation: 1, address: "h:2" } }

const make = (contacts: ReadonlyArray<string> = []): readonly [Host.Host, Shell] => {
  const shell: Shell = {
    now: 0,
    told: [],
    sent: [],
    writes: [],
    timers: [],
    outputs: [],
    lost: [],
    congested: new Set()
  }
  const host = Host.make(
    { ...settings, contacts },
    new Map(),
    {
      monotonic: () => shell.now,
      wall: () => 1_700_000_000_000 + shell.now,
      tell: (delivery) => void shell.told.push(delivery),
      open: () => {},
      send: (link, channel) => void shell.sent.push({ link, channel }),
      isCongested: (link) => shell.congested.has(link),
      close: () => {},
      setTimer: (_, fire) => void shell.timers.push(fire),
      write: (rows, written) => void shell.writes.push({ rows, written }),
      application: (output) => void shell.outputs.push(output),
      lost: (delivery) => void shell.lost.push(delivery),
      links: () => [neighbor]
    },
    1
  )
  for (const component of Component.components) {
    Host.takeOver(host, component, 1)
    Host.goOn(host, component)
  }
  return [host, shell]
}

/** A broadcast tree with one neighbour and one broadcast whose number waits for the disk. */
const broadcasting = (): readonly [Host.Host, Shell] => {
  const [host, shell] = make()
  Host.handle(host, "broadcast-tree", { _tag: "Started" })
  Host.handle(host, "broadcast-tree", { _tag: "Neighbors", version: 1, neighbors: [neighbor] })
  Host.handle(host, "broadcast-tree", { _tag: "Broadcast", token: 5, topic: Wiring.topicApplication, payload: "hi" })
  return [host, shell]
}

const isWritten = (
  delivery: Wiring.Delivery
): delivery is { to: "broadcast-tree"; event: { _tag: "Written"; token: number } } =>
  delivery.to === "broadcast-tree" && delivery.event._tag === "Written"

/** The event that tells the tree that its number is durable. */
const written = (shell: Shell) => {
  shell.writes.at(-1)?.written()
  const delivery = shell.told.find(isWritten)
  if (delivery === undefined) return assert.fail("the tree waits for no write")
  return delivery.event
}

const delivered = (shell: Shell) => shell.outputs.filter((output) => output._tag === "Delivered")
const accepted = (shell: Shell) => shell.outputs.filter((output) => output._tag === "Accepted")
const gossiped = (shell: Shell) => shell.sent.filter(({ channel }) => channel === Component.channels["broadcast-tree"])

const crashed = (host: Host.Host, event: Component.EventOf<"broadcast-tree">, at: Agent.CrashPoint): void => {
  Host.arm(host, "broadcast-tree", at)
  assert.throws(() => Host.handle(host, "broadcast-tree", event), Host.InjectedCrash)
}

const restarted = (host: Host.Host, incarnation: number): boolean => {
  const distrusted = Host.takeOver(host, "broadcast-tree", incarnation)
  Host.finish(host, "broadcast-tree")
  if (distrusted) Host.rebuild(host, "broadcast-tree", new Map())
  else Host.goOn(host, "broadcast-tree")
  return distrusted
}

/** A revision of the configuration in epoch 1, as the broadcast tree hands it to facts. */
const later = (): Component.EventOf<"facts"> => {
  const entry = Config.entry({
    key: "a",
    value: "1",
    revision: { epoch: 1, wall: 1_700_000_000_000, counter: 0, node: "bbbbbbbbbbbb" },
    selector: "",
    author: "",
    note: "",
    wall: 1_700_000_000_000,
    operation: "set",
    dot: { writer: "bbbbbbbbbbbb", generation: 1, seq: 1 }
  })
  return { _tag: "Delivered", id: 1, topic: Wiring.topicConfiguration, payload: Config.encodeEntry(entry) }
}

/** Answers writes and hands on what is told, until nothing is left; timers wait. */
const settle = (host: Host.Host, shell: Shell): void => {
  for (;;) {
    for (const { written } of shell.writes.splice(0)) written()
    const delivery = shell.told.shift()
    if (delivery === undefined) return
    Host.handle(host, delivery.to, delivery.event)
  }
}

const event = (token: number, body: string) =>
  ({ _tag: "RecordEvent", token, app: "shop", severity: "info", body, attributes: {} }) as const

/** Two events wait for the time, the first and the second; the clock is not asked yet. */
const holding = (): readonly [Host.Host, Shell] => {
  const [host, shell] = make()
  Host.handle(host, "facts", { _tag: "Started" })
  Host.handle(host, "facts", event(1, "first"))
  Host.handle(host, "facts", event(2, "second"))
  settle(host, shell)
  assert.deepStrictEqual([host.clock.phase, host.held.length], ["probation", 2])
  return [host, shell]
}

/** The clock learns the time, and facts take no turn of their own for it. */
const ready = (host: Host.Host, shell: Shell): void => {
  Host.handle(host, "clock", { _tag: "Started" })
  for (const { written } of shell.writes.splice(0)) written()
  for (const { event, to } of shell.told.splice(0)) if (to === "clock") Host.handle(host, to, event)
  assert.strictEqual(host.clock.phase, "ready")
}

const recorded = (shell: Shell) =>
  shell.outputs.flatMap((output) =>
    output._tag === "Answer" && output.answer._tag === "Event" ? [output.answer.document.body] : []
  )

describe("the host", () => {
  for (const at of ["before", "committed"] as const) {
    it(`a crash of what waited for the time, ${at} its step, loses no other event unnamed`, () => {
      const [host, shell] = holding()
      ready(host, shell)
      Host.arm(host, "facts", at)
      assert.throws(() => Host.handle(host, "facts", event(3, "third")), Host.InjectedCrash)
      const lost = shell.lost.flatMap(({ event }) => (event._tag === "RecordEvent" ? [event.body] : []))
      assert.deepStrictEqual(lost, at === "before" ? ["first", "third"] : ["third"])
      assert.strictEqual(host.counters.eventsLostTotal, lost.length)
      Host.takeOver(host, "facts", 2)
      Host.finish(host, "facts")
      Host.goOn(host, "facts")
      settle(host, shell)
      assert.deepStrictEqual(recorded(shell), at === "before" ? ["second"] : ["first", "second"])
    })
  }

  it("what waits for the time and is taken back is not stored when the time is known", () => {
    const [host, shell] = holding()
    assert.deepStrictEqual(
      [Host.withdraw(host, 1), Host.withdraw(host, 1), Host.withdraw(host, 3)],
      [true, false, false]
    )
    ready(host, shell)
    Host.handle(host, "facts", event(3, "third"))
    settle(host, shell)
    assert.deepStrictEqual(recorded(shell), ["second", "third"])
    assert.strictEqual(host.counters.heldWithdrawnTotal, 1)
  })

  it("an epoch that is heard of is made durable at once, and what this node says of itself is said again", () => {
    const [host, shell] = make()
    Host.handle(host, "clock", { _tag: "Started" })
    settle(host, shell)
    Host.handle(host, "facts", { _tag: "Started" })
    settle(host, shell)
    assert.strictEqual(host.clock.phase, "open")
    Host.handle(host, "facts", later())
    assert.strictEqual(host.clock.reading.epoch, 1)
    assert.includeDeepMembers(shell.told, [{ to: "clock", event: { _tag: "Renew" } }, Wiring.restamp])
    settle(host, shell)
    assert.strictEqual(Host.stateOf(host, "clock").lease.durable?.epoch, 1)
  })

  it("an event whose step crashes changes nothing, is counted, and is named to whoever waits", () => {
    const [host, shell] = make()
    const before = Host.stateOf(host, "broadcast-tree")
    const event = { _tag: "Broadcast", token: 1, topic: 1, payload: "lost" } as const
    crashed(host, event, "before")
    assert.strictEqual(Host.stateOf(host, "broadcast-tree"), before)
    assert.strictEqual(host.counters.eventsLostTotal, 1)
    assert.deepStrictEqual(shell.lost, [{ to: "broadcast-tree", event }])
    assert.deepStrictEqual([shell.writes, shell.outputs], [[], []])
  })

  for (const at of ["committed", "acting"] as const) {
    it(`what a step asked for is done once and whole, though it crashed ${at}`, () => {
      const [host, shell] = broadcasting()
      crashed(host, written(shell), at)
      assert.isBelow(delivered(shell).length + gossiped(shell).length + accepted(shell).length, 3)
      assert.isFalse(restarted(host, 2))
      assert.deepStrictEqual(
        [delivered(shell).length, gossiped(shell).length, accepted(shell).length],
        [1, 1, 1],
        "delivered here, sent to the neighbour, accepted"
      )
      assert.deepStrictEqual(shell.lost, [])
      Host.finish(host, "broadcast-tree")
      assert.strictEqual(delivered(shell).length, 1, "a second time there is nothing to finish")
    })
  }

  it("leaves a payload out where too much waits, and tells the tree; all else is sent there", () => {
    const [host, shell] = broadcasting()
    shell.congested.add(neighbor.link)
    Host.handle(host, "broadcast-tree", written(shell))
    const id = { origin: settings.self.id, incarnation: 1, seq: 1 }
    assert.deepStrictEqual(gossiped(shell), [])
    const shed = { _tag: "Shed", link: neighbor.link, id } as const
    assert.deepInclude(shell.told, { to: "broadcast-tree", event: shed })
    Host.handle(host, "broadcast-tree", shed)
    const announce = { _tag: "Announce", id, round: 1, links: [neighbor.link] } as const
    assert.deepInclude(shell.told, { to: "lazy-push-repair", event: announce })
    const miss = { _tag: "Graft", ids: [{ ...id, seq: 9 }] } as const
    Host.handle(host, "broadcast-tree", { _tag: "Received", link: neighbor.link, message: miss })
    assert.strictEqual(gossiped(shell).length, 1, "an answer that is no payload leaves")
  })

  it("a second crash within the period rebuilds, after its last step was done; one after the period does not", () => {
    const [host, shell] = broadcasting()
    crashed(host, { _tag: "Started" }, "before")
    assert.isFalse(restarted(host, 2))
    shell.now = Parts.crashPeriodMs
    crashed(host, written(shell), "committed")
    shell.told.length = 0
    assert.isTrue(restarted(host, 3))
    assert.strictEqual(host.counters.rebuildsTotal, 1)
    assert.deepStrictEqual([delivered(shell).length, gossiped(shell).length, accepted(shell).length], [1, 1, 1])
    const told = shell.told.filter(({ to }) => to === "broadcast-tree").map(({ event }) => event._tag)
    assert.deepStrictEqual(told, ["Started"])

    const [calm, later] = broadcasting()
    crashed(calm, { _tag: "Started" }, "before")
    restarted(calm, 2)
    later.now = Parts.crashPeriodMs + 1
    crashed(calm, { _tag: "Started" }, "before")
    assert.isFalse(restarted(calm, 3))
  })

  it("a component that is rebuilt is told its neighbours again", () => {
    const [host, shell] = make()
    // The view manager says its neighbours with a snapshot, which the host hands on and remembers.
    Host.handle(host, "view-manager", { _tag: "Started" })
    shell.now = 6000
    for (const fire of shell.timers.splice(0)) fire()
    for (const { to, event } of shell.told.slice()) if (to === "view-manager") Host.handle(host, to, event)
    const newest = shell.told.findLast(({ to, event }) => to === "broadcast-tree" && event._tag === "Neighbors")
    if (newest === undefined) return assert.fail("the view manager tells its neighbours every five seconds")
    crashed(host, { _tag: "Started" }, "before")
    restarted(host, 2)
    crashed(host, { _tag: "Started" }, "before")
    shell.told.length = 0
    assert.isTrue(restarted(host, 3))
    assert.deepStrictEqual(shell.told, [{ to: "broadcast-tree", event: { _tag: "Started" } }, newest])
  })

  it("a clock that is rebuilt goes on by the own clock if there is no fleet's time, and waits no second time", () => {
    const [host, shell] = make(["h:2"])
    Host.handle(host, "clock", { _tag: "Started" })
    settle(host, shell)
    assert.isFalse(host.clock.alone)
    shell.now = 30_000
    shell.timers.forEach((fire) => fire())
    settle(host, shell)
    assert.isTrue(host.clock.alone)
    Host.rebuild(host, "clock", new Map())
    settle(host, shell)
    assert.deepStrictEqual([host.clock.alone, host.clock.offset], [true, Number.NaN])
  })

  it("timers of a state that was rebuilt since are nobody's", () => {
    const [host, shell] = make()
    Host.handle(host, "clock", { _tag: "Started" })
    const [old] = shell.timers
    if (old === undefined) return assert.fail("the clock sets a timer")
    Host.takeOver(host, "clock", 2)
    Host.takeOver(host, "clock", 3)
    Host.rebuild(host, "clock", new Map())
    shell.told.length = 0
    old()
    assert.deepStrictEqual(shell.told, [])
  })

  it("the clock ticks on though a crash took its timer", () => {
    const [host, shell] = make()
    Host.handle(host, "clock", { _tag: "Started" })
    const fire = shell.timers.shift()
    if (fire === undefined) return assert.fail("the clock sets a timer")
    fire()
    const tick = shell.told.pop()
    if (tick?.to !== "clock") return assert.fail("the timer is the clock's")
    Host.arm(host, "clock", "before")
    assert.throws(() => Host.handle(host, "clock", tick.event), Host.InjectedCrash)
    Host.takeOver(host, "clock", 2)
    Host.goOn(host, "clock")
    const again = shell.told.pop()
    if (again?.to !== "clock") return assert.fail("the clock is woken")
    const before = shell.timers.length
    Host.handle(host, "clock", again.event)
    // Its lease, and its rounds.
    assert.strictEqual(shell.timers.length, before + 2)
  })

  it("the ledger refuses a second hand-over, counted, whatever the tree remembers", () => {
    const [host, shell] = make()
    const gossip = (seq: number): Component.EventOf<"broadcast-tree"> => ({
      _tag: "Received",
      link: 7,
      message: {
        _tag: "Gossip",
        id: { origin: "bbbbbbbbbbbb", incarnation: 1, seq },
        round: 0,
        topic: Wiring.topicApplication,
        payload: seq
      }
    })
    const fresh = host.slots["broadcast-tree"].cell
    const receive = (): void => {
      Host.handle(host, "broadcast-tree", { _tag: "Neighbors", version: 1, neighbors: [neighbor] })
      Host.handle(host, "broadcast-tree", gossip(1))
    }
    receive()
    assert.strictEqual(delivered(shell).length, 1)
    // A tree that has forgotten everything delivers it again; the application does not hear of it.
    host.slots["broadcast-tree"].cell = fresh
    receive()
    assert.strictEqual(delivered(shell).length, 1)
    assert.strictEqual(host.counters.broadcastsRedeliveredTotal, 1)
    assert.strictEqual(host.counters.broadcastsDeliveredTotal, 1)
  })

  it("a component of which events were dropped begins anew with the next one", () => {
    const [host] = make()
    Host.dropped(host, "broadcast-tree")
    assert.throws(() => Host.handle(host, "broadcast-tree", { _tag: "Started" }), Host.OutOfStep)
    assert.isTrue(restarted(host, 2))
    Host.handle(host, "broadcast-tree", { _tag: "Started" })
  })

  it("a component whose supervisor was restarted begins anew: its mailbox is gone", () => {
    const [host] = make()
    assert.isTrue(restarted(host, 1))
    assert.strictEqual(host.counters.crashesTotal, 0)
  })

  it("a crash that is called off does not strike", () => {
    const [host] = make()
    Host.arm(host, "broadcast-tree", "before")
    Host.disarm(host, "broadcast-tree")
    Host.handle(host, "broadcast-tree", { _tag: "Started" })
    assert.isFalse(Host.isPending(host, "broadcast-tree"))
  })
})
