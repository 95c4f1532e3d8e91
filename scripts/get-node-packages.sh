#!/bin/sh
# Install the Node packages that a directory's lock names: get-node-packages.sh DIRECTORY.
set -eu

# undici needs 20.18.1, rounded up here; npm by itself would only warn.
if ! node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)' 2>/dev/null ||
    ! command -v npm >/dev/null; then
    echo "The tests need Node 20.19 or newer, with npm (found: $(node --version 2>/dev/null || echo none))" >&2
    exit 1
fi

echo "==> installing the Node packages in $1"
npm ci --prefix "$1" --no-audit --no-fund --ignore-scripts --loglevel=error
