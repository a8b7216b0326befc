/** One supervised node. Import the module you need; this page only lists them. */
export * as Agent from "./Agent.ts"
export * as Node from "./Node.ts"
export * as Store from "./Store.ts"
