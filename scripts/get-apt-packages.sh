#!/bin/sh
# See to it that there are the proxies which the tests put in front of the server, and a compiler for the load.
set -eu

# Daemons are not on the PATH of ordinary users.
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
POLICY=/usr/sbin/policy-rc.d

packages=
for pair in nginx:nginx-light haproxy:haproxy apache2:apache2 squid:squid varnishd:varnish caddy:caddy \
    lighttpd:lighttpd openssl:openssl gcc:gcc; do
    command -v "${pair%:*}" >/dev/null || packages="$packages ${pair#*:}"
done
[ -e /usr/include/stdio.h ] || packages="$packages libc6-dev"
if [ -z "$packages" ]; then
    exit 0
fi

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "==> installing the proxies and the compiler that the tests use:$packages"
    # Debian starts what it installs, unless this file says no. The tests start what they need themselves.
    if [ ! -e "$POLICY" ]; then
        trap 'rm -f "$POLICY"' EXIT
        trap 'exit 1' INT TERM
        printf '#!/bin/sh\nexit 101\n' >"$POLICY"
        chmod 755 "$POLICY"
    fi
    apt-get update -qq || true
    # shellcheck disable=SC2086 # several words are meant
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $packages >/dev/null ||
        echo "apt could not install everything; the tests that miss something will say so" >&2
else
    # The tests say themselves what they make of this.
    echo "These packages are not installed, and it takes root and apt to do so here:$packages" >&2
fi
