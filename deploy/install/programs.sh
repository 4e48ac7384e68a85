#!/bin/sh
# See to it that programs are there which no Python package brings.
#
#   deploy/install/programs.sh prometheus promtool prometheus-alertmanager
#
# Each is looked for on PATH and in /usr/bin; what is missing is installed by apt-get if that is allowed here.
# Exit code: 0 all are there, 1 not, and what to install has been said.
set -eu

here=$(dirname "$0")
missing=

for program in "$@"; do
    (PATH=$PATH:/usr/local/bin:/usr/bin; command -v "$program" >/dev/null 2>&1) && continue
    case $program in
        prometheus | promtool) package=prometheus ;;
        vmalert) package=victoria-metrics ;;
        *) package=$program ;;
    esac
    case " $missing " in *" $package "*) ;; *) missing="$missing $package" ;; esac
done

[ -z "$missing" ] && exit 0
# shellcheck disable=SC2086  the names of packages have no spaces
if ! "$here/apt.sh" $missing; then
    echo "Or unpack https://prometheus.io/download/ and put its directory on PATH." >&2
    exit 1
fi
