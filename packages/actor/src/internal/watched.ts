/** What can be watched, and can watch: monitors, one-way, with exactly one Down each. */
import * as Effect from "effect/Effect"
import * as ExitReason from "../ExitReason.ts"
import type { Address, Signal } from "./model.ts"
import type { Process } from "./process.ts"
import type { Runtime } from "./runtime.ts"

type Watcher = (reason: ExitReason.DownReason) => void

export abstract class Watched {
  readonly runtime: Runtime
  phase: "starting" | "running" | "suspended" | "stopping" | "dead" = "starting"
  ended: ExitReason.ExitReason | undefined = undefined
  // Made when they are needed: an actor that waits should cost little. Most have one watcher, their supervisor.
  protected signals: Array<Signal> | undefined = undefined
  private watcher: Watcher | undefined = undefined
  private watcherId = 0
  private watchers: Map<number, Watcher> | undefined = undefined
  private watching: Map<number, { readonly process: Process; readonly watch: number }> | undefined = undefined

  constructor(runtime: Runtime) {
    this.runtime = runtime
  }

  abstract wake(): void

  get isDead(): boolean {
    return this.phase === "dead"
  }

  get awaitEnd(): Effect.Effect<ExitReason.DownReason> {
    return Effect.callback<ExitReason.DownReason>((resume) => {
      const monitor = this.watch((reason) => this.runtime.defer(() => resume(Effect.succeed(reason))))
      return Effect.sync(() => this.unwatch(monitor))
    })
  }

  watch(watcher: Watcher): number {
    const id = this.runtime.nextId()
    if (this.ended !== undefined) watcher(this.ended)
    else if (this.watcher === undefined) {
      this.watcher = watcher
      this.watcherId = id
    } else (this.watchers ??= new Map()).set(id, watcher)
    return id
  }

  unwatch(id: number): void {
    if (id === this.watcherId) this.watcher = undefined
    else this.watchers?.delete(id)
  }

  monitorUnsafe(target: Address): number {
    const process = target.resolveProcess()
    if (process === undefined || process.isDead) {
      const monitor = this.runtime.nextId()
      this.push({ _tag: "Down", monitor, ref: target, reason: ExitReason.noProc })
      return monitor
    }
    // Its own number: that of the watch is the target's, and two targets of two systems can have the same.
    const monitor = this.runtime.nextId()
    const watching = (this.watching ??= new Map())
    const watch = process.watch((reason) => {
      watching.delete(monitor)
      this.push({ _tag: "Down", monitor, ref: process, reason })
    })
    watching.set(monitor, { process, watch })
    return monitor
  }

  /** The end of a monitor takes a Down with it that is still waiting. */
  demonitorUnsafe(monitor: number): void {
    const watched = this.watching?.get(monitor)
    watched?.process.unwatch(watched.watch)
    this.watching?.delete(monitor)
    this.signals = this.signals?.filter((signal) => signal.monitor !== monitor)
  }

  monitor(target: Address): Effect.Effect<number> {
    return Effect.sync(() => this.monitorUnsafe(target))
  }

  demonitor(monitor: number): Effect.Effect<void> {
    return Effect.sync(() => this.demonitorUnsafe(monitor))
  }

  push(signal: Signal): void {
    if (this.isDead) return
    if (this.signals === undefined) this.signals = [signal]
    else this.signals.push(signal)
    this.wake()
  }

  protected endMonitors(reason: ExitReason.DownReason): void {
    const { watcher, watchers, watching } = this
    this.signals = this.watcher = this.watchers = this.watching = undefined
    if (watching !== undefined) for (const { process, watch } of watching.values()) process.unwatch(watch)
    watcher?.(reason)
    if (watchers !== undefined) for (const other of watchers.values()) other(reason)
  }
}
