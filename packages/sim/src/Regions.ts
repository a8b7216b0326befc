/**
 * A wide area: nineteen cities where clouds have regions, on all six inhabited continents, and how far apart they are in
 * time.
 *
 * A round trip is taken for 4 ms plus a millisecond for each 75 km of the great circle. Light in glass makes 100 km there and
 * back in a millisecond; cables are longer than great circles by a third or so, and both ends take their share.
 * It is a rule of thumb: real routes differ by a quarter, and not only upwards.
 *
 * ```ts
 * const world = World.make<MyProtocol>({ seed: 7, network: { latencyMs: Regions.latencyOf(regionOf) } })
 * ```
 *
 * @since 0.1.0
 */
import type { NodeId } from "@starling/machine"

/** Degrees: north and east are positive. @since 0.1.0 @category models */
export interface Region {
  readonly name: string
  readonly latitude: number
  readonly longitude: number
}

/** From west to east. @since 0.1.0 */
export const all: ReadonlyArray<Region> = [
  { name: "oregon", latitude: 45.84, longitude: -119.7 },
  { name: "california", latitude: 37.34, longitude: -121.89 },
  { name: "ohio", latitude: 39.96, longitude: -83.0 },
  { name: "virginia", latitude: 39.04, longitude: -77.49 },
  { name: "montreal", latitude: 45.5, longitude: -73.57 },
  { name: "sao-paulo", latitude: -23.55, longitude: -46.63 },
  { name: "dublin", latitude: 53.35, longitude: -6.26 },
  { name: "london", latitude: 51.51, longitude: -0.13 },
  { name: "paris", latitude: 48.86, longitude: 2.35 },
  { name: "frankfurt", latitude: 50.11, longitude: 8.68 },
  { name: "milan", latitude: 45.46, longitude: 9.19 },
  { name: "stockholm", latitude: 59.33, longitude: 18.07 },
  { name: "cape-town", latitude: -33.92, longitude: 18.42 },
  { name: "bahrain", latitude: 26.07, longitude: 50.55 },
  { name: "mumbai", latitude: 19.08, longitude: 72.88 },
  { name: "singapore", latitude: 1.35, longitude: 103.82 },
  { name: "seoul", latitude: 37.57, longitude: 126.98 },
  { name: "tokyo", latitude: 35.68, longitude: 139.69 },
  { name: "sydney", latitude: -33.87, longitude: 151.21 }
]

/** Of a round trip, whatever its length: within a region, and in the devices at both ends. */
const rttMsMin = 4

/** Of a great circle, there and back, in a millisecond. */
const kmPerMs = 75

const earthRadiusKm = 6371

/** Along the great circle (the haversine formula). @since 0.1.0 */
export const distanceKm = (one: Region, other: Region): number => {
  const [from, to] = [one.latitude * radian, other.latitude * radian]
  const south = Math.sin((from - to) / 2)
  const east = Math.sin(((one.longitude - other.longitude) * radian) / 2)
  return 2 * earthRadiusKm * Math.asin(Math.sqrt(south * south + Math.cos(from) * Math.cos(to) * east * east))
}

/** There and back, in milliseconds; 4 within a region. @since 0.1.0 */
export const rttMs = (one: Region, other: Region): number => rttMsMin + distanceKm(one, other) / kmPerMs

/** One way between nodes, for `World.Network.latencyMs`; `regionOf` says where a node stands. @since 0.1.0 */
export const latencyOf =
  (regionOf: (node: NodeId.NodeId) => Region): ((from: NodeId.NodeId, to: NodeId.NodeId) => number) =>
  (from, to) =>
    rttMs(regionOf(from), regionOf(to)) / 2

const radian = Math.PI / 180
