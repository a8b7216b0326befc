#!/usr/bin/env node
/**
 * Where the program begins: compiled code is kept between runs, which halves what a command costs before it does
 * anything, and only then is the command line loaded. Where the cache cannot be written, nothing else changes.
 */
import { enableCompileCache } from "node:module"
import { fileURLToPath } from "node:url"

enableCompileCache(fileURLToPath(new URL("../node_modules/.cache/compiled", import.meta.url)))
await import("./cli.ts")
