/** Frames of the last release and of this version: each reads what the other sends. */
import { Pack } from "@starling/wire"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { temporary } from "../system/harness.ts"
import * as Today from "./codecs.ts"
import { kinds, record, type Recorded } from "./record.ts"
import * as Release from "./release.ts"

const folder = temporary()
afterAll(() => folder.remove())

const bytesOf = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, "hex"))

/**
 * What one version knows of a value must be what the other knows of it, and the other may know more fields of a record.
 * On the wire records are lists: there more may stand behind what the first one knows.
 */
const agree = (less: unknown, more: unknown, path: string, lists: "whole" | "first part" = "whole"): Array<string> => {
  if (typeof less !== "object" || less === null || typeof more !== "object" || more === null) {
    return Object.is(less, more) ? [] : [`${path}: ${JSON.stringify(less)} is ${JSON.stringify(more)}`]
  }
  if (Array.isArray(less) !== Array.isArray(more)) return [`${path}: a list on one side only`]
  const isWhole = lists === "whole" && !tuples.test(path)
  if (Array.isArray(less) && Array.isArray(more) && isWhole && less.length !== more.length) {
    return [`${path}: ${less.length} items are ${more.length}`]
  }
  const fields = Object.entries(less)
  return fields.flatMap(([key, field]) => agree(field, (more as Record<string, unknown>)[key], `${path}.${key}`, lists))
}

/** Where a value holds a record as a list: an announcement, a window, what is known of a document. */
const tuples = /\.(?:items|windows|docs)\.\d+$/

const plainOf = (frame: Uint8Array): unknown => {
  const data = Pack.decode(frame)
  if (!data.ok) throw new Error(data.reason)
  return data.value
}

describe.each(Release.versions)("frames of release %s", (version) => {
  const lines = Release.frames(version)
  let theirs: typeof Today
  beforeAll(async () => {
    theirs = await Release.codecs(version, folder.path)
  })

  it("are of every kind that it knew", () => {
    // A release never forgets a kind: a node of it may send any of them.
    assert.isAbove(lines.length, 50)
    const recorded = new Set(lines.map(({ kind }) => kind))
    assert.deepStrictEqual(
      [...recorded].filter((kind) => !kinds.includes(kind)),
      []
    )
  })

  it("come from a commit that the fixture names", () => {
    assert.match(Release.commit(version), /^[0-9a-f]{40}$/)
  })

  it("mean the same today", () => {
    const broken = lines.flatMap(({ bytes, kind, value }, index) => {
      const message = Today.read(bytesOf(bytes))
      const where = `frame ${index}, ${kind}`
      if (message._tag !== "read") return [`${where} is ${message._tag}: ${message.reason}`]
      return message.kind === kind ? agree(value, message.value, where) : [`${where} reads as ${message.kind}`]
    })
    assert.deepStrictEqual(broken, [])
  })

  it("are sent today as it sent them, at most with more behind", () => {
    const broken = lines.flatMap(({ bytes, kind }, index) => {
      const sent = Today.rewrite(bytesOf(bytes))
      return sent === undefined
        ? [`frame ${index}, ${kind} cannot be sent`]
        : agree(plainOf(bytesOf(bytes)), plainOf(sent), `frame ${index}, ${kind}`, "first part")
    })
    assert.deepStrictEqual(broken, [])
  })

  it("are what it says they are, and come back to it unchanged", () => {
    const broken = lines.flatMap(({ bytes, kind, value }, index) => {
      const where = `frame ${index}, ${kind}`
      const [recorded, again] = [bytesOf(bytes), Today.rewrite(bytesOf(bytes))].map((frame) =>
        frame === undefined ? undefined : theirs.read(frame)
      )
      assert.deepStrictEqual(recorded, { _tag: "read", kind, value }, where)
      return again?._tag === "read" ? agree(value, again.value, where) : [`${where} is ${again?._tag ?? "not sent"}`]
    })
    assert.deepStrictEqual(broken, [])
  })

  it("what is sent today is read there as it is meant, or dropped as an unknown kind", () => {
    const known = new Set(lines.map(({ kind }) => kind))
    const broken = today().flatMap(({ bytes, kind, value }) => {
      const message = theirs.read(bytes)
      switch (message._tag) {
        case "read":
          return message.kind === kind ? agree(message.value, value, kind) : [`${kind} reads as ${message.kind}`]
        case "unknown":
          return known.has(kind) ? [`${kind} is unknown: ${message.reason}`] : []
        case "refused":
          return [`${kind} ends the link: ${message.reason}`]
      }
    })
    assert.deepStrictEqual(broken, [])
  })
})

describe("frames of this version", () => {
  it("every kind of message is recorded", () => {
    const recorded = new Set(today().map(({ kind }) => kind))
    assert.deepStrictEqual(
      kinds.filter((kind) => !recorded.has(kind)),
      []
    )
  })

  it("a frame is sent again as it was read", () => {
    for (const { bytes, kind } of today()) assert.deepStrictEqual(Today.rewrite(bytes), bytes, kind)
  })
})

/** Recorded once, by the tests that ask. */
const today = (): ReadonlyArray<Recorded> => (recorded ??= record("today"))
let recorded: ReadonlyArray<Recorded> | undefined
