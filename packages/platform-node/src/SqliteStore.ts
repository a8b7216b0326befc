/**
 * The store of `agent` in a directory: one SQLite file, owned by one worker thread, so that a slow disk delays what
 * waits for it and nothing else.
 *
 * In the directory: `state.db` (with `-wal` and `-shm` while it is open), a table for each table of the store, values
 * as MessagePack; `lock`, held by the operating system for as long as the process lives; `pid`, for the message to
 * whom it keeps out. A file that turns out to be damaged is put aside as `state.db.damaged-N`, with a loud report, and
 * the node begins anew: it can be told everything by its peers, but not with a file it cannot read.
 *
 * Every write is fully durable (`synchronous=FULL`) when it returns. Writes that overlap share one commit, so that the
 * disk is asked once for all that gathered while it was busy.
 *
 * @since 0.1.0
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as Store from "@starling/agent/Store"
import type { Machine } from "@starling/machine"
import { Pack } from "@starling/wire"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Path from "effect/Path"
import type * as PlatformError from "effect/PlatformError"
import type * as Scope from "effect/Scope"
import * as Process from "node:process"
import * as Client from "./internal/sqliteClient.ts"
import type { Change, Failure, Row } from "./internal/sqliteProtocol.ts"

/** @since 0.1.0 @category models */
export interface Options {
  /** Told when a damaged file was put aside: where it is now, and what was wrong. Default: an error in the log. */
  readonly onDamaged?: (aside: string, what: string) => Effect.Effect<void>
}

/** What may wait to be committed, in bytes of values. Our choice; beyond it writes fail. @since 0.1.0 */
export const waitingBytesMax = 64 * 1024 * 1024

/** What one commit takes, in bytes of values: so long may a write wait for others. Our choice. @since 0.1.0 */
export const commitBytesMax = 4 * 1024 * 1024

/** Names of tables: they become names in the file. @since 0.1.0 */
export const isTableName = (name: string): boolean => /^[a-z][a-z0-9-]{0,62}$/.test(name)

/**
 * The store in `directory`, which is made if it is missing. Its file and lock are given up with the scope of the layer,
 * after what was being written.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (directory: string, options: Options = {}): Layer.Layer<Store.Store, Store.StoreError> =>
  Layer.effect(Store.Store, make(directory, options)).pipe(Layer.provide([NodeFileSystem.layer, NodePath.layer]))

const make = Effect.fnUntraced(function* (
  directory: string,
  options: Options
): Effect.fn.Return<Store.Store["Service"], Store.StoreError, FileSystem.FileSystem | Path.Path | Scope.Scope> {
  const files = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  const file = `${directory}/state.db`
  yield* Effect.mapError(makeDirectory(files, paths, directory), (error) => directoryError(directory, error))
  const client = yield* Client.make
  yield* lock(files, client, directory)
  yield* Effect.catch(client.ask({ _tag: "Open", file }), (failure) =>
    isDamage(failure)
      ? putAside(files, client, directory, failure, options.onDamaged ?? report)
      : Effect.fail(storeError(directory, failure))
  )
  const { close, write } = yield* makeCommits(client, directory)
  yield* Effect.addFinalizer(() =>
    close.pipe(
      Effect.andThen(client.ask({ _tag: "Close" })),
      Effect.andThen(files.remove(`${directory}/pid`)),
      Effect.ignore
    )
  )
  const load = Effect.flatMap(
    Effect.mapError(client.ask({ _tag: "Load" }), (failure) => storeError(directory, failure)),
    (tables) => unpack(directory, tables as ReadonlyArray<readonly [string, ReadonlyArray<Row>]>)
  )
  return { load, write, where: file }
})

/**
 * The directory and what is missing above it. Node's own recursive `mkdir` never ends where the system answers ENOENT
 * below a directory that exists, as in `/proc`.
 */
const makeDirectory = (
  files: FileSystem.FileSystem,
  paths: Path.Path,
  path: string
): Effect.Effect<void, PlatformError.PlatformError> => {
  const parent = paths.dirname(path)
  const make = files
    .makeDirectory(path, { mode: 0o700 })
    .pipe(
      Effect.catchIf(hasReason("AlreadyExists"), (error) =>
        Effect.flatMap(files.stat(path), ({ type }) => (type === "Directory" ? Effect.void : Effect.fail(error)))
      )
    )
  return parent === path
    ? make
    : Effect.catchIf(make, hasReason("NotFound"), () => Effect.andThen(makeDirectory(files, paths, parent), make))
}

const hasReason =
  (tag: PlatformError.PlatformError["reason"]["_tag"]) =>
  ({ reason }: PlatformError.PlatformError): boolean =>
    reason._tag === tag

/** The lock itself is the system's; the file `pid` only lets the message name who holds it. */
const lock = Effect.fnUntraced(function* (files: FileSystem.FileSystem, client: Client.Client, directory: string) {
  const file = `${directory}/lock`
  const take = client.ask({ _tag: "Lock", file })
  yield* take.pipe(
    // Somebody wrote into the file; it holds nothing, and whoever holds the lock would have been found first.
    Effect.catchIf(isDamage, () => Effect.andThen(Effect.ignore(files.remove(file)), take)),
    Effect.catch((failure) =>
      isBusy(failure)
        ? Effect.flatMap(holder(files, directory), (pid) => Effect.fail(locked(directory, pid)))
        : Effect.fail(storeError(directory, failure))
    )
  )
  yield* Effect.mapError(files.writeFileString(`${directory}/pid`, `${Process.pid}\n`), (error) =>
    directoryError(directory, error)
  )
})

const holder = (files: FileSystem.FileSystem, directory: string): Effect.Effect<string> =>
  files.readFileString(`${directory}/pid`).pipe(
    Effect.map((text) => /^[0-9]+(?=\n?$)/.exec(text)?.[0] ?? ""),
    Effect.orElseSucceed(() => "")
  )

const locked = (directory: string, pid: string): Store.StoreError =>
  new Store.StoreError({
    reason: "locked",
    where: directory,
    message:
      pid === String(Process.pid)
        ? `the data directory ${directory} is already open in this process (${pid})`
        : `the data directory ${directory} is in use by process ${pid === "" ? "(unknown)" : pid}`,
    next: "End that process, or give this node a data directory of its own."
  })

const report = (aside: string, what: string): Effect.Effect<void> =>
  Effect.logError(
    `The stored state was damaged (${what}). It is kept as ${aside}; this node begins anew, as a new node.`
  )

const putAside = Effect.fnUntraced(function* (
  files: FileSystem.FileSystem,
  client: Client.Client,
  directory: string,
  failure: Failure,
  onDamaged: NonNullable<Options["onDamaged"]>
) {
  const file = `${directory}/state.db`
  const move = Effect.gen(function* () {
    let number = 1
    while (yield* files.exists(`${file}.damaged-${number}`)) number++
    const aside = `${file}.damaged-${number}`
    yield* files.rename(file, aside)
    for (const end of ["-wal", "-shm"]) {
      // What is left beside it belongs to the damaged file, and would be taken for the new one's.
      if (yield* files.exists(`${file}${end}`)) yield* files.rename(`${file}${end}`, `${aside}${end}`)
    }
    return aside
  })
  const aside = yield* Effect.mapError(
    move,
    (error) =>
      new Store.StoreError({
        reason: "damaged",
        where: file,
        message: `${file} is damaged (${failure.message}) and cannot be put aside: ${error.message}`,
        next: "Move the file away by hand, or give the node another data directory."
      })
  )
  yield* onDamaged(aside, failure.message)
  yield* Effect.mapError(client.ask({ _tag: "Open", file }), (again) => storeError(directory, again))
})

interface Waiting {
  readonly changes: ReadonlyArray<Change>
  readonly bytes: number
  readonly resume: (outcome: Effect.Effect<void, Store.StoreError>) => void
}

/** Writes gather while a commit is under way; the next commit takes them in order. */
const makeCommits = Effect.fnUntraced(function* (client: Client.Client, directory: string) {
  let queue: Array<Waiting> = []
  let waitingBytes = 0
  let closed = false
  let wake = (): void => {}

  const takeGroup = (): ReadonlyArray<Waiting> => {
    let count = 0
    for (let bytes = 0; count < queue.length && (count === 0 || bytes < commitBytesMax); count++) {
      bytes += (queue[count] as Waiting).bytes
    }
    const group = queue.slice(0, count)
    queue = queue.slice(count)
    return group
  }

  const commit = Effect.fnUntraced(function* (group: ReadonlyArray<Waiting>) {
    const result = yield* Effect.result(client.ask({ _tag: "Commit", groups: group.map(({ changes }) => changes) }))
    group.forEach(({ bytes, resume }, i) => {
      waitingBytes -= bytes
      const failure = result._tag === "Failure" ? result.failure : (result.success as ReadonlyArray<Failure | null>)[i]
      // Undefined cannot be: the answer has one place for each group.
      if (failure === null || failure === undefined) resume(Effect.void)
      else resume(Effect.fail(storeError(directory, failure)))
    })
  })

  const work = Effect.callback<void>((resume) => {
    if (queue.length > 0 || closed) return resume(Effect.void)
    wake = () => {
      wake = () => {}
      resume(Effect.void)
    }
  })

  // One fiber of its own: a writer that is interrupted does not take the writes of others with it.
  const committing = yield* Effect.forkScoped(
    Effect.gen(function* () {
      while (true) {
        while (queue.length > 0) yield* commit(takeGroup())
        if (closed) break
        yield* work
      }
    })
  )

  const fault = (message: string, next: string) =>
    Effect.fail(new Store.StoreError({ reason: "unknown", where: directory, message, next }))

  const write = (rows: ReadonlyArray<Machine.StoreRow>): Effect.Effect<void, Store.StoreError> =>
    Effect.suspend(() => {
      const changes = pack(rows)
      if (typeof changes === "string") return fault(changes, "This is a fault of the program.")
      if (closed) return fault(`the store in ${directory} is closed`, "The node is stopping.")
      if (changes.length === 0) return Effect.void
      const bytes = changes.reduce((sum, { key, value }) => sum + key.length + (value?.length ?? 0), 0)
      if (waitingBytes > 0 && waitingBytes + bytes > waitingBytesMax) {
        const message = `${waitingBytes} bytes wait to be written to ${directory}; the disk does not keep up`
        return fault(message, "Put the data directory on a faster disk.")
      }
      return Effect.callback<void, Store.StoreError>((resume) => {
        queue.push({ changes, bytes, resume })
        waitingBytes += bytes
        wake()
      })
    })

  /** Takes no more, and returns when everything taken is durable. */
  const close = Effect.suspend(() => {
    closed = true
    wake()
    return Fiber.await(committing)
  })

  return { write, close }
})

/** Rows as they are stored, or what is wrong with them. */
const pack = (rows: ReadonlyArray<Machine.StoreRow>): ReadonlyArray<Change> | string => {
  const changes: Array<Change> = []
  for (const { key, table, value } of rows) {
    if (!isTableName(table)) return `${JSON.stringify(table)} is no name of a table`
    const bytes = value === null ? null : Pack.encode(value)
    if (bytes !== null && !bytes.ok) return `row ${key} of table ${table}: ${bytes.reason}`
    changes.push({ table, key, value: bytes === null ? null : bytes.value })
  }
  return changes
}

const unpack = Effect.fnUntraced(function* (
  directory: string,
  tables: ReadonlyArray<readonly [string, ReadonlyArray<Row>]>
) {
  const stored = new Map<string, Map<string, unknown>>()
  for (const [table, rows] of tables) {
    const target = new Map<string, unknown>()
    for (const [key, bytes] of rows) {
      const value = bytes === null ? undefined : Pack.decode(bytes)
      if (value?.ok === true) target.set(key, value.value)
      else yield* Effect.logError(`Row ${key} of table ${table} in ${directory} cannot be read; it is left out.`)
    }
    stored.set(table, target)
  }
  return stored
})

// SQLite's result codes (sqlite.org/rescode.html); the low byte is the kind, the rest says more.
const kindOf = (failure: Failure): number => (failure.errcode < 0 ? failure.errcode : failure.errcode & 0xff)

/** SQLITE_BUSY, SQLITE_LOCKED. */
const isBusy = (failure: Failure): boolean => kindOf(failure) === 5 || kindOf(failure) === 6

/** SQLITE_CORRUPT, SQLITE_NOTADB. */
const isDamage = (failure: Failure): boolean => kindOf(failure) === 11 || kindOf(failure) === 26

const storeError = (directory: string, failure: Failure): Store.StoreError => {
  const make = (reason: Store.StoreError["reason"], what: string, next: string): Store.StoreError =>
    new Store.StoreError({ reason, where: directory, message: `the data directory ${directory} ${what}`, next })
  const said = `(SQLite: ${failure.message})`
  switch (kindOf(failure)) {
    case 5:
    case 6:
      return make("locked", `is in use by another program ${said}`, "End the program that reads the file.")
    case 3:
    case 8:
    case 14:
    case 23:
      return make("read-only", `cannot be written ${said}`, "Give a directory that this user may write in.")
    case 11:
    case 26:
      return make(
        "damaged",
        `holds a damaged file ${said}`,
        "Restart the node: it puts the file aside and begins anew."
      )
    case 13:
      return make("full", `has no room left ${said}`, "Free space on the disk.")
    case -1:
      return make("unknown", `was written by a later version ${said}`, "Start that version, or use another directory.")
    default:
      return make("unknown", `cannot be used ${said}`, "Look at the disk and its file system.")
  }
}

const directoryError = (directory: string, error: PlatformError.PlatformError): Store.StoreError => {
  const { cause, reason } = error
  const code = typeof cause === "object" && cause !== null && "code" in cause ? String(cause.code) : reason._tag
  const make = (what: Store.StoreError["reason"], next: string): Store.StoreError =>
    new Store.StoreError({
      reason: what,
      where: directory,
      message: `the data directory ${directory} cannot be made or written: ${code}`,
      next
    })
  switch (code) {
    case "EACCES":
    case "EPERM":
    case "EROFS":
      return make("read-only", "Give a directory that this user may write in.")
    case "EEXIST":
    case "ENOTDIR":
      return make("missing", "There is a file where the directory should be; give another path.")
    case "ENOSPC":
    case "EDQUOT":
      return make("full", "Free space on the disk.")
    default:
      return make("unknown", "Give a directory that this user may write in.")
  }
}
