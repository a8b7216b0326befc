/**
 * Asks the fleet, before a run begins, whether it knows a later one of this node. A data directory that was put back
 * from a copy counts from where the copy was taken, and would begin with a number that was used before.
 */
import { type Handshake, Link, type Transport } from "@starling/wire"
import * as Effect from "effect/Effect"
import type { Stored } from "../Store.ts"
import { rowsOf } from "./storeWriter.ts"

/** Nodes asked. Our choice: one that answers is enough, and some may be gone. */
const askedMax = 4

/** Who has not answered by then is not waited for; it may still refuse this run when it is linked. Our choice. */
const patience = "500 millis"

/** Contacts, and then nodes that were known. */
export const whom = (contacts: ReadonlyArray<string>, stored: Stored): ReadonlyArray<string> => {
  const known = [...rowsOf(stored, "peers").values()].flatMap((row) =>
    Array.isArray(row) && typeof row[1] === "string" ? [row[1]] : []
  )
  return [...new Set([...contacts, ...known])].slice(0, askedMax)
}

/** The highest run that anybody asked knows, if it is later than the one that `hello` announces. */
export const ask = (
  hello: Handshake.Hello,
  addresses: ReadonlyArray<string>
): Effect.Effect<number | undefined, never, Transport.Transport> =>
  Effect.suspend(() => {
    let latest: number | undefined
    const one = (address: string) =>
      Link.dial(address, { hello, channelMax: 0 }).pipe(
        Effect.matchEffect({
          onSuccess: (link) => link.close("done"),
          onFailure: (failure) =>
            Effect.sync(() => {
              if (failure._tag !== "Rejected" || failure.code !== "outdated") return
              const seen = failure.incarnation ?? 0
              if (seen > hello.node.incarnation) latest = Math.max(latest ?? 0, seen)
            })
        }),
        Effect.scoped
      )
    return Effect.forEach(addresses, one, { concurrency: "unbounded", discard: true }).pipe(
      Effect.timeoutOption(patience),
      Effect.map(() => latest)
    )
  })
