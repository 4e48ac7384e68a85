#!/bin/sh
# Put a release of the demo shop back into service, and come back when it serves.
#
#   deploy/demo/rollback.sh --to v1
#
# It names the goal ("v1 serves"), not a step ("the one before"): running it twice does no harm.
# Exit code: 0 it serves, 1 it does not, 2 wrong use.
set -eu

[ "${1:-}" = --to ] && [ -n "${2:-}" ] || { echo "usage: rollback.sh --to RELEASE" >&2; exit 2; }
release=$2
: "${SHOP_HOME:?where the shop is}"
[ -f "$(dirname "$0")/releases/$release.py" ] || { echo "there is no release $release" >&2; exit 1; }

echo "$release" > "$SHOP_HOME/.release.$$"
mv "$SHOP_HOME/.release.$$" "$SHOP_HOME/release"

tries=100
until [ "$(cat "$SHOP_HOME/running" 2>/dev/null)" = "$release" ]; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || { echo "the shop does not serve $release after 10 seconds" >&2; exit 1; }
    sleep 0.1
done
echo "the shop serves $release"
