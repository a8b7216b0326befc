import { assert, describe, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"

/** Each package may only lean on packages of a lower floor. */
const floors = [["machine"], ["clock", "gossip", "actor", "wire"], ["fleet", "sim"], ["member"], ["agent"], ["api", "platform-node", "testing"]]

const scope = "@starling/"
const packages = new URL("../../packages/", import.meta.url)
const floorOf = (name: string): number => floors.findIndex((floor) => floor.includes(name))

describe("floors", () => {
  it("every package stands on exactly one floor", () => {
    assert.deepStrictEqual(readdirSync(packages).toSorted(), floors.flat().toSorted())
  })

  for (const name of floors.flat()) {
    it(`${name} leans only downwards`, () => {
      const manifest = readFileSync(new URL(`${name}/package.json`, packages), "utf8")
      const { dependencies } = JSON.parse(manifest) as { readonly dependencies: Record<string, string> }
      for (const dep of Object.keys(dependencies)) {
        if (!dep.startsWith(scope)) continue
        const sibling = dep.slice(scope.length)
        assert.isAtLeast(floorOf(sibling), 0, `${name} -> ${sibling} is on no floor`)
        assert.isBelow(floorOf(sibling), floorOf(name), `${name} -> ${sibling}`)
      }
    })
  }
})
