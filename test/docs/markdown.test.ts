import { describe, it } from "@effect/vitest"
import { globSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

/** Every fence marked `ts run` in docs/ is a program that must finish. */
const docs = new URL("../../docs/", import.meta.url)
const out = new URL(".generated/", docs)
mkdirSync(out, { recursive: true })

for (const file of globSync("**/*.md", { cwd: fileURLToPath(docs) })) {
  const fences = [...readFileSync(new URL(file, docs), "utf8").matchAll(/^```ts run\n([\s\S]*?)^```$/gm)]
  if (fences.length === 0) continue
  describe(file, () => {
    fences.forEach(([, code], i) => {
      const target = new URL(`${file.replaceAll(/\W/g, "-")}-${i}.ts`, out)
      writeFileSync(target, `${code}\nexport {}\n`)
      it(`fence ${i + 1}`, () => import(target.href))
    })
  })
}
