#!/bin/sh
# Say whether the demo shop serves a release: exit 0 it does, 1 it serves another, anything else: cannot tell.
#
#   deploy/demo/at-version.sh v1
set -eu

[ -n "${1:-}" ] && [ -n "${SHOP_HOME:-}" ] || { echo "usage: SHOP_HOME=... at-version.sh RELEASE" >&2; exit 2; }
running=$(cat "$SHOP_HOME/running") || exit 3
echo "the shop serves $running"
[ "$running" = "$1" ]
