# The bundle of `pnpm build`, moved out of the repository: it says its version, reads a configuration, and runs a node
# with a data directory that comes back as the same node; its demo says that it needs a checkout. Sourced by `.ci/run`.

bundle() {
  local ok=0
  starling=$temporary/bundle/starling.mjs
  mkdir "$temporary/bundle"
  cp apps/starling/dist/{starling.mjs,sqliteWorker.js} "$temporary/bundle"
  check version bundle_version || ok=1
  check "agent --check" node "$starling" agent --check --name bundled || ok=1
  check demo bundle_demo || ok=1
  check agent bundle_agent || ok=1
  check "agent again" bundle_agent || ok=1
  return $ok
}

bundle_version() {
  local said version
  said=$(node "$starling" --version)
  version=$(node -p 'JSON.parse(require("node:fs").readFileSync("apps/starling/package.json", "utf8")).version')
  echo "$said"
  [ "$said" = "starling v$version" ]
}

# Its programs are not part of the bundle; it says so.
bundle_demo() {
  local said
  ! said=$(node "$starling" demo --once 2>&1) && echo "$said" | grep "run it in a checkout"
}

# One node from its start to its goodbye; every run must be the node of the first.
bundle_agent() {
  local data=$temporary/bundle/data out=$temporary/bundle/out ready api id pid code=0
  node "$starling" agent --name bundled --data "$data" --gossip 127.0.0.1:0 --api 127.0.0.1:0 --otlp off >"$out" 2>&1 &
  pid=$!
  for _ in $(seq 300); do
    if grep --quiet "^ready " "$out" || ! kill -0 $pid 2>/dev/null; then break; fi
    sleep 0.1
  done
  ready=$(grep --max-count 1 "^ready " "$out") || { kill -KILL $pid 2>/dev/null; cat "$out"; return 1; }
  api=$(sed -E 's/.* api=([^ ]+).*/\1/' <<<"$ready")
  id=$(sed -E 's/.* id=([^ ]+).*/\1/' <<<"$ready")
  node "$starling" nodes --api "$api" --jsonl | grep --quiet '"name":"bundled"' || { echo "it does not know itself"; code=1; }
  kill -TERM $pid
  wait $pid || { echo "ended with $?"; cat "$out"; code=1; }
  [ -s "$data/state.db" ] || { echo "no state.db in $data"; code=1; }
  [ -e "$temporary/bundle/id" ] || echo "$id" >"$temporary/bundle/id"
  [ "$(cat "$temporary/bundle/id")" = "$id" ] || { echo "came back as $id, another node"; code=1; }
  echo "node $id"
  return $code
}
