#!/bin/sh
# Put a release of My Hibachi into service, or say whether it is the one that serves.
#
#   release.sh to v1.4.2     exit 0: it serves; 1: there is no such release, or it does not start; 75: try again
#   release.sh at v1.4.2     exit 0: it serves; 1: another does; 3: cannot tell
#
# RELEASES holds releases/VERSION, the link `current`, and `running`: what the last restart started.
# RESTART is the command that restarts the API.
set -eu

verb=${1:-} version=${2:-}
case $verb-$version in
    to-?* | at-?*) ;;
    *) echo "usage: release.sh to|at VERSION" >&2; exit 2 ;;
esac
case $version in
    */* | .*) echo "no version: $version" >&2; exit 2 ;;
esac
: "${RELEASES:?where the releases are}"

if [ "$verb" = at ]; then
    running=$(cat "$RELEASES/running") || exit 3
    echo "$running serves"
    [ "$running" = "$version" ]
    exit
fi

[ -d "$RELEASES/releases/$version" ] || { echo "there is no release $version" >&2; exit 1; }
exec 9> "$RELEASES/.lock"
flock -w 60 9 || { echo "another release is being put into service" >&2; exit 75; }

# The link is replaced in one piece; `running` is written last, so that a crash in between leads to another attempt.
ln -sfn "releases/$version" "$RELEASES/.current"
mv -T "$RELEASES/.current" "$RELEASES/current"
sh -c "${RESTART:?how the API is restarted}" 9>&- || { echo "$version does not start" >&2; exit 1; }
echo "$version" > "$RELEASES/.running"
mv "$RELEASES/.running" "$RELEASES/running"
echo "$version serves"
