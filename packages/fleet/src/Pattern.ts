/**
 * Key patterns: which configuration keys a handler acts on.
 *
 * @since 0.1.0
 */
import * as pattern from "./internal/pattern.ts"

/** `*` stands for one or more characters of a segment, `**` for one or more whole segments. @since 0.1.0 @category guards */
export const isPattern: (text: string) => boolean = pattern.isPattern

/** @since 0.1.0 */
export const matches: (text: string, key: string) => boolean = pattern.matches
