#!/bin/sh
# Install Debian packages if that is allowed here, else say exactly what to install.
#
#   deploy/install/apt.sh PACKAGE...
#
# Services that come with them are not started: what is needed are the programs. Exit code: 0 installed, 1 not.
set -eu

command="apt-get install --no-install-recommends $*"
if ! command -v apt-get >/dev/null 2>&1; then
    echo "Please install what Debian calls: $*" >&2
    exit 1
elif [ "$(id -u)" = 0 ]; then
    as_root() { "$@"; }
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    as_root() { sudo -n "$@"; }
else
    echo "Please run: sudo $command" >&2
    exit 1
fi

# Debian asks this file whether a package may start its service.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'as_root rm -f "$policy"' EXIT
    trap 'exit 1' HUP INT TERM
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
fi

install() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 --quiet=2 --yes "$@" </dev/null >&2
}

echo "Installing $* with apt-get …" >&2
# Package lists may be missing or too old to fetch from; then once more with new ones.
if ! install install --no-install-recommends "$@" 2>/dev/null; then
    install update || true
    install install --no-install-recommends "$@" || { echo "This failed: $command" >&2; exit 1; }
fi

# They would start with the next boot. Without systemctl there is no systemd that could.
for package in "$@"; do
    for unit in $(dpkg -L "$package" | sed -n 's|.*/systemd/system/\([^@/]*\.service\)$|\1|p'); do
        as_root systemctl disable --quiet "$unit" 2>/dev/null || true
    done
done
