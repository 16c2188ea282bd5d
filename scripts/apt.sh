#!/usr/bin/env bash
# Installs Debian packages that are missing, and starts nothing: scripts/apt.sh install PACKAGE...
#
# A package's own service would otherwise start with its installation, and PostgreSQL would make a
# cluster that nobody asked for. Both are held off for the time of the installation only; whatever
# runs already is left alone.
set -euo pipefail

[ "${1:-}" = install ] && [ $# -gt 1 ] || { echo "usage: $0 install PACKAGE..." >&2; exit 2; }
shift

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

missing=()
for package in "$@"; do
  installed "$package" || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" != 0 ]; then
  echo "Not installed, and only root can: apt-get install ${missing[*]}" >&2
  exit 77
fi

guard=/usr/sbin/policy-rc.d
no_cluster=/etc/postgresql-common/createcluster.d/miqyas-setup.conf
made=()
trap '[ ${#made[@]} = 0 ] || rm -f "${made[@]}"' EXIT

if [ ! -e "$guard" ]; then
  made+=("$guard")
  printf '#!/bin/sh\n# Made by an installation that is running now.\nexit 101\n' >"$guard"
  chmod 755 "$guard"
fi
mkdir -p "$(dirname "$no_cluster")"
made+=("$no_cluster")
echo "create_main_cluster = false" >"$no_cluster"

export DEBIAN_FRONTEND=noninteractive
quiet=(-q -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0)
log=$(mktemp)
made+=("$log")
echo "apt: installing ${missing[*]}"
# A third party's repository that is out of reach must not stop what Debian's own can give.
apt-get update "${quiet[@]}" >"$log" 2>&1 || echo "apt: not every package list could be fetched; going on with those that could" >&2
if ! apt-get install "${quiet[@]}" -y --no-install-recommends "${missing[@]}" >>"$log" 2>&1; then
  tail -n 30 "$log" >&2
  echo "apt: could not install ${missing[*]}; apt's last lines are above." >&2
  exit 1
fi
