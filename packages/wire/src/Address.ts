/**
 * Addresses as people write them and nodes exchange them: `host:port`, with IPv6 in brackets (`[::1]:7740`).
 *
 * @since 0.1.0
 */
import { Codec } from "@starling/machine"

/** `host` is a name, an IPv4 address, or an IPv6 address without its brackets. @since 0.1.0 @category models */
export interface Address {
  readonly host: string
  /** 0..65535; 0 asks a listener for any free port. */
  readonly port: number
}

/**
 * Reads `host:port`; the refusal says what is wrong and shows a right one.
 *
 * @since 0.1.0
 * @category codec
 */
export const parse = (text: string): Codec.Decoded<Address> => {
  const wrong = (what: string) => Codec.refuse(`${JSON.stringify(text.slice(0, 300))}: ${what}`)
  if (text.length > 255) return wrong("longer than 255 characters")
  const bracketed = /^\[([0-9A-Fa-f:.]+(?:%[0-9A-Za-z._-]+)?)\]:([0-9]{1,5})$/.exec(text)
  const plain = /^([A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_.])?):([0-9]{1,5})$/.exec(text)
  const parts = bracketed ?? plain
  if (parts === null) {
    if (text.includes("//")) return wrong("expected host:port without a scheme, like node-1.example:7740")
    if (text.split(":").length > 2) return wrong("an IPv6 address is written in brackets, like [::1]:7740")
    return wrong("expected host:port, like node-1.example:7740")
  }
  const [, host, digits] = parts as unknown as readonly [string, string, string]
  if (bracketed !== null && !host.includes(":")) return wrong("only an IPv6 address is written in brackets")
  const port = Number(digits)
  return port > 65535 ? wrong(`port ${digits} is beyond 65535`) : Codec.accept({ host, port })
}

/** @since 0.1.0 @category codec */
export const format = (address: Address): string =>
  address.host.includes(":") ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`
