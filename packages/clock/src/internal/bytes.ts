/** Whole numbers in bytes, big-endian, up to 53 bits: what `ClockBlock` is written with. */

export const putUint = (out: Array<number>, value: number, width: number): void => {
  for (let place = width - 1; place >= 0; place--) out.push(Math.floor(value / 256 ** place) % 256)
}

/** Zigzag, then seven bits a byte, the lowest first, the eighth saying that more follow. */
export const putSigned = (out: Array<number>, value: number): void => {
  let rest = value < 0 ? -2 * value - 1 : 2 * value
  while (rest > 127) {
    out.push((rest % 128) + 128)
    rest = Math.floor(rest / 128)
  }
  out.push(rest)
}

/** Where reading stands, and the first thing that was wrong: numbers read after that mean nothing. */
export interface Cursor {
  readonly bytes: Uint8Array
  at: number
  broken: string | undefined
}

export const getUint = (from: Cursor, width: number): number => {
  let value = 0
  for (let i = 0; i < width; i++) value = value * 256 + getByte(from)
  return value
}

export const getSigned = (from: Cursor): number => {
  let rest = 0
  let weight = 1
  for (;;) {
    const byte = getByte(from)
    rest += (byte % 128) * weight
    if (byte < 128) {
      if (byte === 0 && weight > 1) from.broken ??= "a varint longer than needed"
      break
    }
    weight *= 128
    if (weight > 2 ** 49) {
      from.broken ??= "a varint beyond 53 bits"
      break
    }
  }
  if (rest > Number.MAX_SAFE_INTEGER) from.broken ??= "a varint beyond 53 bits"
  return rest % 2 === 0 ? rest / 2 : -(rest + 1) / 2
}

const getByte = (from: Cursor): number => {
  const byte = from.bytes[from.at]
  from.at++
  if (byte !== undefined) return byte
  from.broken ??= "cut off"
  return 0
}
