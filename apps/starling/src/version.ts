/**
 * @since 0.1.0
 */

/** The version of this program, as in its `package.json`. @since 0.1.0 */
export const version = "0.2.0"
