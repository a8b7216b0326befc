/**
 * The doors of the packages, seen from outside: every public module can be imported by its own name, every internal one
 * is closed, and every package leaves the choice of Effect's version to its user.
 */
import * as Stamp from "@starling/clock/Stamp"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import assert from "node:assert/strict"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { createRequire } from "node:module"

const scope = new URL("./node_modules/@starling/", import.meta.url)
const modulesIn = (folder: URL): ReadonlyArray<string> =>
  existsSync(folder) ? readdirSync(folder).flatMap((file) => (file.endsWith(".js") ? [file.slice(0, -3)] : [])) : []
const { resolve } = createRequire(import.meta.url)

let open = 0
let closed = 0
for (const name of readdirSync(scope)) {
  const folder = new URL(`${name}/`, scope)
  assert.ok(!existsSync(new URL("node_modules/@starling", folder)), `@starling/${name} has a sibling of its own`)
  const { peerDependencies } = JSON.parse(readFileSync(new URL("package.json", folder), "utf8")) as {
    readonly peerDependencies: Readonly<Record<string, string>>
  }
  assert.equal(peerDependencies["effect"], "^4.1.0", `@starling/${name}`)
  const dist = new URL("dist/", folder)
  assert.ok(modulesIn(dist).includes("index"), `@starling/${name} has no dist`)
  for (const module of modulesIn(dist)) {
    const door = module === "index" ? `@starling/${name}` : `@starling/${name}/${module}`
    assert.ok(
      Object.keys((await import(door)) as object).length > 0 || isTypesOnly(new URL(`${module}.js`, dist)),
      door
    )
    open += 1
  }
  for (const module of modulesIn(new URL("internal/", dist))) {
    const door = `@starling/${name}/internal/${module}`
    assert.throws(() => resolve(door), { code: "ERR_PACKAGE_PATH_NOT_EXPORTED" }, door)
    await assert.rejects(import(door), { code: "ERR_PACKAGE_PATH_NOT_EXPORTED" }, door)
    closed += 1
  }
}
assert.deepEqual(Stamp.fromText(Stamp.toText(Stamp.zero)), { ok: true, value: Stamp.zero })
assert.ok(open > 50 && closed > 10, `${open} open, ${closed} closed`)
await Effect.runPromise(Console.log(`${open} doors open, ${closed} closed`))

/** A module of types has nothing left to run. */
function isTypesOnly(file: URL): boolean {
  return /^(?:\/\*[\s\S]*?\*\/|\/\/.*|export \{\};?|\s)*$/.test(readFileSync(file, "utf8"))
}
