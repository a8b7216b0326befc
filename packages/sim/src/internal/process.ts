/**
 * Runs of nodes: booting from the disk, stepping, carrying out what a step asks for, crashing.
 */
import { type Machine, Peer } from "@starling/machine"
import type { Action, Event, Occasion, Protocol } from "./model.ts"
import { between, type Core, draw, enter, type Host, type Run, tell } from "./core.ts"
import * as Digest from "./digest.ts"
import * as Network from "./network.ts"

export const boot = <P extends Protocol>(core: Core<P>, host: Host<P>): void => {
  const { address, datacenter, incarnation, peerId } = host
  const peer = Peer.within({ id: peerId, incarnation, address }, datacenter)
  host.runs++
  host.silent = false
  record(core, host, `boot ${peer.address} ${peer.incarnation}`)
  const machine = host.program({
    peer,
    stored: new Map([...host.tables].map(([table, rows]) => [table, new Map(rows)])),
    now: instant(core),
    wall: wallOf(core, host),
    seed: `${core.seed}/${host.id}/${host.runs}`
  })
  save(host, machine.rows ?? [])
  const run: Run<P> = {
    host,
    peer,
    step: machine.step,
    state: machine.initial,
    alive: true,
    backlog: undefined,
    linksOpened: 0,
    links: new Map(),
    dialing: new Set(),
    writes: [],
    durableAt: 0
  }
  host.run = run
  Network.disown(core, host)
  for (const command of host.started) tell(core, run, command)
}

export const dispatch = <P extends Protocol>(core: Core<P>, run: Run<P>, event: Event<P>): void => {
  if (!run.alive) return
  if (run.backlog !== undefined) {
    run.backlog.push(event)
    return
  }
  const { host } = run
  const now = instant(core)
  const wall = wallOf(core, host)
  Digest.addNumber(core.digest, core.now)
  Digest.addNumber(core.digest, host.index)
  Digest.add(core.digest, event, core.digestLeavesMax)
  core.counters.events++
  let step: Machine.Step<P["state"], Action<P>>
  try {
    step = run.step(run.state, { now, wall, event })
  } catch (cause) {
    throw new Error(`seed ${core.seed}: node ${host.id} threw at ${now} ms on ${String(event._tag)}`, { cause })
  }
  const [state, actions] = step
  run.state = state
  Digest.addNumber(core.digest, actions.length)
  const { observer } = core
  const at: Occasion | undefined =
    observer.step === undefined && observer.output === undefined
      ? undefined
      : { now, wall, node: host.id, peer: run.peer }
  if (at !== undefined) observer.step?.(at, event, state, actions)
  for (const action of actions) {
    // An observer may have ended the run.
    if (!run.alive) return
    act(core, run, action, at)
  }
}

const act = <P extends Protocol>(core: Core<P>, run: Run<P>, action: Action<P>, at: Occasion | undefined): void => {
  switch (action._tag) {
    case "Open":
      return Network.dial(core, run, action.attempt, action.address)
    case "Send":
      return Network.send(core, run, action.link, action.message)
    case "Close":
      return Network.close(core, run, action.link, action.reason)
    case "SetTimer": {
      const delayMs = action.delayMs > 0 ? action.delayMs : 0
      return enter(core, core.now + delayMs, { _tag: "Timer", run, timer: action.timer })
    }
    case "Write":
      return write(core, run, action.token, action.rows)
    case "Emit":
      core.counters.outputs++
      if (at !== undefined) core.observer.output?.(at, action.output)
  }
}

const write = <P extends Protocol>(
  core: Core<P>,
  run: Run<P>,
  token: number,
  rows: ReadonlyArray<Machine.StoreRow>
): void => {
  core.counters.writes++
  run.writes.push({ token, rows })
  const from = Math.max(core.now, run.host.diskBusyUntil)
  run.durableAt = Math.max(run.durableAt, from + between(core, core.disk.latencyMs))
  enter(core, run.durableAt, { _tag: "Durable", run })
}

/** The oldest write of a run has reached its disk. */
export const onDurable = <P extends Protocol>(core: Core<P>, run: Run<P>): void => {
  const written = run.writes.shift()
  if (written === undefined) return
  save(run.host, written.rows)
  dispatch(core, run, { _tag: "Written", token: written.token })
}

export const crash = <P extends Protocol>(core: Core<P>, run: Run<P>, how: "reset" | "silent"): void => {
  const { host } = run
  core.counters.crashes++
  record(core, host, `crash ${how}`)
  // Writes reach the disk in order: a crash keeps some of the first, and loses the others.
  const kept = core.disk.onCrash === "keep-some" ? Math.floor(draw(core) * (run.writes.length + 1)) : 0
  run.writes.splice(0, kept).forEach((written) => save(host, written.rows))
  core.counters.writesLost += run.writes.length
  run.writes.length = 0
  run.alive = false
  const isStopped = run.backlog !== undefined
  run.backlog = undefined
  host.run = undefined
  host.silent = how === "silent"
  if (isStopped) Network.readAgain(core, run)
  Network.abandon(core, run, how)
}

export const resume = <P extends Protocol>(core: Core<P>, run: Run<P>): void => {
  const backlog = run.backlog
  if (backlog === undefined) return
  run.backlog = undefined
  for (const event of backlog) dispatch(core, run, event)
  Network.readAgain(core, run)
}

/** A happening of the world itself is part of the history. */
export const record = <P extends Protocol>(core: Core<P>, host: Host<P>, what: string): void => {
  Digest.addNumber(core.digest, core.now)
  Digest.addNumber(core.digest, host.index)
  Digest.addText(core.digest, what)
}

/** Machines see whole milliseconds; the world has finer ones, so that few things fall on one instant. */
export const instant = <P extends Protocol>(core: Core<P>): number => Math.floor(core.now)

export const wallOf = <P extends Protocol>(core: Core<P>, host: Host<P>): number =>
  Math.floor(core.wallBase + core.now * (1 + host.driftPpm / 1_000_000) + host.skewMs)

const save = <P extends Protocol>(host: Host<P>, rows: ReadonlyArray<Machine.StoreRow>): void => {
  for (const { table, key, value } of rows) {
    let target = host.tables.get(table)
    if (target === undefined) host.tables.set(table, (target = new Map()))
    if (value === null) target.delete(key)
    else target.set(key, value)
  }
}
