/**
 * Which nodes are meant: the label selectors of Kubernetes, and two fields that every node has.
 *
 * ```
 * role=edge, env in (prod, stage), !canary, tier != cache, zone notin (a, b), gpu, @name=lon-1, @datacenter in (lon, ams)
 * ```
 *
 * All requirements must hold; an empty selector means every node. As in Kubernetes, `!=` and `notin` also hold where the
 * label is absent. `@name` and `@datacenter` are never absent.
 *
 * Source of the grammar: Kubernetes, "Labels and Selectors" (equality-based and set-based requirements). Different from
 * it: the two fields, longer values (256), and more characters in them (anything but blanks and `,()=!`).
 *
 * @since 0.1.0
 */
import { Codec } from "@starling/machine"

/** What a requirement looks at: a label, or a field that every node has. @since 0.1.0 @category models */
export type Subject =
  | { readonly _tag: "Label"; readonly key: string }
  | { readonly _tag: "Field"; readonly field: "name" | "datacenter" }

/** @since 0.1.0 @category models */
export type Requirement =
  | { readonly _tag: "In"; readonly subject: Subject; readonly values: ReadonlyArray<string> }
  | { readonly _tag: "NotIn"; readonly subject: Subject; readonly values: ReadonlyArray<string> }
  | { readonly _tag: "Exists"; readonly key: string }
  | { readonly _tag: "Absent"; readonly key: string }

/** All must hold. @since 0.1.0 @category models */
export type Selector = ReadonlyArray<Requirement>

/** A node's labels. @since 0.1.0 @category models */
export type Labels = Readonly<Record<string, string>>

/** What a selector may ask about a node beside its labels. @since 0.1.0 @category models */
export interface Fields {
  readonly name: string
  readonly datacenter: string
}

/** The longest selector, in characters. Our choice. @since 0.1.0 */
export const lengthMax = 1024

/** The longest label key, in characters: as in Kubernetes. @since 0.1.0 */
export const keyLengthMax = 63

/** The longest label value, in characters. @since 0.1.0 */
export const valueLengthMax = 256

/** Labels of one node. @since 0.1.0 */
export const labelsMax = 32

/** Matches every node. @since 0.1.0 @category constructors */
export const everything: Selector = []

/** @since 0.1.0 @category guards */
export const isKey = (text: string): boolean =>
  text.length <= keyLengthMax && /^[A-Za-z0-9](?:[A-Za-z0-9._/-]*[A-Za-z0-9])?$/.test(text)

/** @since 0.1.0 @category guards */
export const isValue = (text: string): boolean => text.length <= valueLengthMax && /^[^\s,()=!]*$/.test(text)

/**
 * Why these labels are not accepted, or undefined. Says which label, and what would be right.
 *
 * @since 0.1.0
 */
export const refusalOfLabels = (labels: Labels): string | undefined => {
  const entries = Object.entries(labels)
  if (entries.length > labelsMax) return `${entries.length} labels, at most ${labelsMax} are accepted`
  for (const [key, value] of entries) {
    if (!isKey(key)) {
      return `label key ${JSON.stringify(key)}: expected at most ${keyLengthMax} letters, digits, '.', '_', '/' or '-'`
    }
    if (typeof value !== "string" || value.length > valueLengthMax) {
      return `label ${key}: expected a text of at most ${valueLengthMax} characters`
    }
  }
  return undefined
}

/**
 * @since 0.1.0
 * @category running
 */
export const matches = (selector: Selector, labels: Labels, fields: Fields): boolean =>
  selector.every((requirement) => holds(requirement, labels, fields))

const holds = (requirement: Requirement, labels: Labels, fields: Fields): boolean => {
  switch (requirement._tag) {
    case "Exists":
      return labelOf(labels, requirement.key) !== undefined
    case "Absent":
      return labelOf(labels, requirement.key) === undefined
    case "In": {
      const value = valueOf(requirement.subject, labels, fields)
      return value !== undefined && requirement.values.includes(value)
    }
    case "NotIn": {
      const value = valueOf(requirement.subject, labels, fields)
      return value === undefined || !requirement.values.includes(value)
    }
  }
}

const labelOf = (labels: Labels, key: string): string | undefined =>
  Object.hasOwn(labels, key) ? labels[key] : undefined

const valueOf = (subject: Subject, labels: Labels, fields: Fields): string | undefined =>
  subject._tag === "Field" ? fields[subject.field] : labelOf(labels, subject.key)

/** The canonical text: what `parse` reads back to the same selector. @since 0.1.0 @category codec */
export const toText = (selector: Selector): string => selector.map(requirementToText).join(",")

const requirementToText = (requirement: Requirement): string => {
  switch (requirement._tag) {
    case "Exists":
      return requirement.key
    case "Absent":
      return `!${requirement.key}`
    case "In":
    case "NotIn": {
      const { subject, values } = requirement
      const name = subject._tag === "Field" ? `@${subject.field}` : subject.key
      const positive = requirement._tag === "In"
      return values.length === 1
        ? `${name}${positive ? "=" : "!="}${values[0]}`
        : `${name} ${positive ? "in" : "notin"} (${values.join(",")})`
    }
  }
}

/**
 * Reads a selector. A refusal names the column (from 1), what was found and what would be right.
 *
 * @since 0.1.0
 * @category codec
 */
export const parse = (text: string): Codec.Decoded<Selector> => {
  if (text.length > lengthMax)
    return Codec.refuse(`selector: ${text.length} characters, at most ${lengthMax} are accepted`)
  const requirements: Array<Requirement> = []
  let at = blanks(text, 0)
  if (at === text.length) return Codec.accept(requirements)
  for (;;) {
    const read = requirement(text, at)
    if (!read.ok) return read
    requirements.push(read.value.item)
    at = blanks(text, read.value.next)
    if (at === text.length) return Codec.accept(requirements)
    if (text[at] !== ",") return unexpected(text, at, 'expected "," or the end')
    at = blanks(text, at + 1)
  }
}

interface Read<A> {
  readonly item: A
  readonly next: number
}

const requirement = (text: string, start: number): Codec.Decoded<Read<Requirement>> => {
  if (text[start] === "!") {
    const key = readKey(text, blanks(text, start + 1))
    return key.ok ? Codec.accept({ item: { _tag: "Absent", key: key.value.item }, next: key.value.next }) : key
  }
  const subject = readSubject(text, start)
  if (!subject.ok) return subject
  const { item, next } = subject.value
  const at = blanks(text, next)
  if (text.startsWith("!=", at)) return equality("NotIn", item, text, at + 2)
  if (text.startsWith("==", at)) return equality("In", item, text, at + 2)
  if (text[at] === "=") return equality("In", item, text, at + 1)
  const word = /^(?:notin|in)(?=[\s(]|$)/.exec(text.slice(at))?.[0]
  if (word !== undefined && at > next) return membership(word === "in" ? "In" : "NotIn", item, text, at + word.length)
  if (at < text.length && text[at] !== ",") {
    return unexpected(text, at, 'expected "=", "!=", "in", "notin" or ","')
  }
  return item._tag === "Label"
    ? Codec.accept({ item: { _tag: "Exists", key: item.key }, next: at })
    : unexpected(text, at, `expected "=", "!=", "in" or "notin" after @${item.field}`)
}

const equality = (
  _tag: "In" | "NotIn",
  subject: Subject,
  text: string,
  start: number
): Codec.Decoded<Read<Requirement>> => {
  const value = readValue(text, blanks(text, start))
  return value.ok
    ? Codec.accept({ item: { _tag, subject, values: [value.value.item] }, next: value.value.next })
    : value
}

const membership = (
  _tag: "In" | "NotIn",
  subject: Subject,
  text: string,
  start: number
): Codec.Decoded<Read<Requirement>> => {
  let at = blanks(text, start)
  if (text[at] !== "(") return unexpected(text, at, 'expected "(" and a list of values')
  const values: Array<string> = []
  for (;;) {
    const value = readValue(text, blanks(text, at + 1))
    if (!value.ok) return value
    values.push(value.value.item)
    at = blanks(text, value.value.next)
    if (text[at] === ")") return Codec.accept({ item: { _tag, subject, values }, next: at + 1 })
    if (text[at] !== ",") return unexpected(text, at, 'expected "," or ")"')
  }
}

const readSubject = (text: string, start: number): Codec.Decoded<Read<Subject>> => {
  if (text[start] === "@") {
    const field = /^[a-z]*/.exec(text.slice(start + 1))?.[0] ?? ""
    return field === "name" || field === "datacenter"
      ? Codec.accept({ item: { _tag: "Field", field }, next: start + 1 + field.length })
      : unexpected(text, start, "expected @name or @datacenter")
  }
  const key = readKey(text, start)
  return key.ok ? Codec.accept({ item: { _tag: "Label", key: key.value.item }, next: key.value.next }) : key
}

const readKey = (text: string, start: number): Codec.Decoded<Read<string>> => {
  const item = /^[A-Za-z0-9._/-]*/.exec(text.slice(start))?.[0] ?? ""
  return isKey(item)
    ? Codec.accept({ item, next: start + item.length })
    : unexpected(text, start, `expected a label key (at most ${keyLengthMax} letters, digits, '.', '_', '/' or '-')`)
}

const readValue = (text: string, start: number): Codec.Decoded<Read<string>> => {
  const item = /^[^\s,()=!]*/.exec(text.slice(start))?.[0] ?? ""
  return isValue(item)
    ? Codec.accept({ item, next: start + item.length })
    : unexpected(text, start, `expected a value of at most ${valueLengthMax} characters`)
}

const blanks = (text: string, start: number): number => {
  let at = start
  while (at < text.length && /\s/.test(text[at] as string)) at++
  return at
}

const unexpected = (text: string, at: number, expected: string): Codec.Decoded<never> => {
  const found = at >= text.length ? "the end" : JSON.stringify(text.slice(at, at + 12))
  return Codec.refuse(`selector, column ${at + 1}: found ${found}, ${expected}`)
}
