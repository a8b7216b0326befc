/**
 * What the store's thread and the rest of the process say to each other.
 */

/** A value as MessagePack; null removes the row, and on reading stands for a value that is no blob. */
export type Row = readonly [key: string, value: Uint8Array | null]

export interface Change {
  readonly table: string
  readonly key: string
  readonly value: Uint8Array | null
}

/**
 * - `Lock`: answers when this process alone may use the directory. `Open`: the file exists, is sound and can be written.
 * - `Load`: every table with its rows. `Commit`: makes the groups durable, together; answers the failure of each, or
 *   null. `Close`: gives up file and lock.
 */
export type Request =
  | { readonly _tag: "Lock"; readonly file: string }
  | { readonly _tag: "Open"; readonly file: string }
  | { readonly _tag: "Load" }
  | { readonly _tag: "Commit"; readonly groups: ReadonlyArray<ReadonlyArray<Change>> }
  | { readonly _tag: "Close" }

/** `errcode` is SQLite's, 0 when it is none of SQLite's errors, -1 for a file of a later layout. */
export interface Failure {
  readonly errcode: number
  readonly message: string
}

export type Answer =
  | { readonly id: number; readonly ok: true; readonly value: unknown }
  | { readonly id: number; readonly ok: false; readonly failure: Failure }
