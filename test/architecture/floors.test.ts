import { assert, describe, it } from "@effect/vitest"
import { globSync, readdirSync, readFileSync } from "node:fs"

/** Each package may only lean on packages of a lower floor. */
const floors = [
  ["machine"],
  ["clock", "gossip", "actor", "wire"],
  ["fleet", "sim"],
  ["member"],
  ["agent"],
  ["api", "platform-node", "testing"]
]

const scope = "@starling/"
const root = new URL("../../", import.meta.url)
const floorOf = (name: string): number => floors.findIndex((floor) => floor.includes(name))

const json = (path: string): unknown => JSON.parse(readFileSync(new URL(path, root), "utf8"))
const siblings = (dependencies: Record<string, string> = {}): ReadonlyArray<string> =>
  Object.keys(dependencies)
    .filter((name) => name.startsWith(scope))
    .map((name) => name.slice(scope.length))
const manifest = (folder: string) =>
  json(`${folder}/package.json`) as {
    readonly dependencies?: Record<string, string>
    readonly devDependencies?: Record<string, string>
  }

describe("floors", () => {
  it("every package stands on exactly one floor", () => {
    assert.deepStrictEqual(readdirSync(new URL("packages/", root)).toSorted(), floors.flat().toSorted())
  })

  for (const name of floors.flat()) {
    it(`${name} leans only downwards`, () => {
      const { dependencies, devDependencies } = manifest(`packages/${name}`)
      for (const sibling of [...siblings(dependencies), ...siblings(devDependencies)]) {
        assert.isAtLeast(floorOf(sibling), 0, `${name} -> ${sibling} is on no floor`)
        assert.isBelow(floorOf(sibling), floorOf(name), `${name} -> ${sibling}`)
      }
    })
  }

  for (const folder of [...floors.flat().map((name) => `packages/${name}`), "apps/starling", "apps/lab"]) {
    it(`${folder} has a compiler reference for each dependency, and no other`, () => {
      const { references = [] } = json(`${folder}/tsconfig.json`) as {
        readonly references?: ReadonlyArray<{ path: string }>
      }
      const referenced = references.map(({ path }) => path.split("/").at(-1) ?? "")
      assert.deepStrictEqual(referenced.toSorted(), siblings(manifest(folder).dependencies).toSorted())
    })
  }

  it("the pure floors wait for nothing and know no time: no runtime, no Node, no timers, no clock, no chance", () => {
    const sources = globSync("packages/{machine,clock,gossip,fleet,sim,member}/src/**/*.ts", { cwd: root.pathname })
    assert.isAbove(sources.length, 100)
    const impure =
      /from "(effect\/(?!Function"|Hash|Option"|Order"|Schema")|node:|@effect\/)|\b(setTimeout|setInterval|setImmediate|queueMicrotask)\(|\bawait |\bDate\.now|\bnew Date\(\)|\bperformance\.|\bMath\.random/
    for (const source of sources) {
      const found = readFileSync(new URL(source, root), "utf8").match(impure)
      assert.isNull(found, `${source}: ${found?.[0]}`)
    }
  })

  it("the table in docs/architecture.md names every package", () => {
    const page = readFileSync(new URL("docs/architecture.md", root), "utf8")
    for (const name of floors.flat()) assert.include(page, `\`${name}\``)
  })
})
