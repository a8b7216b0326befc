/** What a node needs of Node.js. Import the module you need; this page only lists them. */
export * as AgentConfig from "./AgentConfig.ts"
export * as SqliteStore from "./SqliteStore.ts"
export * as TcpTransport from "./TcpTransport.ts"
