/**
 * The papers' setting: their parameters, their time in cycles, and nothing that agents do beside.
 *
 * @since 0.1.0
 */
import type { OverlayFleet } from "@starling/testing"

/** A shuffle of every node. @since 0.1.0 */
export const cycleMs = 60_000

/** Beyond the end of every experiment. */
const neverMs = 100_000_000

/** One-way delay of every frame. The papers count hops and cycles; a hop takes a millisecond here. @since 0.1.0 */
export const hopMs = 1

/** One by one (paper, §5.1): a join, its walks and what they displace are over before the next one begins. @since 0.1.0 */
export const joinEveryMs = 100

/** One after the other, with time for the last delivery and for what it prunes. @since 0.1.0 */
export const roundMs = 5000

/** Of a node. @since 0.1.0 */
export const settings = {
  viewManager: {
    keepaliveMs: neverMs,
    silenceMs: neverMs,
    snapshotMs: neverMs,
    probeMs: neverMs,
    labelMs: neverMs,
    labelStableMs: neverMs,
    // Paper, §4.2: a contact takes every newcomer.
    forcedMs: 1,
    forcedBurst: 1000
  },
  shuffler: { intervalMs: cycleMs, firstMs: cycleMs },
  lazyPushRepair: { summaryMs: neverMs }
} satisfies OverlayFleet.Settings

/**
 * The repair of a free slot is put off beyond the end, and so is the search of those who have nobody left: the overlay stays as
 * a failure left it.
 *
 * @since 0.1.0
 */
export const unrepaired = (state: OverlayFleet.State): OverlayFleet.State => ({
  ...state,
  view: {
    ...state.view,
    config: { ...state.view.config, repairMs: neverMs, rejoinMinMs: neverMs, rejoinMaxMs: neverMs }
  }
})

/** No neighbour is taken for the parent because a broadcast would have taken fewer hops through it. @since 0.1.0 */
export const unoptimized = (state: OverlayFleet.State): OverlayFleet.State => ({
  ...state,
  repair: { ...state.repair, config: { ...state.repair.config, optimizeHops: Infinity } }
})
