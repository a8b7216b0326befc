import { assert, describe, it } from "@effect/vitest"
import type { Link } from "@starling/wire"
import * as Links from "../src/internal/links.ts"

describe("the links of an agent", () => {
  it("leave payloads out where more than 2 MiB wait, a quarter of what ends a link, and count each", () => {
    let queued = 0
    const links = Links.make(
      () => {},
      () => 0
    )
    const link = { queueBytes: () => queued } as Link.Link
    links.byId.set(3, { link, peer: { id: "aaaaaaaaaaaa", incarnation: 1, address: "h:1" }, concerned: new Set() })
    const answers = [0, 2 * 1024 * 1024, 2 * 1024 * 1024 + 1].map((bytes) => {
      queued = bytes
      return Links.isCongested(links, 3)
    })
    assert.deepStrictEqual(answers, [false, false, true])
    assert.isFalse(Links.isCongested(links, 4), "a link that is down has no queue")
    assert.strictEqual(links.counters.shedTotal, 1)
  })
})
