#!/bin/sh
# Stage 1, "Immediate Response (0-5 minutes)": put a version back into service.
#
#   emergency-rollback.sh VERSION
#
# It names the goal ("v1.9.3 serves"), so running it twice does no harm. Exit code: 0 done, 1 failed, 2 wrong use.
set -eu

version=${1:?which version}
: "${LAUNCH_DIR:?the folder \"launch\" of the team's repository}"
here=$(dirname "$0")

if "$here/at-version.sh" "$version"; then
    echo "$version serves already"
    exit 0
fi
ROLLBACK_TO=$version "$LAUNCH_DIR/scripts/emergency-rollback.sh" --confirm-rollback || exit 1
