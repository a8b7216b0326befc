/**
 * `simjs` 2.0.3, the simulator of the registry that is set beside ours: a bundle for browsers, without types, that leaves
 * what it has on `window`. So for as long as it is loaded there is one.
 */

interface Request {
  done(callback: () => void, context: Entity): Request
}

interface Entity {
  setTimer(delay: number): Request
  send(message: unknown, delay: number, to: Entity): void
}

interface Sim {
  addEntity<A>(entity: new () => Entity & { start(argument: A): void }, name: string, argument: A): Entity
  simulate(endTime: number): boolean
}

interface Bundle {
  readonly Sim: new () => Sim
  readonly Entity: new () => Entity
}

const browser: { window?: { Sim?: Bundle } } = globalThis as never
const window: { Sim?: Bundle } = {}
browser.window = window
await import("simjs" as string)
delete browser.window
if (window.Sim === undefined) throw new Error("simjs 2.0.3 puts `Sim` on `window`; what is installed does not")

export const { Entity, Sim } = window.Sim
