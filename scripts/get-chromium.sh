#!/bin/sh
# See to it that there is a Chromium for the browser tests.
set -eu

for name in chromium chromium-browser google-chrome google-chrome-stable; do
    if command -v "$name" >/dev/null; then
        exit 0
    fi
done

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "==> installing Chromium for the browser tests"
    apt-get update -qq || true
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium >/dev/null ||
        echo "apt could not install everything; the tests that miss something will say so" >&2
else
    # The browser tests say themselves what they make of this.
    echo "There is no Chromium on the PATH, and it takes root and apt to install one here" >&2
fi
