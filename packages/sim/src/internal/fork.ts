/**
 * A copy of a world that goes its own way. The machines inside are values and are shared; hosts, runs, connections and the
 * agenda are copied, each once, with everything they refer to.
 */
import type { Machine } from "@starling/machine"
import type { Observer, Protocol } from "./model.ts"
import * as Agenda from "./agenda.ts"
import type { Core, End, Host, Packet, Run, Task } from "./core.ts"
import * as Process from "./process.ts"

interface Copies<P extends Protocol> {
  readonly hosts: Map<Host<P>, Host<P>>
  readonly runs: Map<Run<P>, Run<P>>
  readonly ends: Map<End<P>, End<P>>
  /** Ends whose fields still refer to the original. A list, since connections chain far deeper than a stack goes. */
  readonly unfinished: Array<End<P>>
  readonly alter: ((state: P["state"]) => P["state"]) | undefined
}

export const fork = <P extends Protocol>(
  core: Core<P>,
  observer: Observer<P>,
  alter: ((state: P["state"]) => P["state"]) | undefined
): Core<P> => {
  const copies: Copies<P> = { hosts: new Map(), runs: new Map(), ends: new Map(), unfinished: [], alter }
  // First a shell of every host, since they refer to each other.
  for (const host of core.hosts.values()) {
    copies.hosts.set(host, {
      ...host,
      run: undefined,
      blocked: new Set(),
      weather: new Map(),
      tables: new Map(),
      unanswered: new Set()
    })
  }
  for (const [host, copy] of copies.hosts) fillHost(copies, host, copy)
  const agenda = Agenda.copy(core.agenda, (task) => taskOf(copies, task))
  const stalled = new Set([...core.stalled].map((end) => endOf(copies, end)))
  for (let end = copies.unfinished.pop(); end !== undefined; end = copies.unfinished.pop()) finish(copies, end)
  const next: Core<P> = {
    ...core,
    dispatch: (run, event) => Process.dispatch(next, run, event),
    observer,
    agenda,
    digest: { ...core.digest },
    counters: { ...core.counters },
    hosts: new Map([...core.hosts].map(([id, host]) => [id, hostOf(copies, host)])),
    byAddress: new Map([...core.byAddress].map(([address, host]) => [address, hostOf(copies, host)])),
    stalled
  }
  return next
}

const fillHost = <P extends Protocol>(copies: Copies<P>, host: Host<P>, copy: Host<P>): void => {
  copy.run = host.run === undefined ? undefined : runOf(copies, host.run)
  for (const other of host.blocked) copy.blocked.add(hostOf(copies, other))
  for (const [other, weather] of host.weather) copy.weather.set(hostOf(copies, other), weather)
  for (const [table, rows] of host.tables) copy.tables.set(table, new Map(rows))
  for (const end of host.unanswered) copy.unanswered.add(endOf(copies, end))
}

const hostOf = <P extends Protocol>(copies: Copies<P>, host: Host<P>): Host<P> => copies.hosts.get(host) as Host<P>

const runOf = <P extends Protocol>(copies: Copies<P>, run: Run<P>): Run<P> => {
  const known = copies.runs.get(run)
  if (known !== undefined) return known
  const links = new Map<Machine.LinkId, End<P>>()
  const dialing = new Set<End<P>>()
  const copy: Run<P> = {
    ...run,
    host: hostOf(copies, run.host),
    state: copies.alter === undefined ? run.state : copies.alter(run.state),
    backlog: run.backlog?.slice(),
    links,
    dialing,
    writes: run.writes.slice()
  }
  copies.runs.set(run, copy)
  for (const [link, end] of run.links) links.set(link, endOf(copies, end))
  for (const end of run.dialing) dialing.add(endOf(copies, end))
  return copy
}

/** A copy that is finished later. */
const endOf = <P extends Protocol>(copies: Copies<P>, end: End<P>): End<P> => {
  const known = copies.ends.get(end)
  if (known !== undefined) return known
  const copy: End<P> = { ...end }
  copies.ends.set(end, copy)
  copies.unfinished.push(copy)
  return copy
}

const finish = <P extends Protocol>(copies: Copies<P>, end: End<P>): void => {
  const fields: { host: Host<P> } = end
  fields.host = hostOf(copies, end.host)
  if (end.run !== undefined) end.run = runOf(copies, end.run)
  if (end.other !== undefined) end.other = endOf(copies, end.other)
  let last: Packet<P> | undefined
  for (let packet = end.first; packet !== undefined; packet = packet.next) {
    const copy: Packet<P> = { ...packet, next: undefined }
    if (last === undefined) end.first = copy
    else last.next = copy
    last = copy
  }
  end.last = last
}

const taskOf = <P extends Protocol>(copies: Copies<P>, task: Task<P>): Task<P> => {
  switch (task._tag) {
    case "Arrival":
      return endOf(copies, task)
    case "Timer":
      return { _tag: "Timer", run: runOf(copies, task.run), timer: task.timer }
    case "Event":
      return { _tag: "Event", run: runOf(copies, task.run), event: task.event }
    case "DialTimeout":
    case "Broken":
      return { _tag: task._tag, end: endOf(copies, task.end) }
    case "Durable":
      return { _tag: "Durable", run: runOf(copies, task.run) }
    case "Call":
      throw new Error(
        "a world cannot be forked while a call of `at` is ahead of it: what it calls belongs to this world"
      )
  }
}
