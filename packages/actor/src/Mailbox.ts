/**
 * How many messages wait for an actor, and what happens when there are more.
 *
 * Every mailbox has two lanes. The system lane (stop, Down) goes first, is never dropped, and is bounded by nature: one
 * stop, and one Down for each monitor. The user lane is a ring of at most `capacity` messages. Nothing is dropped in
 * silence: each dropped message is counted and becomes a dead letter. Messages that a handler has postponed still count
 * against the capacity.
 *
 * @since 0.1.0
 */

/**
 * What a full mailbox does with one more message.
 *
 * - `backpressure`: `tell` and `ask` wait for room, first come first served. `tellUnsafe`, which never waits, drops the
 *   message.
 * - `dropNew`: the message is dropped.
 * - `dropOld`: the oldest waiting message is dropped for it.
 * - `fail`: as `dropNew`; for those who read the answer: `tell` is false, `ask` fails with `MailboxFull`.
 *
 * An `ask` whose message is dropped fails with `MailboxFull` under every policy.
 *
 * @since 0.1.0
 * @category models
 */
export type Policy = "backpressure" | "dropNew" | "dropOld" | "fail"

/** @since 0.1.0 @category models */
export interface Mailbox {
  /** At least 1; `Infinity` only by `unbounded`. */
  readonly capacity: number
  readonly onFull: Policy
}

/**
 * What becomes of the waiting messages when the incarnation ends: `drop` is OTP's (asks fail with `ActorDown`, the rest
 * are dead letters); with `keep` the mailbox belongs to the address and the next incarnation goes on with it. The message
 * whose handling crashed is gone in both.
 *
 * @since 0.1.0
 * @category models
 */
export type OnRestart = "drop" | "keep"

/** @since 0.1.0 @category constructors */
export const bounded = (capacity: number, onFull: Policy = "backpressure"): Mailbox => ({ capacity, onFull })

/** For who bounds its senders by other means: memory is the limit. @since 0.1.0 @category constructors */
export const unbounded: Mailbox = { capacity: Number.POSITIVE_INFINITY, onFull: "dropNew" }

/** 4,096 messages with backpressure: the capacity of Effect's cluster entities; our choice for the rest. @since 0.1.0 */
export const defaultMailbox: Mailbox = bounded(4096)
