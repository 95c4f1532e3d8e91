#!/bin/sh
# See to it that there are the servers which `make bench-peers` measures beside ours. Each says itself what it lacks.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
peers=$here/benchmarks/peers
venv=$here/build/peers-venv
# Daemons are not on the PATH of ordinary users.
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

# The load is compiled.
packages=
command -v gcc >/dev/null || packages="$packages gcc"
[ -e /usr/include/stdio.h ] || packages="$packages libc6-dev"
command -v nginx >/dev/null || packages="$packages nginx"
[ -e /usr/lib/nginx/modules/ngx_nchan_module.so ] || packages="$packages libnginx-mod-nchan"

# shellcheck disable=SC2086 # several words are meant
sh "$here/scripts/apt-install.sh" "the benchmark of other servers" $packages

# Whether $1 is there and no older than the files that follow.
fresh() {
    stamp=$1
    shift
    [ -e "$stamp" ] || return 1
    for file in "$@"; do
        [ ! "$file" -nt "$stamp" ] || return 1
    done
}

if ! fresh "$peers/node_modules/.stamp" "$peers/package.json" "$peers/package-lock.json"; then
    if sh "$here/scripts/get-node-packages.sh" "$peers"; then
        touch "$peers/node_modules/.stamp"
    else
        echo "The servers that run on Node are not installed" >&2
    fi
fi

if ! fresh "$venv/.stamp" "$peers/requirements.txt"; then
    if sh "$here/scripts/make-venv.sh" "$venv" && {
        echo "==> installing the servers that run on Python into $venv"
        "$venv/bin/python" -m pip -qq --disable-pip-version-check install --require-hashes --only-binary :all: \
            -r "$peers/requirements.txt"
    }; then
        touch "$venv/.stamp"
    else
        echo "The servers that run on Python are not installed" >&2
    fi
fi
