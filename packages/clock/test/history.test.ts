/**
 * Random histories of a few nodes, judged by vector clocks.
 *
 * `RUNS=5000 npx vitest run packages/clock/test/history.test.ts` judges at least two million pairs of which one event
 * happened before the other: 10,000 histories, with the pairs that a history gives on average asserted below.
 */
import { assert, describe, it } from "@effect/vitest"
import { Guard, Hlc, Stamp } from "@starling/clock"
import * as fc from "fast-check"

const size = 4
const base = 1_700_000_000_000
const names = ["00000000000a", "00000000000b", "00000000000c", "00000000000d"]

interface Seen {
  readonly at: Stamp.Stamp
  readonly vector: ReadonlyArray<number>
  readonly node: number
}

interface Frame {
  readonly stamp: Stamp.Stamp
  readonly vector: ReadonlyArray<number>
  readonly sources: ReadonlySet<string>
}

/** What of a physical clock, or of a reset, may be found again as the wall part of a stamp. */
const source = (epoch: number, wall: number): string => `${epoch}/${wall}`

class Fleet {
  /** The fleet's time, if the guard is up. */
  population: number | undefined = undefined
  readonly clockless = Array.from({ length: size }, () => false)
  /** Every physical time and reset in the causal past of each node. */
  readonly sources = Array.from({ length: size }, () => new Set([source(0, 0)]))
  readonly walls = Array.from({ length: size }, () => base)
  readonly cells = Array.from({ length: size }, (): Hlc.Reading => Hlc.make(base + 50))
  readonly vectors = Array.from({ length: size }, () => Array.from({ length: size }, () => 0))
  readonly last: Array<Stamp.Stamp | undefined> = Array.from({ length: size }, () => undefined)
  readonly frames: Array<Frame> = []
  readonly events: Array<Seen> = []

  cell(node: number): Hlc.Reading {
    return this.cells[node] as Hlc.Reading
  }

  wall(node: number): number {
    return this.clockless[node] === true ? Number.NaN : (this.walls[node] as number)
  }

  /** Puts a reading into the cell, and what its clock showed into the causal past. */
  move(node: number, next: Hlc.Reading): void {
    const shown = Math.min(this.wall(node), this.cell(node).limit)
    if (shown > 0) this.sources[node]?.add(source(next.epoch, shown))
    this.cells[node] = next
  }

  /** An event of `node`: its stamp must follow the former one, and lie in no lower epoch. */
  happen(node: number): Seen {
    const [next, at] = Hlc.stamp(this.cell(node), this.wall(node), names[node] as string)
    this.move(node, next)
    assert.isTrue(this.sources[node]?.has(source(at.epoch, at.wall)), "the wall part comes from a clock in the past")
    const former = this.last[node]
    if (former !== undefined) {
      assert.isTrue(Stamp.compare(former, at) < 0)
      assert.isTrue(former.epoch <= at.epoch)
    }
    this.last[node] = at
    const vector = this.vectors[node] as Array<number>
    vector[node] = (vector[node] as number) + 1
    const seen = { at, vector: vector.slice(), node }
    this.events.push(seen)
    return seen
  }
}

/** What the commands change is the fleet; the model only knows how many frames there are. */
interface Model {
  frames: number
}

class Jump implements fc.Command<Model, Fleet> {
  readonly node: number
  readonly by: number
  constructor(node: number, by: number) {
    this.node = node
    this.by = by
  }
  check(): boolean {
    return true
  }
  run(_model: Model, fleet: Fleet): void {
    fleet.walls[this.node] = fleet.wall(this.node) + this.by
  }
  toString(): string {
    return `${this.node}'s wall jumps by ${this.by}`
  }
}

class Send implements fc.Command<Model, Fleet> {
  readonly node: number
  constructor(node: number) {
    this.node = node
  }
  check(): boolean {
    return true
  }
  run(model: Model, fleet: Fleet): void {
    const { at, vector } = fleet.happen(this.node)
    fleet.frames.push({ stamp: at, vector, sources: new Set(fleet.sources[this.node]) })
    model.frames++
  }
  toString(): string {
    return `${this.node} sends`
  }
}

/** Frames are never used up: so they are lost, repeated and reordered in every way. */
class Receive implements fc.Command<Model, Fleet> {
  readonly node: number
  readonly pick: number
  constructor(node: number, pick: number) {
    this.node = node
    this.pick = pick
  }
  check(model: Readonly<Model>): boolean {
    return model.frames > 0
  }
  run(model: Model, fleet: Fleet): void {
    const frame = fleet.frames[this.pick % model.frames] as Frame
    const before = fleet.cell(this.node)
    const after = Hlc.receive(before, frame.stamp, fleet.wall(this.node))
    assert.isTrue(Stamp.compare(Hlc.last(before, "0"), Hlc.last(after, "0")) < 0)
    // What the guard refuses is not delivered: it is no part of the causal past.
    const isGuarded = fleet.population !== undefined
    if (isGuarded && Guard.judge(before, frame.stamp, fleet.population)._tag !== "Follow") return
    for (const past of frame.sources) fleet.sources[this.node]?.add(past)
    fleet.move(this.node, after)
    const vector = fleet.vectors[this.node] as Array<number>
    for (let i = 0; i < size; i++) vector[i] = Math.max(vector[i] as number, frame.vector[i] as number)
    fleet.happen(this.node)
  }
  toString(): string {
    return `${this.node} receives frame ${this.pick}`
  }
}

class Reset implements fc.Command<Model, Fleet> {
  readonly node: number
  constructor(node: number) {
    this.node = node
  }
  check(): boolean {
    return true
  }
  run(_model: Model, fleet: Fleet): void {
    const before = fleet.cell(this.node)
    const after = Hlc.reset(before, before.epoch, fleet.wall(this.node))
    assert.isDefined(after)
    fleet.move(this.node, after)
    fleet.sources[this.node]?.add(source(after.epoch, after.wall))
  }
  toString(): string {
    return `${this.node} resets`
  }
}

class Lose implements fc.Command<Model, Fleet> {
  readonly node: number
  constructor(node: number) {
    this.node = node
  }
  check(): boolean {
    return true
  }
  run(_model: Model, fleet: Fleet): void {
    fleet.clockless[this.node] = fleet.clockless[this.node] === false
  }
  toString(): string {
    return `${this.node} loses its clock, or has it again`
  }
}

class Lease implements fc.Command<Model, Fleet> {
  readonly node: number
  readonly ms: number
  constructor(node: number, ms: number) {
    this.node = node
    this.ms = ms
  }
  check(): boolean {
    return true
  }
  run(_model: Model, fleet: Fleet): void {
    const cell = fleet.cell(this.node)
    fleet.cells[this.node] = Hlc.extend(cell, { epoch: cell.epoch, limit: fleet.wall(this.node) + this.ms })
  }
  toString(): string {
    return `${this.node} is leased ${this.ms} ms`
  }
}

const node = fc.nat(size - 1)

const commands = fc.commands(
  [
    fc
      .tuple(node, fc.oneof(fc.integer({ min: -30, max: 30 }), fc.constantFrom(3_600_000, -3_600_000)))
      .map(([n, by]) => new Jump(n, by)),
    node.map((n) => new Send(n)),
    fc.tuple(node, fc.nat()).map(([n, pick]) => new Receive(n, pick)),
    fc.tuple(node, fc.nat()).map(([n, pick]) => new Receive(n, pick)),
    node.map((n) => new Reset(n)),
    node.map((n) => new Lose(n)),
    fc.tuple(node, fc.integer({ min: 0, max: 100 })).map(([n, ms]) => new Lease(n, ms))
  ],
  { maxCommands: 200, size: "max" }
)

/** How many pairs a history gives on average, at the least: so many runs judge so many pairs. */
const pairsPerRun = 200

describe("a history of stamps", () => {
  for (const population of [undefined, base]) {
    const guard = population === undefined ? "without a guard" : "behind a guard"
    it(`orders what happened before, repeats nothing and never runs back, through jumps, resets, leases, lost clocks, loss, repetition and reordering, ${guard}`, () => {
      let pairs = 0
      let runs = 0
      fc.assert(
        fc.property(commands, (run) => {
          const fleet = new Fleet()
          fleet.population = population
          fc.modelRun(() => ({ model: { frames: 0 }, real: fleet }), run)
          const { events } = fleet
          assert.strictEqual(new Set(events.map(({ at }) => Stamp.toText(at))).size, events.length)
          runs++
          for (const f of events) {
            for (const e of events) {
              // e happened before f: f knows of e's event.
              if (e === f || (f.vector[e.node] as number) < (e.vector[e.node] as number)) continue
              pairs++
              if (Stamp.compare(e.at, f.at) >= 0) assert.fail(`${Stamp.toText(e.at)} -> ${Stamp.toText(f.at)}`)
              // An epoch dominates: whatever lies in a higher one is later, by the order of stamps itself.
              if (e.at.epoch > f.at.epoch) assert.fail("an epoch is never left again")
            }
          }
        })
      )
      assert.isAtLeast(pairs / runs, pairsPerRun)
    }, 300_000)
  }

  it("a reset reaches everybody who hears of it, and leaves a poisoned wall behind", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(node, node), { maxLength: 60 }), (meetings) => {
        const fleet = new Fleet()
        for (let n = 0; n < size; n++) {
          fleet.cells[n] = { epoch: 0, wall: base + 3_600_000, counter: 0, limit: base + 3_605_000 }
          fleet.sources[n]?.add(source(0, base + 3_600_000)).add(source(1, base))
        }
        fleet.cells[0] = Hlc.reset(fleet.cell(0), 0, base) as Hlc.Reading
        const ring = Array.from({ length: size }, (_, n) => [n, (n + 1) % size] as const)
        for (const [from, to] of [...meetings, ...ring]) {
          const { at } = fleet.happen(from)
          fleet.cells[to] = Hlc.receive(fleet.cell(to), at, fleet.wall(to))
        }
        for (let n = 0; n < size; n++) {
          const { at } = fleet.happen(n)
          assert.strictEqual(at.epoch, 1)
          assert.isTrue(at.wall < base + 1000)
        }
      })
    )
  })
})
