/** The rows with nact: its actors are children of a system, its mailboxes have no bound, so credit is all that bounds them. */
import { dispatch, query, type Ref, spawn as spawnActor, start as startSystem, stop } from "nact"
import { Finished, latencies, micros, rate, used } from "./rounds.ts"
import { serve, type Setup } from "./serve.ts"

const system = startSystem()

interface Item {
  readonly n: number
  readonly from: Ref<"More" | number> | undefined
}

const mailbox: Setup = async (_, [sources = 1, batch = 0, bound = 0]) => {
  const credit = Math.floor(bound / sources)
  const share = Math.floor(batch / sources)
  const finished = new Finished()
  let handled = 0
  const sink: Ref<Item> = spawnActor(
    system,
    (n: number, { from }: Item) => {
      handled++
      if (from !== undefined) dispatch(from, "More")
      return n + 1
    },
    "sink",
    { initialState: 0 }
  )
  const source = (_: unknown, i: number): Ref<"More" | number> =>
    spawnActor(
      system,
      (left: number, message: "More" | number, { self }) => {
        const rest = message === "More" ? left : message
        if (rest === 0) {
          finished.one()
          return 0
        }
        const now = Math.min(rest, credit)
        for (let n = now; n > 1; n--) dispatch(sink, { n, from: undefined })
        dispatch(sink, { n: 1, from: self })
        return rest - now
      },
      `source-${i}`,
      { initialState: 0 }
    )
  const refs = Array.from({ length: sources }, source)
  const work = async () => {
    await finished.all(sources, () => {
      for (const ref of refs) dispatch(ref, share)
    })
    return share * sources
  }
  return { run: rate(work, () => handled) }
}

interface Ball {
  readonly from: Ref<Ball>
  readonly left: number
}

const pingpong: Setup = async (_, [batch = 0]) => {
  const finished = new Finished()
  let handled = 0
  const player = (name: string): Ref<Ball> =>
    spawnActor(
      system,
      (n: number, { from, left }: Ball, { self }) => {
        handled++
        if (left === 0) finished.one()
        else dispatch(from, { from: self, left: left - 1 })
        return n + 1
      },
      name,
      { initialState: 0 }
    )
  const [a, b] = [player("a"), player("b")]
  const work = async () => {
    await finished.all(1, () => dispatch(a, { from: b, left: 2 * batch - 1 }))
    return batch
  }
  return { run: rate(work, () => handled / 2) }
}

interface Token {
  readonly left: number
}

const ring: Setup = async (_, [size = 0, batch = 0]) => {
  const finished = new Finished()
  let handled = 0
  const refs: Array<Ref<Token>> = Array.from({ length: size }, (_, i) =>
    spawnActor(
      system,
      (n: number, { left }: Token) => {
        handled++
        if (left === 0) finished.one()
        else dispatch(refs[(i + 1) % size] as Ref<Token>, { left: left - 1 })
        return n + 1
      },
      `link-${i}`,
      { initialState: 0 }
    )
  )
  const work = async () => {
    await finished.all(1, () => dispatch(refs[0] as Ref<Token>, { left: batch - 1 }))
    return batch
  }
  return { run: rate(work, () => handled) }
}

interface Question {
  readonly from: Ref<number>
}

const answering = (name?: string): Ref<Question> =>
  spawnActor(
    system,
    (n: number, { from }: Question) => {
      dispatch(from, n)
      return n + 1
    },
    name,
    { initialState: 0 }
  )

const askOnce = (ref: Ref<Question>): Promise<number> => query(ref, (from: Ref<number>) => ({ from }), 5000)

const ask: Setup = async (_, [batch = 0]) => {
  const server = answering("server")
  let next = 0
  const work = async () => {
    for (const last = next + batch; next < last; next++) {
      const n = await askOnce(server)
      if (n !== next) throw new Error(`answer ${n} to question ${next}`)
    }
    return batch
  }
  return { run: rate(work, () => next) }
}

/** Stopped when `afterStop` was called: nact has no monitors. It acknowledges no start. */
const spawn: Setup = async (_, [batch = 0]) => {
  let stopped = 0
  const finished = new Finished()
  const work = async () => {
    for (let i = 0; i < batch; i++) {
      await finished.all(1, () => {
        const ref = spawnActor(system, (n: number) => n + 1, undefined, {
          initialState: 0,
          afterStop: () => {
            stopped++
            finished.one()
          }
        })
        stop(ref)
      })
    }
    return batch
  }
  return { run: rate(work, () => stopped) }
}

const memory: Setup = async (_, [count = 0]) => ({
  run: async () => {
    const before = await used()
    const refs: Array<Ref<Question>> = []
    for (let i = 0; i < count; i++) {
      // A name each: the ones that nact makes up are random numbers, two of which may be the same.
      const ref = answering(`idle-${i}`)
      if ((await askOnce(ref)) !== 0) throw new Error("the first answer is 0")
      refs.push(ref)
    }
    const bytes = ((await used()) - before) / count
    for (const ref of refs) stop(ref)
    await new Promise((resolve) => setTimeout(resolve, 100))
    return { bytes, actors: count }
  }
})

type Crashing = "Crash" | Question

/** `reset` begins anew with the state of `initialStateFunc`, `resetAll` does so for the siblings too. */
const crashing =
  (all: boolean): Setup =>
  async (_, numbers) => {
    const [members = 1, crashes = 0] = all ? numbers : [1, numbers[0]]
    const incarnations = Array.from({ length: members }, () => 0)
    const parent = spawnActor(system, (state: number) => state, "parent", { initialState: 0 })
    const refs = incarnations.map((_, i): Ref<Crashing> =>
      spawnActor(
        parent,
        (incarnation: number, message: Crashing) => {
          if (message === "Crash") throw new Error("crash")
          dispatch(message.from, incarnation)
          return incarnation
        },
        `member-${i}`,
        {
          initialStateFunc: () => (incarnations[i] = (incarnations[i] ?? 0) + 1),
          onCrash: (_message, _error, context) => (all ? context.resetAll : context.reset)
        }
      )
    )
    const lastFirst = refs.toReversed()
    const answered = async (ref: Ref<Crashing>, incarnation: number): Promise<void> => {
      while ((await query(ref, (from: Ref<number>) => ({ from }), 5000)) !== incarnation);
    }
    const work = async () => {
      const times: Array<number> = []
      for (let i = 0; i < crashes; i++) {
        const next = (incarnations[0] ?? 0) + 1
        const from = micros()
        dispatch(refs[0] as Ref<Crashing>, "Crash")
        for (const ref of lastFirst) await answered(ref, next)
        times.push(micros() - from)
      }
      return times
    }
    return { run: latencies(work) }
  }

await serve({ mailbox, pingpong, ring, ask, spawn, memory, restart: crashing(false), oneforall: crashing(true) })
