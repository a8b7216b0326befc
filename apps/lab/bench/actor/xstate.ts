/**
 * The rows with XState's transition actors. Not a peer: an event is handled on the sender's stack whenever the receiver is
 * idle, so there is no mailbox in the way, and nothing gives the loop back. Shown because people ask.
 */
import { type ActorRefFrom, createActor, fromTransition, waitFor } from "xstate"
import { Finished, rate, used } from "./rounds.ts"
import { serve, type Setup } from "./serve.ts"

const mailbox: Setup = async (_, [sources = 1, batch = 0]) => {
  const share = Math.floor(batch / sources)
  const finished = new Finished()
  const sink = createActor(
    fromTransition(
      (n: number, { type }: { readonly type: "item"; readonly n: number }) => (type === "item" ? n + 1 : n),
      0
    )
  ).start()
  const source = () =>
    createActor(
      fromTransition((state: number, { count }: { readonly type: "send"; readonly count: number }) => {
        for (let n = count; n > 0; n--) sink.send({ type: "item", n })
        finished.one()
        return state + count
      }, 0)
    ).start()
  const actors = Array.from({ length: sources }, source)
  const work = async () => {
    await finished.all(sources, () => {
      for (const actor of actors) actor.send({ type: "send", count: share })
    })
    return share * sources
  }
  return { run: rate(work, () => sink.getSnapshot().context) }
}

interface Ball {
  readonly type: "ball"
  readonly from: { readonly send: (ball: Ball) => void }
  readonly left: number
}

const pingpong: Setup = async (_, [batch = 0]) => {
  const finished = new Finished()
  const player = () =>
    createActor(
      fromTransition((n: number, { from, left }: Ball, { self }) => {
        if (left === 0) finished.one()
        else from.send({ type: "ball", from: self, left: left - 1 })
        return n + 1
      }, 0)
    ).start()
  const [a, b] = [player(), player()]
  const work = async () => {
    await finished.all(1, () => a.send({ type: "ball", from: b, left: 2 * batch - 1 }))
    return batch
  }
  return { run: rate(work, () => (a.getSnapshot().context + b.getSnapshot().context) / 2) }
}

const ring: Setup = async (_, [size = 0, batch = 0]) => {
  const finished = new Finished()
  const link = (_: unknown, i: number) =>
    createActor(
      fromTransition((n: number, { left }: { readonly type: "token"; readonly left: number }) => {
        if (left === 0) finished.one()
        else actors[(i + 1) % size]?.send({ type: "token", left: left - 1 })
        return n + 1
      }, 0)
    ).start()
  type Link = {
    readonly send: (token: { readonly type: "token"; readonly left: number }) => void
    readonly getSnapshot: () => { readonly context: number }
  }
  const actors: Array<Link> = Array.from({ length: size }, link)
  const work = async () => {
    await finished.all(1, () => actors[0]?.send({ type: "token", left: batch - 1 }))
    return batch
  }
  return { run: rate(work, () => actors.reduce((sum, actor) => sum + actor.getSnapshot().context, 0)) }
}

const counting = fromTransition((n: number, { type }: { readonly type: "ask" }) => (type === "ask" ? n + 1 : n), 0)

/** There is no ask: an event, and a wait for the state that follows it. */
const askOnce = async (actor: ActorRefFrom<typeof counting>, expected: number): Promise<void> => {
  actor.send({ type: "ask" })
  await waitFor(actor, ({ context }) => context === expected, { timeout: 5000 })
}

const ask: Setup = async (_, [batch = 0]) => {
  const server = createActor(counting).start()
  const work = async () => {
    for (let i = 0; i < batch; i++) await askOnce(server, server.getSnapshot().context + 1)
    return batch
  }
  return { run: rate(work, () => server.getSnapshot().context) }
}

const spawn: Setup = async (_, [batch = 0]) => {
  let stopped = 0
  const work = async () => {
    for (let i = 0; i < batch; i++) {
      const actor = createActor(counting).start()
      actor.subscribe({ complete: () => stopped++ })
      actor.stop()
    }
    return batch
  }
  return { run: rate(work, () => stopped) }
}

const memory: Setup = async (_, [count = 0]) => ({
  run: async () => {
    const before = await used()
    const actors: Array<ActorRefFrom<typeof counting>> = []
    for (let i = 0; i < count; i++) {
      const actor = createActor(counting).start()
      await askOnce(actor, 1)
      actors.push(actor)
    }
    const bytes = ((await used()) - before) / count
    for (const actor of actors) actor.stop()
    return { bytes, actors: count }
  }
})

await serve({ mailbox, pingpong, ring, ask, spawn, memory })
