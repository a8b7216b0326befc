import type { Transport } from "@starling/wire"
import type * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"

/** A transport under test. */
export interface Implementation {
  readonly name: string
  /** With a connect timeout of at most 400 ms. */
  readonly layer: Layer.Layer<Transport.Transport>
  /** A host that can be listened on. */
  readonly host: string
  /** An address whose host never answers a dial. */
  readonly silent: Effect.Effect<string, never, Scope.Scope>
}
