#!/usr/bin/env node
/**
 * Where the program begins: compiled code is kept between runs, which halves what a command costs before it does
 * anything, and only then is the command line loaded. Where the cache cannot be written, nothing else changes.
 */
import { enableCompileCache } from "node:module"
import process from "node:process"
import { fileURLToPath } from "node:url"

// Ctrl-C ends a demo well, also one that has not begun; once the command line is loaded, it listens itself.
const command = process.argv.slice(2).find((word) => !word.startsWith("-"))
const onInterrupt = (): never => process.exit(command === "demo" ? 0 : 130)
process.on("SIGINT", onInterrupt)

enableCompileCache(fileURLToPath(new URL("../node_modules/.cache/compiled", import.meta.url)))
await import("./cli.ts")
process.off("SIGINT", onInterrupt)
