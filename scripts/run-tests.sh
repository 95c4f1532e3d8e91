#!/bin/sh
# All tests: vitest, which mostly waits, beside pytest, to which the arguments go. What is built is there already.
set -u

here=$(cd "$(dirname "$0")/.." && pwd)
log=$here/build/vitest.log
mkdir -p "$here/build"

(
    for place in clients/js web; do
        cd "$here/$place" && npx --no-install vitest run || exit 1
    done
) >"$log" 2>&1 &
vitest=$!
trap 'kill "$vitest" 2>/dev/null' INT TERM

echo "==> pytest, and vitest beside it"
"$here/.venv/bin/python" -m pytest "$@"
status=$?

echo "==> vitest: clients/js, web"
wait "$vitest" || status=1
cat "$log"
exit "$status"
