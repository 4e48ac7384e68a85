#!/bin/sh
# Say that a batch goes live: its guard is armed for its stability period, and so is that of the platform.
#
#   start-batch.sh BATCH VERSION PREVIOUS_VERSION        start-batch.sh 2 v2.0.0 v1.4.2
#
# ROLLBACK_GUARD_URL and ROLLBACK_GUARD_TOKEN_FILE say where the guard is, if not at http://127.0.0.1:9876.
set -eu

[ $# -eq 3 ] || { echo "usage: start-batch.sh BATCH VERSION PREVIOUS_VERSION" >&2; exit 2; }
batch=$1 version=$2 previous=$3
case $batch in
    2) window=72h ;;            # "72-hour stability period (money involved!)"
    1 | 3 | 4 | 5 | 6) window=48h ;;
    *) echo "there is no batch $batch" >&2; exit 2 ;;
esac

start() {
    rollback-guard rollout start "my-hibachi-batch-$1" --version "$version" --previous-version "$previous" --window "$window"
}
start 1
[ "$batch" = 1 ] || start "$batch"
