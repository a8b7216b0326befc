/** The shape of a protocol. Import the module you need; this page only lists them. */
export * as Cell from "./Cell.ts"
export * as Codec from "./Codec.ts"
export * as LinkGate from "./LinkGate.ts"
export * as Machine from "./Machine.ts"
export * as NodeId from "./NodeId.ts"
export * as Peer from "./Peer.ts"
export * as Rng from "./Rng.ts"
export * as SeqSet from "./SeqSet.ts"
