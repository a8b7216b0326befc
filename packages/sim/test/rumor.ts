/**
 * An example protocol, small enough to read in a minute: everybody tells everybody what was heard.
 *
 * A node keeps a link to each of its acquaintances, dialling again when one is lost or falls silent. A rumor is written
 * down before it is told on, so a node that crashes still knows what it told others. A new link begins with all rumors.
 */
import { type Machine, Rng } from "@starling/machine"
import type { World } from "@starling/sim"

export type Message = { readonly _tag: "Rumors"; readonly texts: ReadonlyArray<string> } | { readonly _tag: "Ping" }

export type Timer = { readonly _tag: "Tick" } | { readonly _tag: "Redial"; readonly address: string }

export type Command = { readonly _tag: "Started" } | { readonly _tag: "Tell"; readonly text: string }

export interface Link {
  readonly link: number
  readonly heardAt: number
  /** Undefined on a link that the other side opened. */
  readonly address: string | undefined
}

export interface State {
  readonly acquaintances: ReadonlyArray<string>
  readonly rng: Rng.Rng
  readonly links: ReadonlyArray<Link>
  readonly known: ReadonlyArray<string>
  readonly writing: ReadonlyArray<{ readonly token: number; readonly text: string }>
  readonly attempts: ReadonlyArray<string>
  readonly token: number
}

export interface Rumor extends World.Protocol {
  readonly state: State
  readonly message: Message
  readonly timer: Timer
  readonly output: string
  readonly command: Command
}

type Step = Machine.Step<State, World.Action<Rumor>>

const tickMs = 1000
const silenceMs = 3500

export const program =
  (acquaintances: ReadonlyArray<string>): World.Program<Rumor> =>
  (boot) => ({
    initial: {
      acquaintances,
      rng: Rng.make(boot.seed),
      links: [],
      known: [...(boot.stored.get("rumors")?.keys() ?? [])],
      writing: [],
      attempts: [],
      token: 0
    },
    step
  })

const step = (state: State, { event, now }: World.Input<Rumor>): Step => {
  switch (event._tag) {
    case "Started": {
      const [first, rng] = Rng.nextInt(state.rng, tickMs)
      const tick: World.Action<Rumor> = { _tag: "SetTimer", delayMs: first, timer: { _tag: "Tick" } }
      return state.acquaintances.reduce<Step>(
        ([state, actions], address) => {
          const [next, more] = dial(state, address)
          return [next, [...actions, ...more]]
        },
        [{ ...state, rng }, [tick]]
      )
    }
    case "Tell":
      return learn(state, [event.text])
    case "LinkUp": {
      const address = event.attempt === undefined ? undefined : state.attempts[event.attempt - 1]
      const links = [...state.links, { link: event.link, heardAt: now, address }]
      return [{ ...state, links }, [tell(event.link, state.known)]]
    }
    case "LinkDown": {
      const lost = state.links.find(({ link }) => link === event.link)
      const links = state.links.filter(({ link }) => link !== event.link)
      return [{ ...state, links }, lost?.address === undefined ? [] : [redial(lost.address)]]
    }
    case "LinkRefused":
      return [state, [redial(event.address)]]
    case "Received": {
      const links = state.links.map((link) => (link.link === event.link ? { ...link, heardAt: now } : link))
      return event.message._tag === "Ping" ? [{ ...state, links }, []] : learn({ ...state, links }, event.message.texts)
    }
    case "Written": {
      const written = state.writing.filter(({ token }) => token === event.token).map(({ text }) => text)
      const writing = state.writing.filter(({ token }) => token !== event.token)
      return [
        { ...state, writing, known: [...state.known, ...written] },
        [
          ...state.links.map(({ link }) => tell(link, written)),
          ...written.map((output): World.Action<Rumor> => ({ _tag: "Emit", output }))
        ]
      ]
    }
    case "TimerFired":
      return event.timer._tag === "Redial" ? dial(state, event.timer.address) : onTick(state, now)
  }
}

const onTick = (state: State, now: number): Step => [
  state,
  [
    { _tag: "SetTimer", delayMs: tickMs, timer: { _tag: "Tick" } },
    ...state.links.map(({ link, heardAt }): World.Action<Rumor> =>
      now - heardAt > silenceMs
        ? { _tag: "Close", link, reason: "silent" }
        : { _tag: "Send", link, message: { _tag: "Ping" } }
    )
  ]
]

const learn = (state: State, texts: ReadonlyArray<string>): Step => {
  const isNew = (text: string): boolean =>
    !state.known.includes(text) && !state.writing.some((writing) => writing.text === text)
  const writing = texts.filter(isNew).map((text, index) => ({ token: state.token + index + 1, text }))
  return [
    { ...state, token: state.token + writing.length, writing: [...state.writing, ...writing] },
    writing.map(({ token, text }) => ({ _tag: "Write", token, rows: [{ table: "rumors", key: text, value: true }] }))
  ]
}

const tell = (link: number, texts: ReadonlyArray<string>): World.Action<Rumor> => ({
  _tag: "Send",
  link,
  message: { _tag: "Rumors", texts }
})

const dial = (state: State, address: string): Step => {
  const attempts = [...state.attempts, address]
  return [{ ...state, attempts }, [{ _tag: "Open", attempt: attempts.length, address }]]
}

const redial = (address: string): World.Action<Rumor> => ({
  _tag: "SetTimer",
  delayMs: 500,
  timer: { _tag: "Redial", address }
})
