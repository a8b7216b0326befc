/**
 * The overlay of an agent without clock and facts (`OverlayFleet`), under four kinds of load, one after the other: what a
 * virtual event costs the processor, and what a node costs in memory.
 */
import { World } from "@starling/sim"
import { OverlayFleet } from "@starling/testing"
import { cpuUsage, hrtime, memoryUsage, resourceUsage } from "node:process"
import { allocatedBytes } from "../measure.ts"

export interface Load {
  readonly name: string
  readonly nodes: number
  readonly virtualSeconds: number
  readonly events: number
  /** By the wall. */
  readonly seconds: number
  /** Of all threads: collecting garbage has some of its own. */
  readonly processorSeconds: number
  readonly allocatedBytes: number
}

export interface Measured {
  readonly size: number
  readonly loads: ReadonlyArray<Load>
  /** Heap for each node when all have joined and settled, and nothing but them is kept. */
  readonly heapBytesOfNode: number
  /** The process at its largest. */
  readonly residentMib: number
  readonly history: string
}

const seed = 1

/** All join within this, each at one that joined before. */
const joinSeconds = 10

const settleSeconds = 15

/** So many events that a load takes a while at any size: about 13 for each node and second. */
const idleSeconds = (size: number): number => Math.min(60, Math.max(5, Math.round(200_000 / size)))

const broadcastsBefore = 5

/** Each reaches everybody: fewer of them in a larger fleet. */
const broadcastSeconds = (size: number): number => Math.min(5, Math.max(1, Math.round(50_000 / size)))

/** One node sends, ten times a second. */
const broadcastMs = 100

const failedShare = 0.1

const failSeconds = 5

export const measure = (size: number, collect: () => void, say: (what: string) => void): Measured => {
  collect()
  const empty = memoryUsage().heapUsed
  const world = OverlayFleet.make({ seed })
  const peers = Array.from({ length: size }, (_, n) => OverlayFleet.peer(seed, n))
  const loads: Array<Load> = []
  const load = (name: string, virtualSeconds: number, run: () => void): void => {
    say(`${size} nodes: ${name}`)
    const before = {
      events: World.counters(world).events,
      bytes: allocatedBytes(),
      cpu: cpuUsage(),
      at: hrtime.bigint()
    }
    run()
    const { system, user } = cpuUsage(before.cpu)
    loads.push({
      name,
      nodes: World.running(world).length,
      virtualSeconds,
      events: World.counters(world).events - before.events,
      seconds: Number(hrtime.bigint() - before.at) / 1e9,
      processorSeconds: (user + system) / 1e6,
      allocatedBytes: allocatedBytes() - before.bytes
    })
  }
  load("a wave of joins", joinSeconds, () => joinAll(world, peers))
  // Not counted: what is measured next begins with an overlay at rest.
  World.pass(world, 1000 * settleSeconds)
  collect()
  const heapBytesOfNode = (memoryUsage().heapUsed - empty) / size
  load("idle: keepalives and shuffles", idleSeconds(size), () => World.pass(world, 1000 * idleSeconds(size)))
  const root = peers[size >> 1]?.id ?? ""
  // The first floods, and the tree is what is left of it.
  for (let n = 0; n < broadcastsBefore; n++) {
    OverlayFleet.broadcast(world, root, n)
    World.pass(world, 1000)
  }
  load("ten broadcasts a second", broadcastSeconds(size), () => {
    for (let n = 0; n < (1000 * broadcastSeconds(size)) / broadcastMs; n++) {
      OverlayFleet.broadcast(world, root, broadcastsBefore + n)
      World.pass(world, broadcastMs)
    }
  })
  load("a tenth fails at once", failSeconds, () => {
    for (let n = 1; n < size; n += Math.round(1 / failedShare)) World.crash(world, peers[n]?.id ?? "")
    World.pass(world, 1000 * failSeconds)
  })
  return { size, loads, heapBytesOfNode, residentMib: resourceUsage().maxRSS / 1024, history: World.history(world) }
}

const joinAll = (
  world: World.World<OverlayFleet.Protocol>,
  peers: ReadonlyArray<ReturnType<typeof OverlayFleet.peer>>
) => {
  for (const [n, peer] of peers.entries()) {
    const contact = peers[Math.floor((((n * 0x9e3779b1) >>> 0) / 2 ** 32) * n)]
    OverlayFleet.join(world, peer, n === 0 || contact === undefined ? [] : [contact.address])
    World.pass(world, (1000 * joinSeconds) / peers.length)
  }
}
