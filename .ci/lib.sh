# What the parts of `.ci/run` share. A check is a command that must succeed; each counts as one test.

passed=0
failed=0
skipped=0

# check NAME COMMAND...: quiet but for the last line when it succeeds, all it said when it fails.
check() {
  local name=$1 from=$SECONDS said
  shift
  if said=$("$@" 2>&1); then
    passed=$((passed + 1))
    printf '  ✓ %-13s %3d s  %s\n' "$name" $((SECONDS - from)) "$(tail -n 1 <<<"$said")"
  else
    failed=$((failed + 1))
    printf '  ✗ %-13s %3d s\n%s\n' "$name" $((SECONDS - from)) "$said"
    return 1
  fi
}
