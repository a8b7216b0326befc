/** How announcements and summaries travel. */
import { Codec, NodeId, Peer, SeqSet } from "@starling/machine"
import * as MessageId from "../MessageId.ts"
import type { Announcement, Message, SummaryWindow } from "./repairModel.ts"

export const encode = (message: Message): ReadonlyArray<unknown> => {
  switch (message._tag) {
    case "IHave":
      return [0, message.items.map(encodeItem)]
    case "Summary":
      return [1, message.windows.map(([origin, incarnation, seqs]) => [origin, incarnation, SeqSet.encode(seqs)])]
  }
}

export const decode: Codec.Decoder<Message> = (input) => {
  const fields = Codec.tuple(input, 2, "lazy-push repair")
  if (!fields.ok) return fields
  const [kind, body] = fields.value
  switch (kind) {
    case 0: {
      const items = Codec.list(body, decodeItem, itemsAcceptedMax, "announcements")
      return items.ok ? Codec.accept({ _tag: "IHave", items: items.value }) : items
    }
    case 1: {
      const windows = Codec.list(body, decodeWindow, windowsAcceptedMax, "summary")
      return windows.ok ? Codec.accept({ _tag: "Summary", windows: windows.value }) : windows
    }
    default:
      return Codec.refuse(`unknown kind ${typeof kind === "number" ? kind : typeof kind}`)
  }
}

/** Accepted in one frame: more than is sent, so that a later version may send more. */
const itemsAcceptedMax = 2000

/** The same for summaries. */
const windowsAcceptedMax = 1000

/** Announcements wait for milliseconds; what waited longer counts as this. */
export const heldMsMax = 0xffff

const encodeItem = ([id, round, heldMs]: Announcement): ReadonlyArray<unknown> =>
  heldMs === undefined ? [id.origin, id.incarnation, id.seq, round] : [id.origin, id.incarnation, id.seq, round, heldMs]

const decodeItem: Codec.Decoder<Announcement> = (input) => {
  const id = MessageId.decode(input)
  if (!id.ok) return id
  const fields = Codec.tuple(input, 4, "announcement")
  if (!fields.ok) return fields
  const [, , , round, heldMs] = fields.value
  if (!Codec.isCount(round, 0xffff)) return Codec.refuse("announcement: round is not in 0..65535")
  return Codec.accept(Codec.isCount(heldMs, heldMsMax) ? [id.value, round, heldMs] : [id.value, round])
}

const decodeWindow: Codec.Decoder<SummaryWindow> = (input) => {
  const fields = Codec.tuple(input, 3, "summary")
  if (!fields.ok) return fields
  const [origin, incarnation, intervals] = fields.value
  if (!NodeId.isNodeId(origin)) return Codec.refuse("summary: origin is not twelve hexadecimal digits")
  if (!Codec.isCount(incarnation, Peer.incarnationMax)) return Codec.refuse("summary: incarnation is not a count")
  const seqs = SeqSet.decode(intervals)
  return seqs.ok ? Codec.accept([origin, incarnation, seqs.value] as const) : seqs
}
