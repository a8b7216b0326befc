/**
 * What a release makes of the bytes of a frame.
 *
 * This file is bundled with each release into its fixture, so that a later one can ask an earlier one how it reads what is
 * sent today. So it imports only what a bundle can hold, and what it exports stays as it is.
 */
import { Config } from "@starling/fleet"
import { Component, Wiring } from "@starling/member"
import { Frame, Handshake } from "@starling/wire"
import * as HashMap from "effect/HashMap"

/**
 * - `read`: what kind of message it is, and its value as JSON holds it.
 * - `unknown`: a kind that this release does not know: counted and dropped.
 * - `refused`: garbage to this release, which ends the link.
 */
export type Read =
  | { readonly _tag: "read"; readonly kind: string; readonly value: unknown }
  | { readonly _tag: "unknown"; readonly reason: string }
  | { readonly _tag: "refused"; readonly reason: string }

/** Reads a frame without its length prefix. */
export const read = (bytes: Uint8Array): Read => {
  const message = decode(bytes)
  if (message._tag !== "read") return message
  const { channel, value } = message
  return { _tag: "read", kind: `${channel}/${value._tag}`, value: plain(inside(value)) }
}

/** The frame as this release would send the same message; undefined if it cannot read it. */
export const rewrite = (bytes: Uint8Array): Uint8Array | undefined => {
  const message = decode(bytes)
  return message._tag === "read" ? write(message.channel, message.value) : undefined
}

/** What travels: a tag, and whatever else. */
interface Tagged {
  readonly _tag: string
}

/** A message of a component, or of the handshake, as a frame without its length prefix. */
export const write = (channel: Component.Component | "handshake", message: Tagged): Uint8Array => {
  const frame =
    channel === "handshake"
      ? Frame.encodeShared(0, Handshake.encode(message as Handshake.Message))
      : Frame.encodeShared(
          Component.channels[channel],
          (Component.specs[channel].encode as (message: Tagged) => ReadonlyArray<unknown>)(message)
        )
  if (!frame.ok) throw new Error(`${channel}/${message._tag} is not sendable: ${frame.reason}`)
  return frame.value.slice()
}

const decode = (
  bytes: Uint8Array
):
  | { readonly _tag: "read"; readonly channel: Component.Component | "handshake"; readonly value: Tagged }
  | Exclude<Read, { readonly _tag: "read" }> => {
  const frame = Frame.decode(bytes)
  if (!frame.ok) return { _tag: "refused", reason: frame.reason }
  const { channel: number, payload } = frame.value
  const channel = number === 0 ? "handshake" : Component.ofChannel(number)
  if (channel === undefined) return { _tag: "refused", reason: `channel ${number}` }
  const decoded = channel === "handshake" ? Handshake.decode(payload) : Component.specs[channel].decode(payload)
  if (decoded.ok) return { _tag: "read", channel, value: decoded.value }
  // As an agent tells the two apart.
  return { _tag: decoded.reason.startsWith("unknown kind") ? "unknown" : "refused", reason: decoded.reason }
}

/** A broadcast of facts holds a configuration entry, which has a codec of its own. */
const inside = (message: Tagged): unknown => {
  if (!("topic" in message) || !("payload" in message) || message.topic !== Wiring.topicConfiguration) return message
  const entry = Config.decodeEntry(message.payload)
  return { ...message, entry: entry.ok ? entry.value : entry.reason }
}

/** As JSON holds it: maps as sorted pairs, bytes as hexadecimal, fields that are undefined left out. */
const plain = (value: unknown): unknown => {
  if (typeof value !== "object" || value === null) return typeof value === "bigint" ? String(value) : value
  if (value instanceof Uint8Array) return [...value].map((byte) => byte.toString(16).padStart(2, "0")).join("")
  if (HashMap.isHashMap(value)) return [...HashMap.toEntries(value)].map(plain).toSorted(byText)
  if (Array.isArray(value)) return value.map(plain)
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, field]) => (field === undefined ? [] : [[key, plain(field)]]))
  )
}

const byText = (a: unknown, b: unknown): number => {
  const [one, other] = [JSON.stringify(a), JSON.stringify(b)]
  return one < other ? -1 : one > other ? 1 : 0
}
