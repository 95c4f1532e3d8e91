#!/bin/sh
# Install the Node packages that a directory's lock names: get-node-packages.sh DIRECTORY.
set -eu

sh "$(dirname "$0")/has-node.sh"
echo "==> installing the Node packages in $1"
npm ci --prefix "$1" --no-audit --no-fund --ignore-scripts --loglevel=error
