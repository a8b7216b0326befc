/** How the broadcast tree's messages travel. */
import { Codec, NodeId } from "@starling/machine"
import * as MessageId from "../MessageId.ts"
import { defaults, type Gossip, type Message, roundMax, topicMax } from "./treeModel.ts"

export const encode = (message: Message): ReadonlyArray<unknown> => {
  switch (message._tag) {
    case "Gossip":
      return [0, MessageId.encode(message.id), message.round, message.topic, message.payload, ...trailing(message)]
    case "Prune":
      return message.unlessParent === true ? [1, message.root, true] : [1, message.root]
    case "Graft":
      return [2, message.ids.map(MessageId.encode)]
    case "GraftMiss":
      return [3, message.ids.map(MessageId.encode)]
    case "Adopt":
      return [4, message.root]
    case "Entry":
      return [5, MessageId.encode(message.id), message.entry]
  }
}

/** Fields that older readers skip: what is not said at the end is left out. */
const trailing = ({ after, along, entry, loose, mended }: Gossip): ReadonlyArray<unknown> => {
  const fields = [along, entry, mended, after, loose]
  const last = fields.findLastIndex((field) => field !== undefined)
  return fields.slice(0, last + 1).map((field) => field ?? null)
}

export const decode: Codec.Decoder<Message> = (input) => {
  const fields = Codec.tuple(input, 2, "broadcast tree")
  if (!fields.ok) return fields
  const [kind, first] = fields.value
  switch (kind) {
    case 0:
      return decodeGossip(fields.value)
    case 1:
      if (!NodeId.isNodeId(first)) return Codec.refuse("prune: root is not a node id")
      return Codec.accept(
        fields.value[2] === true ? { _tag: "Prune", root: first, unlessParent: true } : { _tag: "Prune", root: first }
      )
    case 2: {
      const ids = decodeIds(first)
      return ids.ok ? Codec.accept({ _tag: "Graft", ids: ids.value }) : ids
    }
    case 3: {
      const ids = decodeIds(first)
      return ids.ok ? Codec.accept({ _tag: "GraftMiss", ids: ids.value }) : ids
    }
    case 4:
      return NodeId.isNodeId(first)
        ? Codec.accept({ _tag: "Adopt", root: first })
        : Codec.refuse("adopt: root is not a node id")
    case 5:
      return decodeEntry(fields.value)
    default:
      return Codec.refuse(`unknown kind ${typeof kind === "number" ? kind : typeof kind}`)
  }
}

/** Ids accepted in one frame: more than is sent, so that a later version may send more. */
const idsAcceptedMax = 1000

const decodeIds = (input: unknown): Codec.Decoded<ReadonlyArray<MessageId.MessageId>> =>
  Codec.list(input, MessageId.decode, idsAcceptedMax, "ids")

const decodeGossip = (fields: ReadonlyArray<unknown>): Codec.Decoded<Message> => {
  if (fields.length < 5) return Codec.refuse("gossip: expected 5 fields")
  const [, rawId, round, topic, payload, along, entry, mended, after, loose] = fields
  const id = MessageId.decode(rawId)
  if (!id.ok) return id
  if (!Codec.isCount(round, roundMax)) return Codec.refuse(`gossip: round is not in 0..${roundMax}`)
  if (!Codec.isCount(topic, topicMax)) return Codec.refuse(`gossip: topic is not in 0..${topicMax}`)
  if (Codec.sizeOf(payload) > defaults.payloadBytesMax) {
    return Codec.refuse(`gossip: payload is over ${defaults.payloadBytesMax} bytes`)
  }
  return Codec.accept({
    _tag: "Gossip",
    id: id.value,
    round,
    topic,
    payload,
    // What a later version may say there means nothing here.
    ...(NodeId.isNodeId(along) && { along }),
    ...(NodeId.isNodeId(entry) && { entry }),
    ...(mended === true && { mended }),
    ...(Codec.isCount(after) && { after }),
    ...(loose === true && { loose })
  })
}

const decodeEntry = (fields: ReadonlyArray<unknown>): Codec.Decoded<Message> => {
  const [, rawId, entry] = fields
  const id = MessageId.decode(rawId)
  if (!id.ok) return id
  return NodeId.isNodeId(entry)
    ? Codec.accept({ _tag: "Entry", id: id.value, entry })
    : Codec.refuse("entry: the node is not a node id")
}
