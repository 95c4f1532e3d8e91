#!/bin/sh
# See to it that there are the proxies which the tests put in front of the server, Redis behind it, and a compiler.
set -eu

# Daemons are not on the PATH of ordinary users.
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

packages=
for pair in nginx:nginx-light haproxy:haproxy apache2:apache2 squid:squid varnishd:varnish caddy:caddy \
    lighttpd:lighttpd redis-server:redis-server openssl:openssl curl:curl gcc:gcc; do
    command -v "${pair%:*}" >/dev/null || packages="$packages ${pair#*:}"
done
[ -e /usr/include/stdio.h ] || packages="$packages libc6-dev"
# shellcheck disable=SC2086 # several words are meant
sh "$(dirname "$0")/apt-install.sh" "the tests" $packages
