/**
 * The thread that owns the store's files: it answers requests one after the other, and a slow disk delays only them.
 *
 * Nothing but plain values crosses the thread boundary. What a request means for a node is decided on the other side
 * (`sqliteClient.ts`).
 */
import { DatabaseSync, type StatementSync } from "node:sqlite"
import { parentPort } from "node:worker_threads"
import type { Answer, Failure, Row, Request } from "./sqliteProtocol.ts"

/** Layout of the file; written to `user_version`. A file of a later layout is left alone. */
const layout = 1

/** SQLite's number for a database that is malformed. */
const corrupt = 11

let lock: DatabaseSync | undefined
let db: DatabaseSync | undefined
let statements = new Map<string, { readonly put: StatementSync; readonly remove: StatementSync }>()

class Fault extends Error {
  readonly errcode: number
  constructor(errcode: number, message: string) {
    super(message)
    this.errcode = errcode
  }
}

const answer = (request: Request): unknown => {
  switch (request._tag) {
    case "Lock":
      return takeLock(request.file)
    case "Open":
      return open(request.file)
    case "Load":
      return load(database())
    case "Commit":
      return commit(database(), request.groups)
    case "Close":
      return close()
  }
}

const database = (): DatabaseSync => {
  if (db === undefined) throw new Fault(0, "the store is not open")
  return db
}

/**
 * The lock is a transaction on an empty database that is never finished: the system forgets it with the process,
 * however that ends, and nobody has to guess whether a process id in a file is still the same process.
 */
const takeLock = (file: string): void => {
  const opened = new DatabaseSync(file, { timeout: 0 })
  try {
    opened.exec("begin exclusive")
  } catch (error) {
    opened.close()
    throw error
  }
  lock = opened
}

const open = (file: string): void => {
  const opened = new DatabaseSync(file, { timeout: 1000 })
  try {
    const { user_version: found } = opened.prepare("pragma user_version").get() as { readonly user_version: number }
    if (found > layout) {
      throw new Fault(-1, `its layout is ${found}, this version knows ${layout}`)
    }
    // FULL: a commit is on the disk when it returns. Every write here is waited for by somebody who will promise it to
    // others, and one commit takes all that gathered during the one before, so the disk is asked no more than it can do.
    opened.exec("pragma journal_mode=wal; pragma synchronous=full")
    const check = opened.prepare("pragma quick_check(1)").get() as { readonly quick_check: string }
    if (check.quick_check !== "ok") throw new Fault(corrupt, check.quick_check)
    // Also finds out whether the file can be written at all.
    opened.exec(`begin immediate; pragma user_version = ${layout}; commit`)
    // Damage that the check does not look for shows when everything is read.
    load(opened)
  } catch (error) {
    opened.close()
    throw error
  }
  db = opened
}

const load = (from: DatabaseSync): ReadonlyArray<readonly [table: string, rows: ReadonlyArray<Row>]> =>
  from
    .prepare("select name from sqlite_schema where type = 'table' and name not like 'sqlite_%'")
    .all()
    .map(({ name }) => {
      const table = String(name)
      const rows = from.prepare(`select key, value from "${table}"`).all()
      return [table, rows.map(({ key, value }) => [String(key), value instanceof Uint8Array ? value : null] as const)]
    })

const statementsOf = (to: DatabaseSync, table: string) => {
  let found = statements.get(table)
  if (found === undefined) {
    to.exec(`create table if not exists "${table}" (key text primary key not null, value blob not null)`)
    found = {
      put: to.prepare(`insert into "${table}" values (?, ?) on conflict (key) do update set value = excluded.value`),
      remove: to.prepare(`delete from "${table}" where key = ?`)
    }
    statements.set(table, found)
  }
  return found
}

/** One transaction, in which each group stands or falls by itself. Answers the failure of each, or null. */
const commit = (
  to: DatabaseSync,
  groups: Extract<Request, { readonly _tag: "Commit" }>["groups"]
): ReadonlyArray<Failure | null> => {
  to.exec("begin immediate")
  try {
    const outcomes = groups.map((rows) => {
      to.exec("savepoint one")
      try {
        for (const { key, table, value } of rows) {
          const { put, remove } = statementsOf(to, table)
          if (value === null) remove.run(key)
          else put.run(key, value)
        }
        to.exec("release one")
        return null
      } catch (error) {
        // A full disk has undone the whole transaction already; then this throws, and with it every group fails.
        to.exec("rollback to one; release one")
        statements = new Map()
        return failureOf(error)
      }
    })
    to.exec("commit")
    return outcomes
  } catch (error) {
    statements = new Map()
    if (to.isTransaction) to.exec("rollback")
    throw error
  }
}

/** Moves everything into the one file, so that a copy of it is complete. */
const close = (): void => {
  statements = new Map()
  if (db !== undefined) {
    db.exec("pragma wal_checkpoint(truncate)")
    db.close()
    db = undefined
  }
  lock?.close()
  lock = undefined
}

const failureOf = (error: unknown): Failure => {
  const message = error instanceof Error ? error.message : String(error)
  const code = typeof error === "object" && error !== null && "errcode" in error ? error.errcode : undefined
  return { errcode: typeof code === "number" ? code : 0, message }
}

parentPort?.on("message", ({ id, request }: { readonly id: number; readonly request: Request }) => {
  let reply: Answer
  try {
    reply = { id, ok: true, value: answer(request) }
  } catch (error) {
    reply = { id, ok: false, failure: failureOf(error) }
  }
  parentPort?.postMessage(reply, [])
})
