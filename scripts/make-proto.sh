#!/bin/sh
# Write the code that is generated from proto/tricast.proto: make-proto.sh PYTHON [FOLDER].
# Into the tree, or all of it into FOLDER, to compare. What is TypeScript needs the packages of clients/js.
set -eu

python=$1
target=${2:-clients/python/tricast/wire}
target_js=${2:-clients/js/src/wire}
cd "$(dirname "$0")/.."

"$python" -m grpc_tools.protoc -Iproto --python_out="$target" --pyi_out="$target" proto/tricast.proto

plugin=clients/js/node_modules/.bin/protoc-gen-es
if [ -x "$plugin" ]; then
	"$python" -m grpc_tools.protoc -Iproto --plugin=protoc-gen-es="$plugin" \
		--es_out="$target_js" --es_opt=target=ts,import_extension=js proto/tricast.proto
else
	echo "No $plugin (npm ci --prefix clients/js): what is TypeScript stays as it is" >&2
fi
