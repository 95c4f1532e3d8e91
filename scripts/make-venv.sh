#!/bin/sh
# Make a virtual environment with pip: make-venv.sh DIRECTORY. PYTHON names the interpreter.
set -eu

venv=$1
python=${PYTHON:-python3}

has_ensurepip() {
    command -v "$python" >/dev/null && "$python" -c 'import ensurepip' 2>/dev/null
}

# Debian keeps ensurepip in a package of its own, without which `python3 -m venv` fails.
if ! has_ensurepip && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "==> installing python3-venv"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends python3-venv >/dev/null
fi
if ! has_ensurepip; then
    echo "$python with the venv module is needed (on Debian: apt install python3-venv)" >&2
    exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "Python 3.11 or newer is needed, $python is $("$python" -V); try PYTHON=/path/to/python" >&2
    exit 1
fi

echo "==> making $venv"
"$python" -m venv "$venv"
