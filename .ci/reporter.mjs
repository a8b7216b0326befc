/** Writes what `.ci/run` counts and tells again at its end: also what is no test's failure, but a file's, a hook's, or nobody's. */
import { writeFileSync } from "node:fs"
import { relative } from "node:path"

export default class {
  onTestRunEnd(modules, unhandled) {
    const count = { passed: 0, failed: 0, skipped: 0 }
    const broken = []
    for (const module of modules) {
      const file = relative(".", module.moduleId)
      const tell = (what, errors) => broken.push(`${file}: ${what}`, ...errors.flatMap(linesOf))
      if (module.errors().length > 0) tell("the file", module.errors())
      for (const suite of module.children.allSuites()) {
        if (suite.errors().length > 0) tell(`around ${suite.fullName}`, suite.errors())
      }
      for (const test of module.children.allTests()) {
        const { errors = [], state } = test.result()
        count[state in count ? state : "skipped"]++
        if (state === "failed") tell(test.fullName, errors)
      }
    }
    for (const error of unhandled) broken.push("outside of any test:", ...linesOf(error))
    writeFileSync(process.env.STARLING_CI_REPORT, JSON.stringify({ ...count, broken }))
  }
}

/** As many as say what it was. */
const linesMax = 30

const linesOf = ({ diff = "", message = "", stack = "" }) =>
  [message, diff, stack]
    .join("\n")
    .split("\n")
    .filter((line) => line.trim() !== "")
    .slice(0, linesMax)
    .map((line) => `    ${line}`)
