import { Frame, Pack } from "@starling/wire"
import { test } from "vitest"

const message = [
  3,
  "a1b2c3d4e5f6",
  7,
  12345,
  [["0123456789ab", 3, "10.0.0.1:7740"]],
  "a payload of some length, as gossip is"
]
const target = new Uint8Array(4096)

test("frame", async ({ bench }) => {
  const encoded = Frame.encode(2, message)
  if (!encoded.ok) throw new Error(encoded.reason)
  const bytes = encoded.value.subarray(Frame.prefixBytes)
  await bench("encode", () => {
    const frame = Frame.encodeShared(2, message)
    if (frame.ok) Frame.put(target, 0, frame.value)
  }).run()
  await bench("decode", () => {
    Frame.decode(bytes)
  }).run()
  await bench("pack", () => {
    Pack.encodeShared(message)
  }).run()
})
