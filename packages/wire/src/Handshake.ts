/**
 * The first words on a connection: who is there, of which fleet, speaking which versions.
 *
 * The dialer says `Hello`; the acceptor answers `Welcome`, with the version both will speak, or `Refusal`, with a code
 * and a sentence that names both sides, and closes. Both ends give up after three seconds. Until the handshake is done
 * a stranger can make this node keep at most one small frame.
 *
 * The magic word and the shape of these messages never change; later versions append fields.
 *
 * @since 0.1.0
 */
import { Codec, type NodeId, Peer } from "@starling/machine"

/**
 * One run of a node. `boot` is drawn anew by each process: two of them for one id and incarnation mean that a data
 * directory was copied.
 *
 * @since 0.1.0
 * @category models
 */
export interface NodeInfo {
  readonly id: NodeId.NodeId
  readonly incarnation: number
  readonly boot: number
  readonly name: string
  readonly datacenter: string
  /** What others dial, host:port. */
  readonly address: string
}

/** What one side says of itself. `versions` are the lowest and the highest it speaks. @since 0.1.0 @category models */
export interface Hello {
  readonly fleet: string
  readonly versions: readonly [lowest: number, highest: number]
  readonly node: NodeInfo
}

/**
 * Why a side is not welcome.
 *
 * - `fleet`: it belongs to another fleet. `version`: no version both speak. `self`: it is this very process.
 * - `duplicate`: the same node id and incarnation, another process. `outdated`: a later run of that node is known, with
 *   `incarnation`. `name`: another node of that name is alive. `busy`: no room for another link.
 * - `garbage`: what it said is no hello.
 *
 * @since 0.1.0
 * @category models
 */
export type RefusalCode = "fleet" | "version" | "self" | "duplicate" | "outdated" | "name" | "busy" | "garbage"

/** @since 0.1.0 @category models */
export interface Refusal {
  readonly code: RefusalCode
  /** One sentence that names both sides and what would be right. */
  readonly message: string
  /** Of `outdated`: the highest incarnation that is known. */
  readonly incarnation?: number
}

/** @since 0.1.0 @category models */
export type Message =
  | { readonly _tag: "Hello"; readonly hello: Hello }
  | { readonly _tag: "Welcome"; readonly version: number; readonly hello: Hello }
  | { readonly _tag: "Refusal"; readonly refusal: Refusal }

/** The protocol versions this release speaks. @since 0.1.0 */
export const versions: readonly [lowest: number, highest: number] = [1, 1]

/** Said first by everybody; anything else is no node. @since 0.1.0 */
export const magic = "starling"

/** The peer that machines know. @since 0.1.0 */
export const peerOf = ({ node }: Hello): Peer.Peer =>
  Peer.within({ id: node.id, incarnation: node.incarnation, address: node.address }, node.datacenter)

/** The largest message of a handshake, in bytes: all that is accepted of a stranger. Our choice. @since 0.1.0 */
export const messageBytesMax = 4096

/** The longest fleet, node and data centre names. Our choice. @since 0.1.0 */
export const nameLengthMax = 255

/**
 * Do these two sides fit? A version, or the refusal that `mine` answers `theirs` with. Whether a later run of the other
 * node is known, or its name taken, is for who knows the fleet to say.
 *
 * @since 0.1.0
 */
export const negotiate = (
  mine: Hello,
  theirs: Hello
): { readonly _tag: "Agreed"; readonly version: number } | { readonly _tag: "Refused"; readonly refusal: Refusal } => {
  const refuse = (code: RefusalCode, why: string, incarnation?: number) => ({
    _tag: "Refused" as const,
    refusal: {
      code,
      message: `${describe(mine)} refuses ${describe(theirs)}: ${why}`,
      ...(incarnation === undefined ? {} : { incarnation })
    }
  })
  if (mine.fleet !== theirs.fleet) {
    return refuse("fleet", "they belong to different fleets; nodes of one fleet are started with the same fleet name")
  }
  const [low, high] = mine.versions
  const [theirLow, theirHigh] = theirs.versions
  const version = Math.min(high, theirHigh)
  if (version < Math.max(low, theirLow)) {
    return refuse(
      "version",
      `no common protocol version, ${low} to ${high} here and ${theirLow} to ${theirHigh} there; upgrade the older one`
    )
  }
  if (mine.node.id === theirs.node.id) {
    if (theirs.node.incarnation < mine.node.incarnation) {
      return refuse(
        "outdated",
        `run ${mine.node.incarnation} of this node is already alive; the older run must end`,
        mine.node.incarnation
      )
    }
    if (theirs.node.incarnation === mine.node.incarnation) {
      return mine.node.boot === theirs.node.boot
        ? refuse("self", "it is this very node; join the address of another one")
        : refuse("duplicate", "two processes run as one node; was its data directory copied? Start one with a new one")
    }
  }
  return { _tag: "Agreed", version }
}

/** A side as refusals and logs name it. @since 0.1.0 */
export const describe = (hello: Hello): string =>
  `${hello.node.name} (${hello.node.id}, run ${hello.node.incarnation}, at ${hello.node.address}, fleet ${hello.fleet})`

/** @since 0.1.0 @category codec */
export const encode = (message: Message): ReadonlyArray<unknown> => {
  switch (message._tag) {
    case "Hello":
      return [kindHello, magic, ...encodeHello(message.hello)]
    case "Welcome":
      return [kindWelcome, magic, message.version, ...encodeHello(message.hello)]
    case "Refusal": {
      const { code, incarnation } = message.refusal
      return [kindRefusal, magic, code, message.refusal.message.slice(0, 1000), incarnation ?? null]
    }
  }
}

/** @since 0.1.0 @category codec */
export const decode: Codec.Decoder<Message> = (input) => {
  const fields = Codec.tuple(input, 2, "handshake")
  if (!fields.ok) return fields
  const [kind, word] = fields.value
  if (word !== magic) return Codec.refuse("handshake: not the word of a starling node")
  switch (kind) {
    case kindHello: {
      const hello = decodeHello(fields.value.slice(2))
      return hello.ok ? Codec.accept({ _tag: "Hello", hello: hello.value }) : hello
    }
    case kindWelcome: {
      const version = fields.value[2]
      if (!Codec.isCount(version, versionMax)) return Codec.refuse("welcome: version is not a count")
      const hello = decodeHello(fields.value.slice(3))
      return hello.ok ? Codec.accept({ _tag: "Welcome", version, hello: hello.value }) : hello
    }
    case kindRefusal:
      return decodeRefusal(fields.value)
    default:
      return Codec.refuse("unknown kind of handshake")
  }
}

const kindHello = 1
const kindWelcome = 2
const kindRefusal = 3
const versionMax = 0xffff

const encodeHello = ({ fleet, node, versions: [lowest, highest] }: Hello): ReadonlyArray<unknown> => [
  fleet,
  lowest,
  highest,
  node.id,
  node.incarnation,
  node.boot,
  node.name,
  node.datacenter,
  node.address
]

const decodeHello = (input: ReadonlyArray<unknown>): Codec.Decoded<Hello> => {
  const fields = Codec.tuple(input, 9, "hello")
  if (!fields.ok) return fields
  const [fleet, lowest, highest, id, incarnation, boot, name, datacenter, address] = fields.value
  if (!Codec.isText(fleet, nameLengthMax)) return Codec.refuse("hello: fleet is no short text")
  if (!Codec.isCount(lowest, versionMax) || !Codec.isCount(highest, versionMax) || highest < lowest) {
    return Codec.refuse("hello: versions are no range")
  }
  const peer = Peer.decode([id, incarnation, address])
  if (!peer.ok) return peer
  if (!Codec.isCount(boot)) return Codec.refuse("hello: boot is not a count")
  if (!Codec.isText(name, nameLengthMax)) return Codec.refuse("hello: name is no short text")
  if (!Codec.isText(datacenter, nameLengthMax)) return Codec.refuse("hello: data centre is no short text")
  return Codec.accept({
    fleet,
    versions: [lowest, highest],
    node: { ...peer.value, boot, name, datacenter }
  })
}

const codes: ReadonlySet<unknown> = new Set<RefusalCode>([
  "fleet",
  "version",
  "self",
  "duplicate",
  "outdated",
  "name",
  "busy",
  "garbage"
])

/** A code of a later version reads as `busy`: refused, and worth another try. */
const isCode = (input: unknown): input is RefusalCode => codes.has(input)

const decodeRefusal = (fields: ReadonlyArray<unknown>): Codec.Decoded<Message> => {
  const [, , code, message, incarnation] = fields
  if (!Codec.isText(code, 64)) return Codec.refuse("refusal: no code")
  if (!Codec.isText(message, 1000)) return Codec.refuse("refusal: no message")
  const refusal = { code: isCode(code) ? code : "busy", message } as const
  return Codec.accept({
    _tag: "Refusal",
    refusal: Codec.isCount(incarnation, Peer.incarnationMax) ? { ...refusal, incarnation } : refusal
  })
}
