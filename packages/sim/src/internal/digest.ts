/**
 * A running digest of a history: two 32-bit lanes over everything that was added, in order.
 *
 * It tells whether two runs were the same, not whether somebody tampered with one.
 */

/** Mutable: it belongs to one world. */
export interface Digest {
  left: number
  right: number
}

export const make = (): Digest => ({ left: 0x811c9dc5, right: 0x9e3779b9 })

/** Sixteen hexadecimal digits. */
export const toText = (digest: Digest): string => hex8(digest.left) + hex8(digest.right)

/** Adds plain data, at most `leavesMax` of its texts and numbers. */
export const add = (digest: Digest, value: unknown, leavesMax: number): void => {
  walk(digest, value, leavesMax)
}

export const addNumber = (digest: Digest, value: number): void => {
  // An integer that fits takes one word; others add what lies above and below it.
  word(digest, value | 0)
  if (value !== (value | 0)) {
    const whole = Math.floor(value)
    word(digest, Math.floor(whole / 0x100000000) | 0)
    word(digest, (value - whole) * 0x100000000)
  }
}

export const addText = (digest: Digest, text: string): void => {
  word(digest, text.length)
  for (let i = 0; i < text.length; i++) word(digest, text.charCodeAt(i))
}

/** Returns how many leaves are left. */
const walk = (digest: Digest, value: unknown, leaves: number): number => {
  if (leaves <= 0) return 0
  switch (typeof value) {
    case "number":
      addNumber(digest, value)
      return leaves - 1
    case "string":
      addText(digest, value)
      return leaves - 1
    case "boolean":
      word(digest, value ? 2 : 1)
      return leaves - 1
    case "object": {
      if (value === null) {
        word(digest, 3)
        return leaves - 1
      }
      let left = leaves - 1
      if (Array.isArray(value)) {
        word(digest, value.length)
        for (let i = 0; i < value.length && left > 0; i++) left = walk(digest, value[i], left)
        return left
      }
      // Plain data has own fields only, and they need not be listed first.
      for (const key in value) {
        if (left <= 0) break
        // Which fields there can be follows from what was added before: enough to tell them apart is enough.
        word(digest, (key.length << 16) ^ (key.charCodeAt(0) << 8) ^ key.charCodeAt(key.length - 1))
        left = walk(digest, (value as Readonly<Record<string, unknown>>)[key], left)
      }
      return left
    }
    default:
      word(digest, 4)
      return leaves - 1
  }
}

const word = (digest: Digest, value: number): void => {
  const left = Math.imul(digest.left ^ value, 0x01000193)
  digest.left = left ^ (left >>> 15)
  digest.right = Math.imul((digest.right ^ (digest.right >>> 13)) + value, 0x85ebca6b)
}

const hex8 = (value: number): string => (value >>> 0).toString(16).padStart(8, "0")
