import { assert, describe, it } from "@effect/vitest"
import * as Store from "@starling/agent/Store"
import * as SqliteStore from "@starling/platform-node/SqliteStore"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type ChildProcess, spawn } from "node:child_process"
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { DatabaseSync } from "node:sqlite"

const directory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(`${tmpdir()}/starling-sqlite-`)),
  (path) => Effect.sync(() => rmSync(path, { recursive: true }))
)

const open = <A, E>(
  path: string,
  session: (store: Store.Store["Service"]) => Effect.Effect<A, E, Scope.Scope>,
  options?: SqliteStore.Options
) => Effect.scoped(Effect.flatMap(Store.Store, session)).pipe(Effect.provide(SqliteStore.layer(path, options)))

const rows = (store: Store.Store["Service"]) =>
  Effect.map(store.load, (stored) =>
    [...stored].flatMap(([table, rows]) => [...rows].map(([key, value]) => [table, key, value]))
  )

const failure = (path: string) => Effect.flip(open(path, () => Effect.void))

/** A store of many rows, and then `harm` to its file. */
const harmed = Effect.fnUntraced(function* (path: string, harm: (file: string) => void) {
  yield* open(path, (store) =>
    store.write(Array.from({ length: 200 }, (_, i) => ({ table: "events", key: String(i), value: "x".repeat(500) })))
  )
  harm(`${path}/state.db`)
})

/** Another process that opens the store; its first words. */
const other = Effect.fnUntraced(function* (path: string, uid?: number) {
  const fixture = new URL("./fixtures/holdStore.ts", import.meta.url).pathname
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn(process.execPath, [fixture, path], {
        stdio: ["pipe", "pipe", "inherit"],
        ...(uid === undefined ? {} : { uid })
      })
    ),
    kill
  )
  const words = yield* Effect.callback<string>((resume) => {
    child.stdout?.once("data", (chunk: Buffer) => resume(Effect.succeed(String(chunk).trim())))
    child.once("exit", () => resume(Effect.succeed("exit")))
  })
  return { child, words: words === "exit" ? words : (JSON.parse(words) as unknown) }
})

const kill = (child: ChildProcess) =>
  Effect.callback<void>((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
    child.once("exit", () => resume(Effect.void))
    child.kill("SIGKILL")
  })

// Threads and processes are started here: slow on a busy machine.
describe("SqliteStore", () => {
  const harms: ReadonlyArray<readonly [what: string, harm: (file: string) => void]> = [
    ["overwritten with text", (file) => writeFileSync(file, "not a database, not even nearly one ".repeat(50))],
    ["cut off", (file) => truncateSync(file, 40_000)],
    [
      "damaged in the middle",
      (file) => {
        const bytes = readFileSync(file)
        bytes.fill(0xaa, 8192, 32_768)
        writeFileSync(file, bytes)
      }
    ]
  ]
  for (const [what, harm] of harms) {
    it.live(`a file that was ${what} is put aside with a report, and the store begins anew`, () =>
      Effect.gen(function* () {
        const path = yield* directory
        const reports: Array<string> = []
        const onDamaged = (aside: string) =>
          Effect.sync(() => {
            reports.push(aside)
          })
        for (const number of [1, 2]) {
          yield* harmed(path, harm)
          yield* open(
            path,
            Effect.fnUntraced(function* (store) {
              assert.deepStrictEqual(yield* rows(store), [])
              yield* store.write([{ table: "meta", key: "new", value: number }])
            }),
            { onDamaged }
          )
          assert.deepStrictEqual(yield* open(path, rows), [["meta", "new", number]])
        }
        assert.deepStrictEqual(reports, [`${path}/state.db.damaged-1`, `${path}/state.db.damaged-2`])
        for (const aside of reports) assert.isTrue(existsSync(aside))
      }).pipe(Effect.scoped)
    )
  }

  it.live("a second process is refused with the pid of the first; a killed one leaves the directory usable", () =>
    Effect.gen(function* () {
      const path = yield* directory
      const first = yield* other(path)
      assert.strictEqual(first.words, "open")
      const error = yield* failure(path)
      assert.deepInclude(error, { reason: "locked", where: path })
      assert.include(error.message, `process ${first.child.pid}`)
      yield* kill(first.child)
      const found = yield* open(path, rows)
      assert.deepStrictEqual(found, [["meta", "held-by", first.child.pid]])
    }).pipe(Effect.scoped)
  )

  it.live("the same process is refused, too, and the first store goes on", () =>
    Effect.gen(function* () {
      const path = yield* directory
      yield* open(
        path,
        Effect.fnUntraced(function* (store) {
          const error = yield* failure(path)
          assert.strictEqual(error.reason, "locked")
          assert.include(error.message, `already open in this process (${process.pid})`)
          yield* store.write([{ table: "meta", key: "a", value: 1 }])
        })
      )
      assert.deepStrictEqual(yield* open(path, rows), [["meta", "a", 1]])
    }).pipe(Effect.scoped)
  )

  it.live("what is left in pid and lock by others keeps nobody out", () =>
    Effect.gen(function* () {
      const path = yield* directory
      writeFileSync(`${path}/pid`, "1\n")
      writeFileSync(`${path}/lock`, "4711\n".repeat(100))
      yield* open(path, (store) =>
        Effect.sync(() => {
          assert.isAbove(store.where.length, 0)
          assert.strictEqual(readFileSync(`${path}/pid`, "utf8"), `${process.pid}\n`)
        })
      )
    }).pipe(Effect.scoped)
  )

  it.live("a directory that cannot be written is refused as read-only", () =>
    Effect.gen(function* () {
      const parent = yield* directory
      const path = `${parent}/closed`
      mkdirSync(path)
      yield* Effect.addFinalizer(() => Effect.sync(() => chmodSync(path, 0o755)))
      chmodSync(parent, 0o755)
      chmodSync(path, 0o555)
      // Nothing is read-only to root: then another user tries.
      const { words } = yield* other(path, process.getuid?.() === 0 ? 65534 : undefined)
      assert.deepInclude(words, { reason: "read-only", next: "Give a directory that this user may write in." })
      assert.include((words as Store.StoreError).message, path)
    }).pipe(Effect.scoped)
  )

  it.live("a path that is a file is refused, and the file stays as it is", () =>
    Effect.gen(function* () {
      const path = `${yield* directory}/file`
      writeFileSync(path, "mine")
      assert.strictEqual((yield* failure(path)).reason, "missing")
      assert.strictEqual(readFileSync(path, "utf8"), "mine")
    }).pipe(Effect.scoped)
  )

  it.live("a file of a later version is refused and left alone", () =>
    Effect.gen(function* () {
      const path = yield* directory
      const db = new DatabaseSync(`${path}/state.db`)
      db.exec("pragma user_version = 99")
      db.close()
      const error = yield* failure(path)
      assert.match(error.message, /later version/)
      assert.deepStrictEqual(
        readdirSync(path).filter((name) => name.includes("damaged")),
        []
      )
    }).pipe(Effect.scoped)
  )

  it.live("a file that another program holds is refused as locked", () =>
    Effect.gen(function* () {
      const path = yield* directory
      yield* open(path, () => Effect.void)
      const db = new DatabaseSync(`${path}/state.db`)
      db.exec("begin exclusive")
      assert.strictEqual((yield* failure(path)).reason, "locked")
      db.close()
    }).pipe(Effect.scoped)
  )

  it.live("a closed store is one file, and takes no more writes", () =>
    Effect.gen(function* () {
      const path = yield* directory
      const store = yield* open(path, (store) => Effect.as(store.write([{ table: "meta", key: "a", value: 1 }]), store))
      assert.deepStrictEqual(readdirSync(path).toSorted(), ["lock", "state.db"])
      const error = yield* Effect.flip(store.write([{ table: "meta", key: "b", value: 1 }]))
      assert.match(error.message, /closed/)
    }).pipe(Effect.scoped)
  )

  it.live("rows that cannot be stored fail their own write and no other", () =>
    Effect.gen(function* () {
      const path = yield* directory
      yield* open(
        path,
        Effect.fnUntraced(function* (store) {
          const good = (key: string) => store.write([{ table: "meta", key, value: 1 }])
          const bad = (table: string, value: unknown) =>
            Effect.flip(
              store.write([
                { table: "meta", key: "half", value: 1 },
                { table, key: "x", value }
              ])
            )
          const all = [
            good("a"),
            bad("meta", 1n),
            bad("sqlite_schema", 1),
            bad('a"; drop table meta; --', 1),
            good("b")
          ]
          yield* Effect.all(all, { concurrency: "unbounded" })
        })
      )
      assert.deepStrictEqual(yield* open(path, rows), [
        ["meta", "a", 1],
        ["meta", "b", 1]
      ])
    }).pipe(Effect.scoped)
  )

  it.live("a row that cannot be read is left out, the others are there", () =>
    Effect.gen(function* () {
      const path = yield* directory
      yield* open(path, (store) => store.write(["a", "b"].map((key) => ({ table: "meta", key, value: key }))))
      const db = new DatabaseSync(`${path}/state.db`)
      db.exec("update meta set value = x'c1' where key = 'a'")
      db.close()
      assert.deepStrictEqual(yield* open(path, rows), [["meta", "b", "b"]])
    }).pipe(Effect.scoped)
  )
})
