/**
 * A thousand nodes for a virtual minute, each with five links and about ten events a second: what a fleet of members
 * costs the world, without the members.
 */
import { World } from "@starling/sim"
import { test } from "vitest"

interface Chatter extends World.Protocol {
  readonly state: { readonly links: ReadonlyArray<number>; readonly heard: number }
  readonly message: { readonly _tag: "Ping" | "Pong"; readonly seq: number; readonly claim: boolean }
  readonly timer: { readonly _tag: "Tick"; readonly round: number }
  readonly output: never
  readonly command: { readonly _tag: "Started" }
}

const id = (n: number): string => n.toString(16).padStart(12, "0")

const program =
  (n: number, size: number): World.Program<Chatter> =>
  () => ({
    initial: { links: [], heard: 0 },
    step: (state, { event }) => {
      switch (event._tag) {
        case "Started":
          return [
            state,
            [
              ...[1, 7].map((step): World.Action<Chatter> => {
                return { _tag: "Open", attempt: step, address: id((n * 31 + step) % size) }
              }),
              { _tag: "SetTimer", delayMs: n % 1000, timer: { _tag: "Tick", round: 1 } }
            ]
          ]
        case "LinkUp":
          return [{ ...state, links: [...state.links, event.link] }, []]
        case "TimerFired":
          return [
            state,
            [
              { _tag: "SetTimer", delayMs: 1000, timer: { _tag: "Tick", round: event.timer.round + 1 } },
              ...state.links.map((link): World.Action<Chatter> => {
                return { _tag: "Send", link, message: { _tag: "Ping", seq: event.timer.round, claim: true } }
              })
            ]
          ]
        case "Received":
          return event.message._tag === "Ping"
            ? [
                { ...state, heard: state.heard + 1 },
                [{ _tag: "Send", link: event.link, message: { ...event.message, _tag: "Pong" } }]
              ]
            : [state, []]
        default:
          return [state, []]
      }
    }
  })

const play = (size: number, untilMs: number): World.Counters => {
  const world = World.make<Chatter>({ seed: 1 })
  for (let n = 0; n < size; n++) {
    World.join(world, { id: id(n), incarnation: 1, address: id(n) }, program(n, size), {
      started: [{ _tag: "Started" }]
    })
  }
  World.run(world, untilMs)
  return World.counters(world)
}

test("a thousand nodes for a virtual minute, at about ten events a second each", async ({ bench }) => {
  await bench("World", () => {
    const { events } = play(1000, 60_000)
    if (events < 400_000) throw new Error(`only ${events} events`)
  }).run({ iterations: 3, warmupIterations: 1, time: 0, warmupTime: 0 })
}, 60_000)
