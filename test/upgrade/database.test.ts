/** A node of this version takes over the data directory of one of the last release. */
import { afterAll, assert, describe, it } from "@effect/vitest"
import { join } from "node:path"
import { type Answer, eventually, type NodeItem, start, temporary } from "../system/harness.ts"
import { metricsOf } from "../system/wrongs.ts"
import * as Release from "./release.ts"

const folder = temporary()
afterAll(() => folder.remove())

describe.each(Release.versions)("the database of release %s", (version) => {
  it("is opened by the same node in its next run, with everything that was in it", async () => {
    const before = Release.answers(version)
    const data = join(folder.path, version)
    Release.unpackDatabase(version, data)
    const agent = await start({ name: before.name, data })
    try {
      assert.strictEqual(agent.id, before.id)
      const { answer: nodes } = await eventually(
        "it remembers whom it knew",
        5000,
        () => agent.get<Answer<NodeItem>>("/v1/nodes"),
        ({ items }) => items.length >= before.nodes.length
      )
      assert.deepStrictEqual(nodes.items.map(({ name }) => name).toSorted(), before.nodes)
      assert.strictEqual(nodes.items.find(({ id }) => id === before.id)?.incarnation, before.incarnation + 1)
      const config = await agent.get<Answer<Release.Answers["config"][number]>>("/v1/config")
      const byKey = (items: Release.Answers["config"]) => items.toSorted((a, b) => (a.key < b.key ? -1 : 1))
      assert.deepStrictEqual(byKey(config.items), byKey(before.config))
      for (const [key, items] of Object.entries(before.history)) {
        const history = await agent.get<Answer<unknown>>(`/v1/config/${encodeURIComponent(key)}/history`)
        assert.deepStrictEqual(history.items, items, key)
      }
      assert.deepStrictEqual((await agent.get<Answer<unknown>>("/v1/events")).items, before.events)
      const counted = await metricsOf(agent)
      const unread = [...counted].filter(([name, count]) => /(stored_refused|malformed)_total$/.test(name) && count > 0)
      assert.deepStrictEqual(unread, [])
      assert.isTrue(counted.has("broadcast_tree_stored_refused_total"))
      assert.strictEqual(agent.stderr(), "")
    } finally {
      await agent.kill()
    }
  })
})
