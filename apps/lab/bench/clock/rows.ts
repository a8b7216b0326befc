/**
 * What is measured of clocks: one function each, called a million times, by Starling and by the hybrid-logical-clock
 * packages of the registry.
 *
 * The peers: `@actual-app/crdt`, the clock of the Actual budget (milliseconds, counter, node; its own stamps are texts),
 * and `@consento/hlc` (nanoseconds as bigint, 12 bytes without a node). The package named `hlc` is no clock.
 */
import { makeClock, setClock, Timestamp } from "@actual-app/crdt"
import ConsentoClock from "@consento/hlc"
import { EffectiveTime, Guard, Hlc, HlcCell, NodeClock, Stamp } from "@starling/clock"
import { type Arm, over, type Row } from "../measure.ts"

const node = "a1b2c3d4e5f6"
const other = "0a0b0c0d0e0f"
const far = Number.MAX_SAFE_INTEGER

/** In the band of the fleet's time, as an agent is when all is well. */
const inBand = (): EffectiveTime.TimeCell => {
  const cell = EffectiveTime.makeCell(EffectiveTime.defaults, Date.now, () => performance.now())
  EffectiveTime.tell(cell, Date.now() - performance.now(), false)
  return cell
}

/** The clock of a node as an agent has it, once the fleet's time is known and a lease covers what comes. */
const nodeClock = (): NodeClock.NodeClock => {
  const config = { node, guard: Guard.defaults, time: EffectiveTime.defaults }
  const at = moment()
  const told = NodeClock.hear(
    NodeClock.make(config, Hlc.make(far)),
    { _tag: "FleetTime", offset: at.wall - at.now, alone: false, condition: "ok" },
    at
  )
  const clock = NodeClock.release(told, at)
  if (clock.phase !== "open") throw new Error(`the clock should be open, and is in ${clock.phase}`)
  return clock
}

const moment = () => ({ now: performance.now(), wall: Date.now() })

/** Stamps of another node, spread over the last second: mostly older than what the cell holds, as on a busy link. */
const received = (): ReadonlyArray<Stamp.Stamp> => {
  const now = Date.now()
  return Array.from({ length: 1024 }, (_, i) => ({ epoch: 0, wall: now - 1000 + i, counter: i % 7, node: other }))
}

const actual = (): void => {
  setClock(makeClock(new Timestamp(0, 0, "0123456789abcdef")))
}

/** A counter that is full within a millisecond is an error there; the clock is then set anew, and work goes on. */
const unlessFull = (one: () => Timestamp | null): Timestamp | null => {
  try {
    return one()
  } catch (error) {
    if (!(error instanceof Timestamp.OverflowError)) throw error
    actual()
    return null
  }
}

const consento = (): ConsentoClock => new ConsentoClock()

/** Stamps are kept, a thousand at a time: one that nobody looks at would not be made at all. */
const stamping =
  <A>(one: () => A) =>
  (times: number): number => {
    const kept: Array<A | undefined> = Array.from({ length: 1024 }, () => undefined)
    for (let i = 0; i < times; i++) kept[i & 1023] = one()
    return kept.length
  }

const dateNow: Arm = {
  name: "Date.now() alone",
  start: () => (times) => {
    let sum = 0
    for (let i = 0; i < times; i++) sum += Date.now() & 1
    return sum
  }
}

const consentoStamps = (): ReadonlyArray<ConsentoClock.Timestamp> => {
  const now = BigInt(Date.now() - 1000) * 1_000_000n
  return Array.from({ length: 1024 }, (_, i) => new ConsentoClock.Timestamp(now + BigInt(i) * 1_000_000n, i % 7))
}

const actualStamps = (): ReadonlyArray<Timestamp> => {
  const now = Date.now() - 1000
  return Array.from({ length: 1024 }, (_, i) => new Timestamp(now + i, i % 7, "fedcba9876543210"))
}

const valueOf = <A>(
  read: { readonly ok: true; readonly value: A } | { readonly ok: false; readonly reason: string }
): A => {
  if (!read.ok) throw new Error(read.reason)
  return read.value
}

/** Actual's clock gives null if it was never set; here that would be a fault of the benchmark. */
const present = <A>(value: A | null): A => {
  if (value === null) throw new Error("expected a stamp, got none")
  return value
}

export const rows: ReadonlyArray<Row> = [
  {
    name: "a stamp",
    arms: [
      dateNow,
      {
        name: "Starling, cell with the fleet's time",
        start: () => {
          const time = inBand()
          const cell = HlcCell.make(Hlc.make(far), node)
          return stamping(() => HlcCell.stamp(cell, EffectiveTime.read(time)))
        }
      },
      {
        name: "Starling, cell with Date.now()",
        start: () => {
          const cell = HlcCell.make(Hlc.make(far), node)
          return stamping(() => HlcCell.stamp(cell, Date.now()))
        }
      },
      {
        name: "Starling, value with Date.now()",
        start: () => {
          let reading = Hlc.make(far)
          return stamping(() => {
            const [next, stamp] = Hlc.stamp(reading, Date.now(), node)
            reading = next
            return stamp
          })
        }
      },
      {
        name: "Starling, a node's clock with both clocks of the machine",
        start: () => {
          let clock = nodeClock()
          return stamping(() => {
            const [next, stamp] = NodeClock.stamp(clock, moment())
            clock = next
            return stamp
          })
        }
      },
      {
        name: "@actual-app/crdt",
        start: () => {
          actual()
          return stamping(() => unlessFull(Timestamp.send))
        }
      },
      {
        name: "@consento/hlc",
        start: () => {
          const clock = consento()
          return stamping(() => clock.now())
        }
      }
    ]
  },
  {
    name: "receiving a stamp",
    arms: [
      dateNow,
      {
        name: "Starling, cell behind the guard",
        start: () => {
          const time = inBand()
          const cell = HlcCell.make(Hlc.make(far), node)
          const stamps = received()
          const fleet = Date.now()
          return over(stamps, (stamp) => {
            if (Guard.judge(cell, stamp, fleet)._tag === "Follow")
              HlcCell.receive(cell, stamp, EffectiveTime.read(time))
            return cell.counter
          })
        }
      },
      {
        name: "Starling, cell",
        start: () => {
          const cell = HlcCell.make(Hlc.make(far), node)
          return over(received(), (stamp) => {
            HlcCell.receive(cell, stamp, Date.now())
            return cell.counter
          })
        }
      },
      {
        name: "@actual-app/crdt",
        start: () => {
          actual()
          return over(actualStamps(), (stamp) => unlessFull(() => Timestamp.recv(stamp))?.counter() ?? 0)
        }
      },
      {
        name: "@consento/hlc",
        start: () => {
          const clock = consento()
          return over(consentoStamps(), (stamp) => {
            clock.update(stamp)
            return clock.last.logical
          })
        }
      }
    ]
  },
  {
    name: "writing a stamp",
    arms: [
      { name: "Starling, 16 bytes", start: () => over(received(), (stamp) => Stamp.toBytes(stamp)) },
      { name: "Starling, compact", start: () => over(received(), (stamp) => Stamp.toCompact(stamp)) },
      {
        name: "Starling, compact without the node",
        start: () => over(received(), (stamp) => Stamp.toCompact(stamp, "without-node"))
      },
      { name: "Starling, text", start: () => over(received(), (stamp) => Stamp.toText(stamp)) },
      { name: "@actual-app/crdt, text", start: () => over(actualStamps(), (stamp) => stamp.toString()) },
      { name: "@consento/hlc, 12 bytes", start: () => over(consentoStamps(), (stamp) => stamp.encode()) }
    ]
  },
  {
    name: "reading a stamp",
    arms: [
      {
        name: "Starling, 16 bytes",
        start: () => over(received().map(Stamp.toBytes), (bytes) => valueOf(Stamp.fromBytes(bytes)))
      },
      {
        name: "Starling, compact",
        start: () =>
          over(
            received().map((stamp) => Stamp.toCompact(stamp)),
            (bytes) => valueOf(Stamp.fromCompact(bytes))
          )
      },
      {
        name: "Starling, compact without the node",
        start: () =>
          over(
            received().map((stamp) => Stamp.toCompact(stamp, "without-node")),
            (bytes) => valueOf(Stamp.fromCompact(bytes, other))
          )
      },
      {
        name: "Starling, text",
        start: () => over(received().map(Stamp.toText), (text) => valueOf(Stamp.fromText(text)))
      },
      {
        name: "@actual-app/crdt, text",
        start: () =>
          over(
            actualStamps().map((stamp) => stamp.toString()),
            (text) => present(Timestamp.parse(text))
          )
      },
      {
        name: "@consento/hlc, 12 bytes",
        start: () =>
          over(
            consentoStamps().map((stamp) => stamp.encode()),
            (bytes) => ConsentoClock.codec.decode(bytes)
          )
      }
    ]
  },
  {
    name: "comparing two stamps",
    arms: [
      {
        name: "Starling",
        start: () => {
          const stamps = received()
          const last = stamps.at(-1) as Stamp.Stamp
          return over(stamps, (stamp) => Math.sign(Stamp.compare(stamp, last)))
        }
      },
      {
        name: "@consento/hlc",
        start: () => {
          const stamps = consentoStamps()
          const last = stamps.at(-1) as ConsentoClock.Timestamp
          return over(stamps, (stamp) => stamp.compare(last))
        }
      }
    ]
  }
]
