/** What the recorder's scenarios call of OTP, on our actors and supervisors. */
import { Actor, DynamicSupervisor, ExitReason, Registry, Supervisor } from "@starling/actor"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { type Builtins, whileTimePasses } from "./Interpreter.ts"
import { print } from "./Terms.ts"
import {
  isList,
  isMap,
  isPid,
  isTuple,
  type Pid,
  type Run,
  termOfValue,
  Thrown,
  tuple,
  unknown,
  type Value
} from "./Values.ts"
import { type Collector, keyOf, type Message, reasonOf, spec, termOf, worker, type WorkerOptions } from "./Worker.ts"

type Args = ReadonlyArray<Value>
type Handle = Supervisor.Supervisor | DynamicSupervisor.DynamicSupervisor

const isDynamic = (handle: Handle): handle is DynamicSupervisor.DynamicSupervisor => !("restartChild" in handle)

/** `tell` puts a message into the inbox of the process that runs the scenario. */
export class Otp {
  /** What that process has started, and is linked to. */
  readonly started: Array<Actor.ActorRef<never>> = []
  private readonly collector: Collector
  private readonly tell: (message: Value) => void
  private readonly handles = new Map<string, Handle>()
  /** Of a simple_one_for_one: how its children are started. */
  private readonly templates = new Map<string, ReadonlyMap<string, Value>>()

  constructor(collector: Collector, tell: (message: Value) => void) {
    this.collector = collector
    this.tell = tell
  }

  readonly builtins: Builtins = new Map<string, (args: Args) => Run<Value>>([
    ["s:start_link/2", (args) => this.startSupervisor(args)],
    ["w:start_link/2", (args) => this.startWorker(args)],
    ["supervisor:which_children/1", ([name]) => Effect.flatMap(this.handle(name), (handle) => which(handle))],
    ["supervisor:count_children/1", ([name]) => Effect.flatMap(this.handle(name), (handle) => count(handle))],
    ["supervisor:start_child/2", (args) => this.startChild(args)],
    ["supervisor:terminate_child/2", ([name, child]) => this.terminateChild(name, child)],
    [
      "supervisor:restart_child/2",
      ([name, id]) =>
        this.byId(name, (handle) => Effect.map(handle.restartChild(atom(id)), (ref) => tuple("ok", optional(ref))))
    ],
    [
      "supervisor:delete_child/2",
      ([name, id]) => this.byId(name, (handle) => Effect.as(handle.deleteChild(atom(id)), "ok"))
    ],
    ["gen_server:call/2", ([name, request]) => call(atom(name), request, 5000)],
    ["gen_server:call/3", ([name, request, timeout]) => call(atom(name), request, Number(timeout))],
    ["exit/2", ([pid, reason]) => this.exit(pid, reason)],
    ["whereis/1", ([name]) => whereIs(atom(name))],
    // The recorder's own housekeeping: its log handlers, its counters, its collector.
    ...["logger:set_primary_config/2", "logger:remove_handler/1", "logger:add_handler/3", "process_flag/2"]
      .concat(["ets:new/2", "register/2", "spawn/1", "io:format/1", "halt/0"])
      .map((name) => [name, () => Effect.succeed<Value>("ok")] as const)
  ])

  /** The process ends: what it is linked to hears of it. */
  get end(): Effect.Effect<void> {
    return Effect.forEach(this.started, (ref) => Actor.exit(ref, ExitReason.normal), { discard: true })
  }

  private handle(name: Value | undefined): Run<Handle> {
    const known = this.handles.get(atom(name))
    return known === undefined ? Effect.die(unknown(`a supervisor ${atom(name)}`)) : Effect.succeed(known)
  }

  /** A dynamic supervisor has no calls by id, which is its way to refuse them. */
  private byId(
    name: Value | undefined,
    use: (handle: Supervisor.Supervisor) => Effect.Effect<Value, unknown>
  ): Run<Value> {
    return Effect.flatMap(this.handle(name), (handle) =>
      isDynamic(handle) ? Effect.succeed(tuple("error", "simple_one_for_one")) : answered(use(handle))
    )
  }

  private readonly startSupervisor: (args: Args) => Run<Value> = Effect.fnUntraced(function* (this: Otp, args: Args) {
    const [name, config] = args
    const started = yield* Effect.result(this.startNamed(atom(name), config))
    if (started._tag === "Failure") return tuple("error", startError(started.failure))
    const handle = started.success
    this.handles.set(atom(name), handle)
    return tuple("ok", yield* this.link(handle.ref, handle))
  })

  private startNamed(name: string, config: Value | undefined) {
    const [flags, children] = configOf(config)
    if (flags.get("strategy") === "simple_one_for_one") {
      const template = children[0]
      if (template !== undefined && isMap(template)) this.templates.set(name, template.map)
      const limits = limitsOf(flags)
      return Effect.map(DynamicSupervisor.start({ name, ...limits }), (handle): Handle => handle)
    }
    return Effect.map(Supervisor.start(this.supervisorSpec(name, flags, children)), (handle): Handle => handle)
  }

  private supervisorSpec(
    name: string,
    flags: ReadonlyMap<string, Value>,
    children: Args
  ): Supervisor.SupervisorSpec<never> {
    const strategy = flags.get("strategy")
    const autoShutdown = flags.get("auto_shutdown")
    return {
      name,
      ...limitsOf(flags),
      ...(strategy === undefined ? {} : { strategy: atom(strategy) as Supervisor.Strategy }),
      ...(autoShutdown === undefined ? {} : { autoShutdown: atom(autoShutdown) as "any_significant" }),
      children: children.map((child) => this.childSpec(mapOf(child)))
    }
  }

  private childSpec(map: ReadonlyMap<string, Value>): Supervisor.ChildSpec<never> {
    const start = map.get("start")
    const [module, , args] = start !== undefined && isTuple(start) ? start.tuple : []
    const [name, config] = args !== undefined && isList(args) ? args : []
    const id = atom(map.get("id"))
    if (module === "s") {
      const [flags, children] = configOf(config)
      const nested = this.supervisorSpec(atom(name), flags, children)
      return Supervisor.nested(nested, { ...optionsOf(map), id, key: Supervisor.key(atom(name)) })
    }
    return spec(this.collector, id, workerOptions(config), optionsOf(map))
  }

  private readonly startWorker: (args: Args) => Run<Value> = Effect.fnUntraced(function* (this: Otp, args: Args) {
    const [name, options] = args
    const id = atom(name)
    const ref = yield* Effect.orDie(Actor.spawn(worker(this.collector, id, workerOptions(options)), { key: keyOf(id) }))
    return tuple("ok", yield* this.link(ref))
  })

  private readonly link: (ref: Actor.ActorRef<never>, handle?: Handle) => Run<Pid> = Effect.fnUntraced(function* (
    this: Otp,
    ref: Actor.ActorRef<never>,
    handle?: Handle
  ) {
    const pid: Pid = handle === undefined ? { pid: ref } : { pid: ref, handle }
    this.started.push(ref)
    const heard = Effect.flatMap(Actor.awaitExit(ref), (reason) =>
      Effect.sync(() => this.tell(tuple("EXIT", pid, termOf(reason) as Value)))
    )
    yield* Effect.forkScoped(heard)
    return pid
  })

  private startChild([name, what]: Args): Run<Value> {
    return Effect.flatMap(this.handle(name), (handle) => {
      if (!isDynamic(handle)) {
        const started = handle.startChild(this.childSpec(mapOf(what)))
        return answered(Effect.map(started, (ref) => tuple("ok", optional(ref))))
      }
      const [id, options] = what !== undefined && isList(what) ? what : []
      const child = worker(this.collector, atom(id), workerOptions(options))
      const template = optionsOf(this.templates.get(handle.name) ?? new Map())
      const started = handle.startChild(child, { ...template, key: keyOf(atom(id)) })
      return answered(Effect.map(started, (ref) => tuple("ok", optional(ref))))
    })
  }

  private terminateChild(name: Value | undefined, child: Value | undefined): Run<Value> {
    return Effect.flatMap(this.handle(name), (handle) => {
      if (!isDynamic(handle)) return answered(Effect.as(handle.terminateChild(atom(child)), "ok"))
      const ref = child !== undefined && isPid(child) ? child.pid : undefined
      if (ref === undefined) return Effect.succeed(tuple("error", "simple_one_for_one"))
      return answered(Effect.as(handle.terminateChild(ref), "ok"))
    })
  }

  private exit(pid: Value | undefined, reason: Value | undefined): Run<Value> {
    if (pid === undefined || !isPid(pid) || pid.pid === undefined || reason === undefined) {
      return Effect.fail(new Thrown({ reason: "badarg" }))
    }
    const ours = reason === "kill" ? ExitReason.killed : reasonOf(print(termOfValue(reason)))
    return Effect.as(Actor.exit(pid.pid, ours), "true")
  }
}

const atom = (value: Value | undefined): string => {
  if (typeof value === "string") return value
  throw unknown("a value that should be an atom")
}

const mapOf = (value: Value | undefined): ReadonlyMap<string, Value> => {
  if (value !== undefined && isMap(value)) return value.map
  throw unknown("a value that should be a map")
}

const configOf = (config: Value | undefined): readonly [ReadonlyMap<string, Value>, Args] => {
  const [flags, children] = config !== undefined && isTuple(config) ? config.tuple : []
  return [mapOf(flags), children !== undefined && isList(children) ? children : []]
}

const limitsOf = (flags: ReadonlyMap<string, Value>) => {
  const intensity = flags.get("intensity")
  const period = flags.get("period")
  return {
    ...(typeof intensity === "number" ? { intensity } : {}),
    ...(typeof period === "number" ? { period: period * 1000 } : {})
  }
}

const optionsOf = (map: ReadonlyMap<string, Value>) => {
  const restart = map.get("restart")
  const shutdown = map.get("shutdown")
  return {
    ...(restart === undefined ? {} : { restart: atom(restart) as Supervisor.Restart }),
    ...(map.get("significant") === "true" ? { significant: true } : {}),
    ...(shutdown === undefined ? {} : { shutdown: shutdownOf(shutdown) })
  }
}

const shutdownOf = (value: Value): number | "brutal" | "infinity" => {
  if (typeof value === "number") return value
  return value === "brutal_kill" ? "brutal" : "infinity"
}

const workerOptions = (value: Value | undefined): WorkerOptions => {
  const map = mapOf(value)
  const init = map.get("init")
  const delay = map.get("stop_delay")
  return {
    ...(typeof init === "string" ? { init: init as "ok" } : {}),
    ...(init !== undefined && isTuple(init) ? { init: onlyOf(init.tuple) } : {}),
    ...(typeof delay === "number" ? { stopDelayMs: delay } : {})
  }
}

const onlyOf = ([kind, generations]: Args): NonNullable<WorkerOptions["init"]> => {
  const numbers = generations !== undefined && isList(generations) ? generations.map(Number) : []
  return kind === "ignoreonly" ? { ignoreOnly: numbers } : { failOnly: numbers }
}

const optional = (ref: Option.Option<Actor.ActorRef<never>>): Value =>
  Option.match(ref, { onNone: () => "undefined", onSome: (pid) => ({ pid }) })

/** `ok`, `{ok, Pid}` or `{error, Reason}`. */
const answered = <R>(effect: Effect.Effect<Value, unknown, R>): Effect.Effect<Value, never, R> =>
  Effect.catch(effect, (error) => Effect.succeed(tuple("error", refusal(error))))

const refusal = (error: unknown): Value => {
  if (error instanceof Supervisor.ChildRefused) return error.reason
  if (error instanceof Supervisor.StartError) return termOf(error.reason) as Value
  throw unknown(`the error ${String(error)}`)
}

const startError = (error: unknown): Value => {
  if (error instanceof Supervisor.StartError) {
    return tuple("shutdown", tuple("failed_to_start_child", error.childId, termOf(error.reason) as Value))
  }
  if (!(error instanceof Supervisor.InvalidSpec)) throw unknown(`the error ${String(error)}`)
  const combination = (key: string, value: string): Value =>
    tuple("start_spec", tuple("bad_combination", [tuple(key, value), tuple("significant", "true")]))
  switch (error.reason) {
    case "significant_never":
      return combination("auto_shutdown", "never")
    case "significant_permanent":
      return combination("restart", "permanent")
    case "duplicate_id":
      return tuple("start_spec", tuple("duplicate_child_name", error.childId ?? "unknown"))
    case "out_of_range":
      return tuple("supervisor_data", "out_of_range")
  }
}

const which = (handle: Handle): Run<Value> =>
  Effect.map(Effect.orDie(handle.whichChildren), (children): Value =>
    children.map(({ id, ref, state, type }) =>
      tuple(isDynamic(handle) ? "undefined" : id, state === "restarting" ? state : optional(ref), type, ["w"])
    )
  )

const count = (handle: Handle): Run<Value> =>
  Effect.map(Effect.orDie(handle.countChildren), ({ active, specs, supervisors, workers }): Value => [
    tuple("specs", specs),
    tuple("active", active),
    tuple("supervisors", supervisors),
    tuple("workers", workers)
  ])

const whereIs = (name: string): Run<Value> => Effect.map(Registry.whereIs(keyOf(name)), optional)

/** Exits with `{Reason, Call}`, as gen_server does. */
const call = Effect.fnUntraced(function* (name: string, request: Value | undefined, timeoutMs: number) {
  const to = yield* Registry.via(keyOf(name))
  const asking = Effect.result(
    Actor.ask(to, (replyTo: Actor.ReplyTo<string>) => messageOf(request, replyTo), timeoutMs)
  )
  const answer = yield* whileTimePasses(asking)
  if (answer._tag === "Success") return answer.success as Value
  const error = answer.failure
  if (error._tag === "MailboxFull") return yield* Effect.die(error)
  const reason = error._tag === "AskTimeout" ? "timeout" : (termOf(error.reason) as Value)
  return yield* new Thrown({ reason: tuple(reason, "call") })
})

const messageOf = (request: Value | undefined, replyTo: Actor.ReplyTo<string>): Message => {
  if (request === "ping") return { _tag: "Ping", replyTo }
  if (request === "crash") return { _tag: "Crash", replyTo }
  if (request !== undefined && isTuple(request)) {
    const [kind, value] = request.tuple
    if (kind === "slow") return { _tag: "Slow", ms: Number(value), replyTo }
    if (kind === "stop" && value !== undefined) {
      return { _tag: "Stop", reason: reasonOf(print(termOfValue(value))), replyTo }
    }
  }
  throw unknown("this request")
}
