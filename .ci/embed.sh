# A stranger embeds it: all packages are packed and installed with npm into an empty project beside Effect, and the
# programs of test/embed are type-checked and run there. Needs what `tsc -b` makes. Sourced by `.ci/run`.

embed() {
  local root=$PWD stranger tarballs program ok=0
  stranger=$temporary/stranger
  tarballs=$temporary/tarballs
  mkdir "$stranger" "$tarballs"
  check pack pack_all "$tarballs" || return 1
  cp test/embed/*.ts "$stranger"
  describe_stranger "$tarballs" >"$stranger/package.json"
  # Nobody but the tarballs may answer for our packages: whoever asks for one elsewhere fails at once.
  printf '%s\n' "@starling:registry=http://127.0.0.1:9/" fetch-retries=0 >"$stranger/.npmrc"
  cat >"$stranger/tsconfig.json" <<'JSON'
{
  "compilerOptions": {
    "target": "ES2024",
    "module": "NodeNext",
    "types": ["node"],
    "strict": true,
    "exactOptionalPropertyTypes": true,
    "noUncheckedIndexedAccess": true,
    "verbatimModuleSyntax": true,
    "skipLibCheck": false,
    "noEmit": true
  }
}
JSON
  cd "$stranger"
  check "npm install" npm install --no-audit --no-fund --loglevel=error || { cd "$root"; return 1; }
  check tarballs only_tarballs || ok=1
  check types node_modules/.bin/tsc || ok=1
  check "no back door" refuses_internal || ok=1
  for program in *.ts; do check "$program" node "$program" || ok=1; done
  cd "$root"
  return $ok
}

pack_all() {
  pnpm --recursive --filter "./packages/*" pack --pack-destination "$1" &&
    [ "$(ls "$1"/*.tgz | wc -l)" = "$(ls -d packages/*/ | wc -l)" ] &&
    echo "$(ls "$1"/*.tgz | wc -l) tarballs"
}

# The stranger's package.json: each of our packages as a file, and the rest in the versions that this checkout has.
describe_stranger() {
  node -e '
    const { readdirSync, readFileSync } = require("node:fs")
    const versionIn = (folder, name) => JSON.parse(readFileSync(`${folder}/node_modules/${name}/package.json`, "utf8")).version
    const ours = Object.fromEntries(readdirSync("packages").map((folder) => {
      const { name, version } = JSON.parse(readFileSync(`packages/${folder}/package.json`, "utf8"))
      return [name, `file:${process.argv[1]}/${name.slice(1).replace("/", "-")}-${version}.tgz`]
    }))
    console.log(JSON.stringify({
      name: "stranger",
      private: true,
      type: "module",
      // npm would ask a registry for what our packages need of each other.
      overrides: Object.fromEntries(Object.keys(ours).map((name) => [name, `$${name}`])),
      dependencies: {
        ...ours,
        "@effect/platform-node": versionIn("packages/platform-node", "@effect/platform-node"),
        effect: versionIn(".", "effect")
      },
      devDependencies: Object.fromEntries(["@types/node", "fast-check", "typescript"].map((name) => [name, versionIn(".", name)]))
    }, undefined, 2))
  ' "$1"
}

# As the lockfile of npm has it: ours from files, and one Effect for all.
only_tarballs() {
  node -e '
    const { packages } = JSON.parse(require("node:fs").readFileSync("package-lock.json", "utf8"))
    const entries = Object.entries(packages).filter(([path]) => path !== "")
    const ours = entries.filter(([path]) => path.includes("node_modules/@starling/"))
    const wrong = ours.filter(([path, { resolved }]) => !/^node_modules\/@starling\/[^/]+$/.test(path) || !resolved?.startsWith("file:"))
    const effects = entries.filter(([path]) => /(?:^|\/)node_modules\/effect$/.test(path))
    if (ours.length === 0 || wrong.length > 0 || effects.length !== 1) throw new Error(JSON.stringify({ wrong, effects }, undefined, 2))
    console.log(`${ours.length} packages of ours from files, Effect ${effects[0][1].version} once, ${entries.length} in all`)
  '
}

# What is internal must not compile either.
refuses_internal() {
  local said
  echo 'export * as Iso from "@starling/clock/internal/iso"' >closed.mts
  if said=$(node_modules/.bin/tsc --ignoreConfig --noEmit --module nodenext closed.mts); then
    echo "an internal module compiled"
    return 1
  fi
  rm closed.mts
  grep --max-count 1 "TS2307.*@starling/clock/internal/iso" <<<"$said"
}
