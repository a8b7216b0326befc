/** Frames, handshake and the transport port. Import the module you need; this page only lists them. */
export * as Address from "./Address.ts"
export * as Handshake from "./Handshake.ts"
export * as Link from "./Link.ts"
export * as Transport from "./Transport.ts"
