#!/bin/sh
# Install rollback-guard with exactly the dependencies of uv.lock into .venv, beginning with nothing but Python.
#
#   deploy/install/bootstrap.sh
#
# An existing uv is used. Otherwise one is installed into a virtual environment of its own inside of .venv; nothing
# outside of this directory is touched, but for Debian's python3-venv where it is missing and may be installed.
set -eu

uv_version=0.13.8   # the one that wrote uv.lock
venv=.venv

here=$(dirname "$0")
cd "$here/../.."

say() { echo "$*" >&2; }

give_up() {
    say "bootstrap: $1"
    shift
    for line in "$@"; do say "  $line"; done
    exit 1
}

find_python() {
    for candidate in python3.11 python3.12 python3.13 python3.14 python3; do
        path=$(command -v "$candidate" 2>/dev/null) || continue
        "$path" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$path"; return; }
    done
    return 1
}

find_uv() {
    for candidate in uv "$venv/uv/bin/uv"; do
        # A version manager's shim is on PATH, but may refuse to run.
        "$candidate" --version >/dev/null 2>&1 && { command -v "$candidate"; return; }
    done
    return 1
}

install_uv() {
    python=$(find_python) || give_up "Python 3.11 or newer is needed, and there is none on PATH." \
        "Debian 12 and newer, Ubuntu: apt-get install python3 python3-venv" \
        "Elsewhere: https://docs.astral.sh/uv/getting-started/installation/ brings its own Python."
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        say "This Python cannot make virtual environments: Debian keeps that in a package of its own."
        version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        "$here/apt.sh" "python$version-venv" || exit 1
    fi
    # Made in this order, so that uv finds an environment that it may fill.
    [ -x "$venv/bin/python" ] || "$python" -m venv --without-pip "$venv"
    [ -x "$venv/uv/bin/pip" ] || "$python" -m venv "$venv/uv"
    say "Installing uv $uv_version into $venv/uv …"
    "$venv/uv/bin/pip" --quiet --disable-pip-version-check --no-input install "uv==$uv_version" ||
        give_up "uv could not be installed." "Is PyPI (or the index that pip is configured for) reachable?"
}

uv=$(find_uv) || { install_uv; uv=$venv/uv/bin/uv; }

# The first time takes a while and shows what it does; later there is nothing to say.
[ -x "$venv/bin/rollback-guard" ] && quiet=--quiet || quiet=
UV_PROJECT_ENVIRONMENT=$venv "$uv" sync --locked --all-extras $quiet
[ -x "$venv/bin/rollback-guard" ] || give_up "$venv/bin/rollback-guard is missing after the installation."
