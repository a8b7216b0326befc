/** A machine without a will: it does what a command says, so that a test can say exactly what a node does. */
import { World } from "@starling/sim"
import type { Machine, Peer } from "@starling/machine"

export interface Said {
  readonly from: string
  readonly run: number
  readonly link: number
  readonly n: number
}

export type Action = Machine.Action<Said, string, string>

export interface Puppet extends World.Protocol {
  readonly state: { readonly stored: World.Boot["stored"]; readonly seed: string; readonly steps: number }
  readonly message: Said
  readonly timer: string
  readonly output: string
  readonly command: { readonly _tag: "Do"; readonly actions: ReadonlyArray<Action> } | { readonly _tag: "Started" }
}

export const program: World.Program<Puppet> = (boot) => ({
  initial: { stored: boot.stored, seed: boot.seed, steps: 0 },
  step: (state, { event }) => [{ ...state, steps: state.steps + 1 }, event._tag === "Do" ? event.actions : []]
})

export const peer = (n: number): Peer.Peer => ({
  id: n.toString(16).padStart(12, "0"),
  incarnation: 1,
  address: `host-${n}:1`
})

export const id = (n: number): string => peer(n).id

export interface Seen {
  readonly at: number
  readonly node: string
  readonly incarnation: number
  readonly event: World.Event<Puppet>
}

export interface Stage {
  readonly world: World.World<Puppet>
  readonly seen: Array<Seen>
  readonly outputs: Array<string>
}

/** `size` puppets that have started; links take 20 ms, packets come evenly. */
export const stage = (size: number, options: Partial<World.Options<Puppet>> = {}): Stage => {
  const seen: Array<Seen> = []
  const outputs: Array<string> = []
  const world = World.make<Puppet>({
    seed: 1,
    ...options,
    network: { latencyMs: [20, 20], jitterMs: 0, ...options.network },
    observer: {
      step: ({ now, peer }, event) => seen.push({ at: now, node: peer.id, incarnation: peer.incarnation, event }),
      output: (_at, output) => outputs.push(output)
    }
  })
  for (let n = 0; n < size; n++) World.join(world, peer(n), program, { started: [{ _tag: "Started" }] })
  World.run(world, 0)
  seen.length = 0
  return { world, seen, outputs }
}

export const act = ({ world }: Stage, n: number, ...actions: ReadonlyArray<Action>): boolean =>
  World.inject(world, id(n), { _tag: "Do", actions })

export const open = (n: number, attempt = 1): Action => ({ _tag: "Open", attempt, address: peer(n).address })

export const say = (link: number, n: number, from = 0, run = 1): Action => ({
  _tag: "Send",
  link,
  message: { from: id(from), run, link, n }
})

/** What a node heard from the shell, without its commands. */
export const heard = ({ seen }: Stage, n: number): ReadonlyArray<Seen> =>
  seen.filter(({ node, event }) => node === id(n) && event._tag !== "Do" && event._tag !== "Started")

export const events = (stage: Stage, n: number): ReadonlyArray<World.Event<Puppet>> =>
  heard(stage, n).map(({ event }) => event)

export const numbers = (stage: Stage, n: number): ReadonlyArray<number> =>
  events(stage, n).flatMap((event) => (event._tag === "Received" ? [event.message.n] : []))

/** 0 opens a link to 1, and both know it. */
export const linked = (options: Partial<World.Options<Puppet>> = {}, size = 2): Stage => {
  const set = stage(size, options)
  act(set, 0, open(1))
  World.pass(set.world, 200)
  set.seen.length = 0
  return set
}
