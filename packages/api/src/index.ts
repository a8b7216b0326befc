/** The HTTP API, its typed client and the OTLP intake. Import the module you need; this page only lists them. */
export * as Api from "./Api.ts"
export * as ApiServer from "./ApiServer.ts"
export * as Client from "./Client.ts"
export * as Counters from "./Counters.ts"
export * as Otlp from "./Otlp.ts"
export * as Problems from "./Problems.ts"
export * as Schemas from "./Schemas.ts"
export * as StampedHttp from "./StampedHttp.ts"
