/** A bounded picture of any value for a report: cut in depth, in breadth and in length, and it never throws. */
import { Token } from "./ask.ts"

const depthMax = 4
const entriesMax = 16
const textMax = 1000

export const describe = (value: unknown): string => {
  let text: string
  try {
    text = show(value, 0)
  } catch {
    // What was thrown may not be printable either.
    text = `<not printable: ${typeof value}>`
  }
  return text.length > textMax ? `${text.slice(0, textMax)}…` : text
}

const show = (value: unknown, depth: number): string => {
  switch (typeof value) {
    case "string":
      return JSON.stringify(value.length > 200 ? `${value.slice(0, 200)}…` : value)
    case "bigint":
      return `${value}n`
    case "function":
      return `<function ${value.name}>`
    case "object":
      return value === null ? "null" : showObject(value, depth)
    default:
      return String(value)
  }
}

const showObject = (value: object, depth: number): string => {
  if (value instanceof Error) return `${value.name}: ${value.message}`
  if (Array.isArray(value)) {
    return depth >= depthMax ? `[${value.length} items]` : `[${list(value, (item) => show(item, depth + 1))}]`
  }
  if (ArrayBuffer.isView(value)) return `<${value.byteLength} bytes>`
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) return showInstance(value, depth)
  if (depth >= depthMax) return "{…}"
  return `{ ${list(Object.entries(value), ([key, field]) => `${key}: ${show(field, depth + 1)}`)} }`
}

const showInstance = (value: object, depth: number): string => {
  if (value instanceof Token) return "<reply to>"
  const name = (value.constructor as { readonly name?: string } | undefined)?.name ?? "object"
  if ("size" in value && typeof value.size === "number") return `<${name} of ${value.size}>`
  if (depth >= depthMax) return `<${name}>`
  return `${name} { ${list(Object.entries(value), ([key, field]) => `${key}: ${show(field, depth + 1)}`)} }`
}

const list = <A>(items: ReadonlyArray<A>, text: (item: A) => string): string => {
  const shown: Array<string> = []
  let length = 0
  // What comes after so much is cut off anyway, and a crash should not wait for it.
  while (shown.length < Math.min(items.length, entriesMax) && length <= textMax) {
    const one = text(items[shown.length] as A)
    shown.push(one)
    length += one.length
  }
  const joined = shown.join(", ")
  return items.length > shown.length ? `${joined}, … ${items.length - shown.length} more` : joined
}
