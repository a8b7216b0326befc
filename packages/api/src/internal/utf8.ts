/** UTF-8 by hand: this floor has no TextEncoder. */

/** Undefined when the bytes are no UTF-8: overlong forms, surrogates and truncation included (RFC 3629). */
export const decode = (bytes: Uint8Array): string | undefined => {
  let out = ""
  let units: Array<number> = []
  let at = 0
  while (at < bytes.length) {
    const lead = bytes[at] ?? 0
    at += 1
    if (lead < 0x80) {
      units.push(lead)
    } else {
      const more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1
      if (lead < 0xc2 || lead > 0xf4 || at + more > bytes.length) return undefined
      let point = lead & (0x3f >> more)
      for (const end = at + more; at < end; at += 1) {
        const next = bytes[at] ?? 0
        if ((next & 0xc0) !== 0x80) return undefined
        point = (point << 6) | (next & 0x3f)
      }
      const isOverlong = point < (more === 3 ? 0x10000 : more === 2 ? 0x800 : 0x80)
      if (isOverlong || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) return undefined
      if (point < 0x10000) units.push(point)
      else units.push(0xd800 + ((point - 0x10000) >> 10), 0xdc00 + ((point - 0x10000) & 0x3ff))
    }
    if (units.length >= 4096) {
      out += String.fromCharCode(...units)
      units = []
    }
  }
  return out + String.fromCharCode(...units)
}

/** A lone surrogate becomes U+FFFD, as every encoder does it. */
export const encode = (text: string): Uint8Array => {
  const bytes: Array<number> = []
  for (const character of text) {
    const raw = character.codePointAt(0) ?? 0
    const point = raw >= 0xd800 && raw <= 0xdfff ? 0xfffd : raw
    if (point < 0x80) bytes.push(point)
    else if (point < 0x800) bytes.push(0xc0 | (point >> 6), 0x80 | (point & 0x3f))
    else if (point < 0x10000) bytes.push(0xe0 | (point >> 12), 0x80 | ((point >> 6) & 0x3f), 0x80 | (point & 0x3f))
    else {
      bytes.push(
        0xf0 | (point >> 18),
        0x80 | ((point >> 12) & 0x3f),
        0x80 | ((point >> 6) & 0x3f),
        0x80 | (point & 0x3f)
      )
    }
  }
  return Uint8Array.from(bytes)
}
