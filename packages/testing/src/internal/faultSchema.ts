/** The faults of the simulator as a schema, for files that keep them. */
import * as Schema from "effect/Schema"

/** For nodes as a file names them. `ms` checks times and delays. */
export const schema = <Node extends Schema.Top>(node: Node, ms: typeof Schema.Finite) => {
  const direction = Schema.Literals(["both", "there"])
  const groups = { some: Schema.Array(node), others: Schema.Array(node) }
  return Schema.Union([
    Schema.TaggedStruct("Crash", { node, how: Schema.Literals(["reset", "silent"]) }),
    Schema.TaggedStruct("Restart", { node, disk: Schema.Literals(["kept", "lost"]) }),
    Schema.TaggedStruct("Cut", { ...groups, direction }),
    Schema.TaggedStruct("Heal", groups),
    Schema.TaggedStruct("HealAll", {}),
    Schema.TaggedStruct("ResetLinks", {
      node,
      other: Schema.NullOr(node),
      underWay: Schema.Literals(["arrives", "lost"])
    }),
    Schema.TaggedStruct("HalfOpen", {
      node,
      other: Schema.NullOr(node),
      who: Schema.Literals(["told", "nobody"])
    }),
    Schema.TaggedStruct("SetWeather", {
      ...groups,
      direction,
      weather: Schema.Struct({
        delayMs: Schema.optionalKey(ms),
        jitterMs: Schema.optionalKey(ms),
        jitterTimes: Schema.optionalKey(Schema.Finite),
        tailMs: Schema.optionalKey(ms),
        lossShare: Schema.optionalKey(Schema.Finite),
        resetShare: Schema.optionalKey(Schema.Finite),
        duplicateShare: Schema.optionalKey(Schema.Finite)
      })
    }),
    Schema.TaggedStruct("ClearWeather", groups),
    Schema.TaggedStruct("ClearAllWeather", {}),
    Schema.TaggedStruct("Pause", { node }),
    Schema.TaggedStruct("Resume", { node }),
    Schema.TaggedStruct("StallDisk", { node, ms }),
    Schema.TaggedStruct("SetSkew", { node, skewMs: Schema.Finite }),
    Schema.TaggedStruct("ShiftClock", { node, byMs: Schema.Finite }),
    Schema.TaggedStruct("SetDrift", { node, driftPpm: Schema.Finite }),
    Schema.TaggedStruct("SwapAddresses", { node, other: node }),
    Schema.TaggedStruct("Twin", { node, twin: node, address: Schema.String })
  ])
}
