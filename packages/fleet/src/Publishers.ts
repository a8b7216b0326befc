/**
 * What publishes telemetry to this node, and whether it still does.
 *
 * Only the node that takes the telemetry in judges it, by its own clock: it alone sees every arrival. The fleet hears of
 * transitions, and of the last arrival in coarse steps (our choice, against Consul's issue 646: a dead node must not
 * vouch for its applications; the reader says `unknown` of publishers whose node it does not see).
 *
 * A publisher is stale when nothing came for three of its own intervals, at least 15 s; until an interval is known, for
 * 180 s, which is three of the OpenTelemetry SDK's default metric interval of 60 s.
 *
 * @since 0.1.0
 */
import type { Machine } from "@starling/machine"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import type { Signal } from "./Document.ts"
import type { PublisherRecord } from "./internal/records.ts"
import type { Labels } from "./Selector.ts"

/** @since 0.1.0 @category models */
export interface Publisher {
  /** Which record of the node document: slots are used again. */
  readonly slot: number
  readonly app: string
  readonly instance: string
  readonly labels: Labels
  /** Of each signal, the last arrival and the smoothed interval (null until two arrivals). */
  readonly signals: ReadonlyArray<{
    readonly signal: Signal
    readonly last: Machine.Instant
    readonly intervalMs: number | null
  }>
  readonly last: Machine.Instant
  readonly lastWall: number
  readonly state: "fresh" | "stale"
  /** The record last written to the document. */
  readonly told: PublisherRecord | undefined
}

/** @since 0.1.0 @category models */
export interface Publishers {
  readonly byName: HashMap.HashMap<string, Publisher>
  readonly free: ReadonlyArray<number>
}

/** @since 0.1.0 @category models */
export interface Config {
  /** Shortest time to live. Our choice. */
  readonly ttlMinMs: number
  /** Time to live until an interval is known: three times the SDK's default of 60 s. */
  readonly ttlUnknownMs: number
  /** Longest time to live. Our choice: sporadic logs must not keep a publisher fresh for hours. */
  readonly ttlMaxMs: number
  /** How often a publisher that goes on publishing is told of. Our choice. */
  readonly tellMs: number
  /** A publisher that was stale for this long is forgotten. Our choice. */
  readonly forgetMs: number
}

/** @since 0.1.0 */
export const defaults: Config = {
  ttlMinMs: 15_000,
  ttlUnknownMs: 180_000,
  ttlMaxMs: 900_000,
  tellMs: 30_000,
  forgetMs: 86_400_000
}

/** Publishers of one node. Our choice. @since 0.1.0 */
export const publishersMax = 256

/** @since 0.1.0 @category constructors */
export const empty: Publishers = {
  byName: HashMap.empty(),
  free: Array.from({ length: publishersMax }, (_, slot) => slot)
}

/** A slot of the node document whose record changed; null empties it. @since 0.1.0 @category models */
export interface Told {
  readonly slot: number
  readonly record: PublisherRecord | null
}

/** @since 0.1.0 @category models */
export interface Changed {
  readonly publishers: Publishers
  readonly told: ReadonlyArray<Told>
  /** No slot is free, and every publisher is fresh. */
  readonly refused: boolean
}

/** @since 0.1.0 */
export const ttlOf = (publisher: Publisher, config: Config): number => {
  const metrics = publisher.signals.find(({ signal }) => signal === "metrics")
  // Metrics come at a steady pace, logs and traces when something happens: where there are metrics, they decide.
  const interval =
    metrics === undefined
      ? publisher.signals.reduce<number | null>((most, { intervalMs }) => max(most, intervalMs), null)
      : metrics.intervalMs
  if (interval === null) return config.ttlUnknownMs
  return Math.min(config.ttlMaxMs, Math.max(config.ttlMinMs, Math.ceil(3 * interval)))
}

const max = (a: number | null, b: number | null): number | null => (a === null ? b : b === null ? a : Math.max(a, b))

/** Something arrived. @since 0.1.0 @category running */
export const published = (
  publishers: Publishers,
  arrival: { readonly app: string; readonly instance: string; readonly signal: Signal; readonly labels: Labels },
  now: Machine.Instant,
  wall: number,
  config: Config
): Changed => {
  const name = nameOf(arrival.app, arrival.instance)
  const known = Option.getOrUndefined(HashMap.get(publishers.byName, name))
  const made = known === undefined ? allocate(publishers) : { publishers, slot: known.slot }
  if (made === undefined) return { publishers, told: [], refused: true }
  const next: Publisher = {
    slot: made.slot,
    app: arrival.app,
    instance: arrival.instance,
    labels: arrival.labels,
    signals: arrived(known?.signals ?? [], arrival.signal, now),
    last: now,
    lastWall: wall,
    state: "fresh",
    told: known?.told
  }
  return { ...tell(made.publishers, name, next, config, false), refused: false }
}

/** Time passed: who fell silent. @since 0.1.0 @category running */
export const expire = (publishers: Publishers, now: Machine.Instant, config: Config): Changed => {
  let next = publishers
  const told: Array<Told> = []
  for (const [name, publisher] of publishers.byName) {
    const silent = now - publisher.last
    if (silent > config.forgetMs) {
      next = { byName: HashMap.remove(next.byName, name), free: [...next.free, publisher.slot] }
      told.push({ slot: publisher.slot, record: null })
    } else if (publisher.state === "fresh" && silent > ttlOf(publisher, config)) {
      const changed = tell(next, name, { ...publisher, state: "stale" }, config, true)
      next = changed.publishers
      told.push(...changed.told)
    }
  }
  return { publishers: next, told, refused: false }
}

/** Smoothing of intervals: the usual 1/4 between steadiness and speed. Our choice. */
const smoothing = 0.25

const arrived = (signals: Publisher["signals"], signal: Signal, now: Machine.Instant): Publisher["signals"] => {
  const known = signals.find((one) => one.signal === signal)
  if (known === undefined) return [...signals, { signal, last: now, intervalMs: null }]
  const gap = now - known.last
  const intervalMs = known.intervalMs === null ? gap : known.intervalMs + smoothing * (gap - known.intervalMs)
  return signals.map((one) => (one === known ? { signal, last: now, intervalMs } : one))
}

const tell = (
  publishers: Publishers,
  name: string,
  publisher: Publisher,
  config: Config,
  always: boolean
): Omit<Changed, "refused"> => {
  const record: PublisherRecord = {
    _tag: "Publisher",
    app: publisher.app,
    instance: publisher.instance,
    signals: publisher.signals.map(({ signal }) => signal),
    state: publisher.state,
    lastPublish: publisher.lastWall,
    ttlSeconds: Math.round(ttlOf(publisher, config) / 1000),
    labels: publisher.labels
  }
  const before = publisher.told
  const due =
    always ||
    before === undefined ||
    before.state !== record.state ||
    before.signals.length !== record.signals.length ||
    record.lastPublish - before.lastPublish >= config.tellMs ||
    !sameLabels(before.labels, record.labels)
  const kept = due ? { ...publisher, told: record } : publisher
  return {
    publishers: { ...publishers, byName: HashMap.set(publishers.byName, name, kept) },
    told: due ? [{ slot: publisher.slot, record }] : []
  }
}

const sameLabels = (a: Labels, b: Labels): boolean => {
  const keys = Object.keys(a)
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key])
}

/** A free slot, or that of the publisher that has been stale for longest. */
const allocate = (publishers: Publishers): { readonly publishers: Publishers; readonly slot: number } | undefined => {
  const [slot, ...free] = publishers.free
  if (slot !== undefined) return { publishers: { ...publishers, free }, slot }
  let oldest: readonly [string, Publisher] | undefined
  for (const one of publishers.byName) {
    if (one[1].state === "stale" && (oldest === undefined || one[1].last < oldest[1].last)) oldest = one
  }
  return oldest === undefined
    ? undefined
    : { publishers: { ...publishers, byName: HashMap.remove(publishers.byName, oldest[0]) }, slot: oldest[1].slot }
}

const nameOf = (app: string, instance: string): string => `${app}\u0000${instance}`
