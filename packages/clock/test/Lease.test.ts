import { assert, describe, it } from "@effect/vitest"
import { EffectiveTime, Guard, Hlc, Lease, Stamp } from "@starling/clock"
import type { Machine } from "@starling/machine"
import * as fc from "fast-check"

const node = "a1b2c3d4e5f6"
const base = 1_700_000_000_000
const none: Lease.Stored = new Map()
const storedAt = (value: unknown): Lease.Stored => new Map([[Lease.table, new Map([[Lease.key, value]])]])

const input = (event: Lease.Event, wall: number, reading: Hlc.Reading, now = 0): Lease.Input => ({
  now,
  wall,
  reading,
  event
})

const started: Lease.Event = { _tag: "Started" }
const tick = (round: number): Lease.Event => ({ _tag: "TimerFired", timer: { _tag: "Tick", round } })
const written = (token: number): Lease.Event => ({ _tag: "Written", token })

const write = (token: number, epoch: number, wall: number): Lease.Action => ({
  _tag: "Write",
  token,
  rows: [{ table: "meta", key: "high-water", value: [epoch, wall] }]
})

const armed = (round: number): Lease.Action => ({ _tag: "SetTimer", delayMs: 1000, timer: { _tag: "Tick", round } })

describe("Lease", () => {
  it("a node that starts for the first time writes a mark four seconds ahead and arms the tick", () => {
    const [, actions] = Lease.step(Lease.make(Lease.defaults, none), input(started, base, Lease.initial(none)))
    assert.deepStrictEqual(actions, [write(1, 0, base + 4000), armed(1)])
  })

  it("a lease is handed out when its mark is durable, not before", () => {
    const cell = Lease.initial(none)
    const [state] = Lease.step(Lease.make(Lease.defaults, none), input(started, base, cell))
    assert.deepStrictEqual(Lease.step(state, input(written(7), base, cell))[1], [])
    const [, actions] = Lease.step(state, input(written(1), base, cell))
    assert.deepStrictEqual(actions, [{ _tag: "Emit", output: { _tag: "Lease", epoch: 0, limit: base + 4000 } }])
  })

  it("a lease is renewed when less than half is left, also if a received stamp used it up", () => {
    const cell = Lease.initial(none)
    const [first] = Lease.step(Lease.make(Lease.defaults, none), input(started, base, cell))
    const [leased] = Lease.step(first, input(written(1), base, cell))
    assert.deepStrictEqual(Lease.step(leased, input(tick(1), base + 2000, cell))[1], [armed(2)])
    assert.deepStrictEqual(Lease.step(leased, input(tick(1), base + 2001, cell))[1], [
      write(2, 0, base + 6001),
      armed(2)
    ])
    const ahead = Hlc.receive(cell, { epoch: 0, wall: base + 60_000, counter: 0, node }, base)
    assert.deepStrictEqual(Lease.step(leased, input(tick(1), base, ahead))[1], [write(2, 0, base + 60_000), armed(2)])
    const reset = Hlc.reset(cell, 0, base) as Hlc.Reading
    assert.deepStrictEqual(Lease.step(leased, input(tick(1), base, reset))[1], [write(2, 1, base + 4000), armed(2)])
  })

  it("one write is waited for at a time, and asked for again after five seconds", () => {
    const cell = Lease.initial(none)
    const [state] = Lease.step(Lease.make(Lease.defaults, none), input(started, base, cell))
    assert.deepStrictEqual(Lease.step(state, input(tick(1), base, cell, 4999))[1], [armed(2)])
    const [later, actions] = Lease.step(state, input(tick(1), base, cell, 5000))
    assert.deepStrictEqual(actions, [write(5000, 0, base + 4000), armed(2)])
    assert.strictEqual(later.counters.lateWrites, 1)
  })

  it("a rebuilt component does not take the answer to its predecessor's write for its own", () => {
    const cell = Lease.initial(none)
    const [old] = Lease.step(Lease.make(Lease.defaults, none), input(started, base, cell, 10))
    const [young] = Lease.step(Lease.rebuild(Lease.defaults, none), input(started, base + 1, cell, 11))
    assert.deepStrictEqual(Lease.step(young, input(written(old.token), base + 1, cell, 11)), [young, []])
  })

  it("a stale tick, a link and a frame change nothing", () => {
    const cell = Lease.initial(none)
    const [state] = Lease.step(Lease.make(Lease.defaults, none), input(started, base, cell))
    const strange: ReadonlyArray<Lease.Event> = [
      tick(0),
      tick(2),
      { _tag: "LinkUp", link: 1, peer: { id: node, incarnation: 1, address: "a:1" } },
      { _tag: "LinkDown", link: 1, reason: { _tag: "Reset" } }
    ]
    for (const event of strange) assert.deepStrictEqual(Lease.step(state, input(event, base, cell)), [state, []])
  })

  it("a restart begins above the stored mark, even if the wall was set back", () => {
    const cell = Lease.initial(storedAt([2, base + 5000]))
    assert.deepStrictEqual(cell, { epoch: 2, wall: base + 5100, counter: 0, limit: base + 5100 })
    assert.deepStrictEqual(Lease.rowsOf(cell), [{ table: "meta", key: "high-water", value: [2, base + 5100] }])
  })

  it("the last mark of a run is never below what was stamped, durable or asked for", () => {
    const cell = Lease.initial(none)
    const [asked] = Lease.step(Lease.make(Lease.defaults, none), input(started, base, cell))
    const last = (state: Lease.State, reading: Hlc.Reading) => Lease.lastRowsOf(state, reading)[0]?.value
    assert.deepStrictEqual(last(asked, cell), [0, base + 4000], "asked for")
    const [leased] = Lease.step(asked, input(written(1), base, cell))
    assert.deepStrictEqual(last(leased, cell), [0, base + 4000], "durable")
    const ahead = Hlc.receive(cell, { epoch: 0, wall: base + 60_000, counter: 0, node }, base)
    assert.deepStrictEqual(last(leased, ahead), [0, base + 60_000], "followed")
    const raised = Hlc.receive(cell, { epoch: 1, wall: base, counter: 0, node }, base)
    assert.deepStrictEqual(last(leased, raised), [1, base], "of a higher epoch")
  })

  it("a hundred crashes in one second take the clock no further ahead of the wall than a lease and their gaps", () => {
    const node = new Node()
    for (let crash = 1; crash <= 100; crash++) {
      node.flush()
      node.pass(10)
      node.boot()
      assert.isAtMost(node.cell.wall, node.wall + Lease.defaults.leaseMs + crash * Lease.restartGapMs)
    }
  })

  it("what a node stamps after a quick restart lies within the guard of those whose clocks are right", () => {
    const ahead = Lease.defaults.leaseMs + Lease.restartGapMs + EffectiveTime.defaults.toleranceMs
    assert.isAtLeast(Guard.defaults.guardMs, ahead)
    const node = new Node()
    node.wall = base + EffectiveTime.defaults.toleranceMs
    node.boot()
    for (let restart = 1; restart <= 6; restart++) {
      node.flush()
      node.boot()
      assert.strictEqual(Guard.judge(Hlc.make(0), node.stamp(), base)._tag, "Follow", `restart ${restart}`)
    }
  })

  it("a node that restarts every second stays within a lease of the wall", () => {
    const node = new Node()
    for (let restart = 0; restart < 100; restart++) {
      node.flush()
      node.pass(1000)
      node.boot()
      assert.isAtMost(node.cell.wall, node.wall + Lease.defaults.leaseMs)
    }
  })

  it("who does not know what time it is asks for no more than what was stamped", () => {
    const cell = Lease.initial(storedAt([2, base + 5000]))
    const [state, actions] = Lease.step(
      Lease.make(Lease.defaults, storedAt([2, base + 5000])),
      input(started, Number.NaN, cell)
    )
    assert.deepStrictEqual(actions, [write(1, 2, base + 5100), armed(1)])
    const [, renewed] = Lease.step(state, input({ _tag: "Renew" }, base + 9000, cell, 5000))
    assert.deepStrictEqual(renewed, [write(5000, 2, base + 13_000)])
  })

  it("a mark that cannot be read counts as none, and is reported", () => {
    for (const wrong of ["x", [], [1], [-1, 0], [0, Stamp.wallMax + 1], ["0", 0]]) {
      assert.deepStrictEqual(Lease.initial(storedAt(wrong)), Lease.initial(none))
      assert.strictEqual(Lease.make(Lease.defaults, storedAt(wrong)).counters.damagedMark, 1)
    }
  })
})

/** A node with a disk: the shell's duties for the clock, and nothing else. */
class Node {
  wall = base
  now = 0
  disk: Lease.Stored = none
  /** Asked for and not yet durable, in order. */
  pending: Array<Extract<Lease.Action, { readonly _tag: "Write" }>> = []
  timers: Array<{ readonly at: number; readonly timer: Lease.Timer }> = []
  cell: Hlc.Reading = Hlc.make(0)
  state: Lease.State = Lease.make(Lease.defaults, none)
  last: Stamp.Stamp | undefined = undefined

  constructor() {
    this.boot()
  }

  boot(): void {
    this.cell = Lease.initial(this.disk)
    this.save(Lease.rowsOf(this.cell))
    this.pending = []
    this.timers = []
    this.state = Lease.make(Lease.defaults, this.disk)
    this.feed(started)
  }

  save(rows: ReadonlyArray<Machine.StoreRow>): void {
    for (const row of rows) this.disk = new Map([[row.table, new Map([[row.key, row.value]])]])
  }

  feed(event: Lease.Event): void {
    const [state, actions] = Lease.step(this.state, input(event, this.wall, this.cell, this.now))
    this.state = state
    assert.deepStrictEqual(Lease.invariants(state), [])
    for (const action of actions) {
      if (action._tag === "Write") this.pending.push(action)
      if (action._tag === "SetTimer") this.timers.push({ at: this.now + action.delayMs, timer: action.timer })
      if (action._tag === "Emit") this.cell = Hlc.extend(this.cell, action.output)
    }
  }

  flush(): void {
    for (const { token, rows } of this.pending.splice(0)) {
      this.save(rows)
      this.feed(written(token))
    }
  }

  pass(ms: number): void {
    this.now += ms
    this.wall += ms
    const due = this.timers.filter(({ at }) => at <= this.now)
    this.timers = this.timers.filter(({ at }) => at > this.now)
    for (const { timer } of due) this.feed({ _tag: "TimerFired", timer })
  }

  stop(): void {
    this.save(Lease.lastRowsOf(this.state, this.cell))
  }

  stamp(): Stamp.Stamp {
    const [cell, at] = Hlc.stamp(this.cell, this.wall, node)
    this.cell = cell
    if (this.last !== undefined && Stamp.compare(this.last, at) >= 0) {
      assert.fail(`${Stamp.toText(at)} follows ${Stamp.toText(this.last)}`)
    }
    this.last = at
    return at
  }
}

interface Model {
  running: boolean
}

const command = (name: string, run: (node: Node) => void): fc.Command<Model, Node> => ({
  check: () => true,
  run: (_model, node) => run(node),
  toString: () => name
})

const commands = fc.commands(
  [
    fc.integer({ min: 1, max: 4000 }).map((ms) => command(`${ms} ms pass`, (node) => node.pass(ms))),
    fc
      .constantFrom(-86_400_000, -5000, -1, 1, 4000, 3_600_000)
      .map((by) => command(`the wall jumps by ${by}`, (node) => (node.wall += by))),
    fc.integer({ min: 1, max: 20 }).map((count) =>
      command(`${count} stamps`, (node) => {
        for (let i = 0; i < count; i++) node.stamp()
      })
    ),
    fc.constant(command("the disk answers", (node) => node.flush())),
    fc.constant(command("crash and restart", (node) => node.boot())),
    fc.tuple(fc.integer({ min: 1, max: 100_000 }), fc.nat(1)).map(([ms, epochs]) =>
      command(`follows a stamp ${ms} ms ahead in ${epochs} epochs more, and restarts cleanly`, (node) => {
        const received = { epoch: node.cell.epoch + epochs, wall: node.wall + ms, counter: 0, node: "b1b2c3d4e5f6" }
        node.cell = Hlc.receive(node.cell, received, node.wall)
        node.stamp()
        node.stop()
        node.boot()
      })
    ),
    fc.constant(
      command("the component is rebuilt", (node) => {
        node.state = Lease.rebuild(Lease.defaults, node.disk)
        node.feed(started)
      })
    )
  ],
  { maxCommands: 100, size: "max" }
)

describe("a node's clock over its life", () => {
  it("stamps strictly increase through restarts, slow disks and wall jumps, and stay below the durable mark", () => {
    fc.assert(
      fc.property(commands, (run) => {
        const node = new Node()
        fc.modelRun(() => ({ model: { running: true }, real: node }), run)
        const at = node.stamp()
        const mark = Lease.make(Lease.defaults, node.disk).durable
        assert.isTrue(mark !== undefined && at.wall <= mark.wall)
      })
    )
  })

  it("sixty-five thousand stamps under an exhausted lease do not reach what a restart gives", () => {
    const node = new Node()
    node.wall += 3_600_000
    for (let i = 0; i < 200_000; i++) node.stamp()
    node.wall = base
    node.boot()
    node.stamp()
  })

  it("with a disk that answers, the wall part follows the wall", () => {
    const node = new Node()
    for (let i = 0; i < 60; i++) {
      node.flush()
      node.pass(500)
      assert.strictEqual(node.stamp().wall, node.wall)
    }
    assert.strictEqual(node.state.counters.exhausted, 0)
  })
})
