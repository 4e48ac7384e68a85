#!/bin/sh
# Tell the guards of the chatbot platform that a release begins (T-0) or is over. The pipeline calls it right before and
# after it deploys; from the first call to the second, or to the end of their windows, they know what they are watching.
#
#   deploy/teams/chatbot-platform/release.sh start VERSION PREVIOUS_VERSION
#   deploy/teams/chatbot-platform/release.sh finish REASON
#
# ROLLBACK_GUARD_URL says where the daemon is, ROLLBACK_GUARD_TOKEN_FILE who asks; see docs/cli.md.
# Exit code: that of the first order that was not taken.
set -eu

usage() { echo "usage: release.sh start VERSION PREVIOUS_VERSION | release.sh finish REASON" >&2; exit 2; }
: "${GUARDS:=chatbot-platform chatbot-canary}"

case "${1:-}" in
start)
    [ $# -eq 3 ] || usage
    for guard in $GUARDS; do
        rollback-guard rollout start "$guard" --version "$2" --previous-version "$3"
    done ;;
finish)
    [ $# -eq 2 ] || usage
    for guard in $GUARDS; do
        rollback-guard rollout finish "$guard" --reason "$2"
    done ;;
*) usage ;;
esac
