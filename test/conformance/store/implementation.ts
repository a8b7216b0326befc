import type { Store } from "@starling/agent"
import type * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"

/** A store under test. */
export interface Implementation {
  readonly name: string
  /** Makes a disk; each use of the layer opens it again. */
  readonly disk: Effect.Effect<Layer.Layer<Store.Store, Store.StoreError>, never, Scope.Scope>
}
