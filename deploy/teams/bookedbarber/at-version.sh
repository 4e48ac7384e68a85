#!/bin/sh
# Is a version in service, of the backend and of the frontend?
#
#   at-version.sh VERSION
#
# Asks the deployment system and not the service: it answers while the service is down.
# Exit code: 0 both are, 1 they are not, 2 nobody can tell.
set -u

version=${1:?which version}
for part in backend frontend; do
    answer=$(curl -fsS --max-time 10 -H "Authorization: Bearer ${DEPLOY_TOKEN:-}" \
        "${DEPLOY_API:?}/deployments/bookedbarber-$part") || exit 2
    serving=$(printf '%s' "$answer" | sed -n 's/.*"version": *"\([^"]*\)".*/\1/p')
    [ -n "$serving" ] || exit 2
    if [ "$serving" != "$version" ]; then
        echo "$part is at $serving"
        exit 1
    fi
done
