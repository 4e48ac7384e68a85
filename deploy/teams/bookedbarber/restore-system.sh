#!/bin/sh
# Stage 2, "System Restoration (5-15 minutes)": what the launch changed beside the version.
#
# "Cache invalidation completed", "DNS records reverted". Each may be done again. "SSL certificates validated" is
# system-restored.sh's. Exit code: 0 done, 1 failed.
set -eu

: "${LAUNCH_DIR:?the folder \"launch\" of the team's repository}"

"$LAUNCH_DIR/scripts/invalidate-cache.sh" --environment production || exit 1
"$LAUNCH_DIR/scripts/revert-dns.sh" --environment production || exit 1
