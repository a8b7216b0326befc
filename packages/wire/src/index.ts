/** Frames, handshake and the transport port. Import the module you need; this page only lists them. */
export * as Address from "./Address.ts"
export * as Frame from "./Frame.ts"
export * as Handshake from "./Handshake.ts"
export * as Link from "./Link.ts"
export * as MemoryTransport from "./MemoryTransport.ts"
export * as Pack from "./Pack.ts"
export * as Transport from "./Transport.ts"
