/**
 * The smallest talk there is, by two simulators: each of `size` nodes greets five others once a second, and each greeting
 * is answered. What it costs is the simulator's own cost.
 *
 * In Starling's world the greetings go over links that were dialled, in order, with a latency for each pair and jitter for
 * each frame, between machines whose state is a value, and all of it goes into the digest of the history. `simjs` sends a
 * message to an object after a delay.
 */
import { World } from "@starling/sim"
import { Entity, Sim } from "./simjs.ts"

/** How many greetings, answers and timers there were in the time that counts. */
export interface Talk {
  /** Lets so many seconds of virtual time go by. */
  readonly pass: (seconds: number) => void
  readonly events: () => number
}

const othersOf = (node: number, size: number): ReadonlyArray<number> =>
  [1, 7, 50, 333, 1777].map((step) => (node * 31 + step) % size)

// --- Starling --------------------------------------------------------------------------------------------------------

interface Chatter extends World.Protocol {
  readonly state: { readonly links: ReadonlyArray<number>; readonly heard: number }
  readonly message: { readonly _tag: "Hello" | "Answer"; readonly round: number }
  readonly timer: { readonly _tag: "Tick"; readonly round: number }
  readonly output: never
  readonly command: { readonly _tag: "Started" }
}

type Step = readonly [Chatter["state"], ReadonlyArray<World.Action<Chatter>>]

const nothing: ReadonlyArray<World.Action<Chatter>> = []

const id = (n: number): string => n.toString(16).padStart(12, "0")

const stepOf =
  (node: number, size: number) =>
  (state: Chatter["state"], { event }: World.Input<Chatter>): Step => {
    switch (event._tag) {
      case "Started": {
        const dials = othersOf(node, size).map((other, attempt): World.Action<Chatter> => {
          return { _tag: "Open", attempt, address: id(other) }
        })
        return [
          state,
          [...dials, { _tag: "SetTimer", delayMs: 1000 + (node % 1000), timer: { _tag: "Tick", round: 1 } }]
        ]
      }
      case "LinkUp":
        // Whoever was dialled answers, and greets its own five.
        return event.attempt === undefined
          ? [state, nothing]
          : [{ ...state, links: [...state.links, event.link] }, nothing]
      case "TimerFired": {
        const { round } = event.timer
        const actions: Array<World.Action<Chatter>> = [
          { _tag: "SetTimer", delayMs: 1000, timer: { _tag: "Tick", round: round + 1 } }
        ]
        for (const link of state.links) actions.push({ _tag: "Send", link, message: { _tag: "Hello", round } })
        return [state, actions]
      }
      case "Received": {
        const { link, message } = event
        const heard = { links: state.links, heard: state.heard + 1 }
        if (message._tag === "Answer") return [heard, nothing]
        return [heard, [{ _tag: "Send", link, message: { _tag: "Answer", round: message.round } }]]
      }
      default:
        return [state, nothing]
    }
  }

/** Warmed up: the links are open. */
export const starling = (size: number): Talk => {
  const world = World.make<Chatter>({ seed: 1 })
  for (let node = 0; node < size; node++) {
    const step = stepOf(node, size)
    World.join(
      world,
      { id: id(node), incarnation: 1, address: id(node) },
      () => ({ initial: { links: [], heard: 0 }, step }),
      { started: [{ _tag: "Started" }] }
    )
  }
  return {
    pass: (seconds) => World.pass(world, 1000 * seconds),
    events: () => World.counters(world).events
  }
}

// --- simjs -----------------------------------------------------------------------------------------------------------

interface Square {
  readonly size: number
  readonly all: Array<Talker>
  events: number
}

interface Saying {
  readonly greeting: boolean
  readonly round: number
}

class Talker extends Entity {
  private square: Square = { size: 0, all: [], events: 0 }
  private others: ReadonlyArray<number> = []
  private rounds = 0
  heard = 0

  start(square: Square): void {
    const node = square.all.length
    this.square = square
    this.others = othersOf(node, square.size)
    square.all.push(this)
    this.setTimer(1000 + (node % 1000)).done(this.tick, this)
  }

  tick(): void {
    const { square } = this
    square.events++
    this.rounds++
    this.setTimer(1000).done(this.tick, this)
    for (const other of this.others) {
      const talker = square.all[other]
      if (talker !== undefined) this.send({ greeting: true, round: this.rounds }, delayMs(square.events), talker)
    }
  }

  /** Called by `simjs`. */
  onMessage(from: Talker, { greeting, round }: Saying): void {
    this.square.events++
    this.heard++
    if (greeting) this.send({ greeting: false, round }, delayMs(this.square.events), from)
  }
}

/** 10 to 50 ms, as in a world unless told otherwise, and no two alike. */
const delayMs = (n: number): number => 10 + (((n * 0x9e3779b1) >>> 0) / 2 ** 32) * 40

export const simjs = (size: number): Talk => {
  const sim = new Sim()
  const square: Square = { size, all: [], events: 0 }
  for (let node = 0; node < size; node++) sim.addEntity(Talker, "", square)
  let until = 0
  return {
    pass: (seconds) => {
      until += 1000 * seconds
      sim.simulate(until)
    },
    events: () => square.events
  }
}
