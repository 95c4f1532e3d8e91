#!/bin/sh
# Install Debian packages for the tests or the benchmarks: apt-install.sh WHAT-FOR PACKAGE... Only root with apt can.
set -eu

POLICY=/usr/sbin/policy-rc.d

purpose=$1
shift
if [ "$#" = 0 ]; then
    exit 0
fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    # Whoever needs them says what it makes of this.
    echo "For $purpose these packages are not installed, and it takes root and apt to do so here: $*" >&2
    exit 0
fi
echo "==> installing for $purpose: $*"
# Debian starts what it installs, unless this file says no. Everything here starts what it needs itself.
if [ ! -e "$POLICY" ]; then
    trap 'rm -f "$POLICY"' EXIT
    trap 'exit 1' INT TERM
    printf '#!/bin/sh\nexit 101\n' >"$POLICY"
    chmod 755 "$POLICY"
fi
apt-get update -qq || true
DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" >/dev/null ||
    echo "apt could not install everything; what misses something will say so" >&2
