#!/bin/sh
# Whether there is a Node, with npm, that is new enough; says so if not. undici needs 20.18.1, rounded up here.
if ! node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)' 2>/dev/null ||
    ! command -v npm >/dev/null; then
    echo "Node 20.19 or newer, with npm, is needed here (found: $(node --version 2>/dev/null || echo none))" >&2
    exit 1
fi
