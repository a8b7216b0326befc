/**
 * `docs/results/beyond.md`, of what is stored of each part.
 *
 * @since 0.1.0
 */
import * as Checks from "../Checks.ts"
import * as Markdown from "../Markdown.ts"
import type { Stored } from "../Results.ts"
import type { Any } from "./Part.ts"

/** @since 0.1.0 @category models */
export interface Section {
  readonly part: Any
  readonly stored: Stored<ReadonlyArray<unknown>>
}

/** @since 0.1.0 */
export const page = (sections: ReadonlyArray<Section>): string => {
  const checks = sections.flatMap(({ stored }) => stored.checks)
  const holding = checks.filter(({ holds }) => holds).length
  const seconds = sections.reduce((sum, { stored }) => sum + stored.about.processorSeconds, 0)
  return [
    "# Beyond the papers",
    "",
    "Written by `npx -y pnpm@12 lab beyond`; do not edit. What the papers on HyParView and Plumtree leave open, tried on the",
    "machines that an agent runs, in virtual time. Every number is of one seed, and the same seed gives the same numbers.",
    "",
    `${holding} of ${checks.length} promises hold. All parts together took ${Markdown.count(seconds)} s of processor time, on every core at once.`,
    "",
    ...sections.flatMap(sectionOf)
  ].join("\n")
}

const sectionOf = ({ part, stored: { about, checks, results } }: Section): ReadonlyArray<string> => [
  `## ${part.title}`,
  "",
  part.about,
  "",
  ...Checks.table(checks),
  "",
  ...pageOf(part, results),
  "",
  `<sub>\`${about.command}\` at ${about.commit}: ${Markdown.count(about.processorSeconds)} s of processor time, done ${Markdown.count(about.realSeconds)} s after the command started, ${Markdown.count(about.memoryMib)} MiB in the whole process by then; ${about.machine}.</sub>`,
  ""
]

/** Results of a former version of a part may not be what its page is made of: then the page says so. */
const pageOf = (part: Any, results: ReadonlyArray<unknown>): ReadonlyArray<string> => {
  try {
    return part.page(results)
  } catch (error) {
    return [
      `What is stored is not what this version measures: run \`lab beyond --only ${part.name}\` (${String(error)}).`
    ]
  }
}
