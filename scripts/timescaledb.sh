#!/usr/bin/env bash
# Brings TimescaleDB (Apache edition) to a Debian 12 or 13 machine. Does nothing where it is already.
#
# Where the machine's package sources offer postgresql-N-timescaledb, that is installed. Debian 12's
# do not: there, Debian 13's source package is built against Debian 12's PostgreSQL into a package
# that `apt-get remove` can take away again. The mirror is the one that apt is configured with, and
# apt checks the source's signatures with Debian's own keys, as for every package.
#
# Exit status: 0 there; 77 not there and not possible here (the rest of Miqyas goes on without).
set -euo pipefail
cd "$(dirname "$0")/.."

source_suite=trixie

say() { printf 'timescaledb: %s\n' "$*"; }
cannot() {
  say "not installed: $1" >&2
  say "Miqyas works without it, on the embedded PostgreSQL." >&2
  exit 77
}

# Prints the version of each PostgreSQL that has the extension.
present() {
  local config version
  for config in /usr/lib/postgresql/*/bin/pg_config; do
    [ -x "$config" ] && [ -x "$("$config" --bindir)/postgres" ] || continue
    version=$(sed -n "s/^default_version *= *'\(.*\)'/\1/p" "$("$config" --sharedir)/extension/timescaledb.control" 2>/dev/null) || continue
    [ -z "$version" ] || echo "TimescaleDB $version for $("$config" --version)"
  done
}

if [ -n "$(present)" ]; then
  present | while read -r line; do say "$line is installed"; done
  exit
fi

command -v apt-get >/dev/null || cannot "this machine has no apt-get; see TimescaleDB's own installation page."
[ "$(id -u)" = 0 ] || cannot "only root can install it. As root: make timescaledb"

candidate() { apt-cache policy "$1" 2>/dev/null | sed -n 's/^  Candidate: //p' | grep -vx '(none)'; }

apt-get update -q >/dev/null || say "not every package list could be fetched; going on with those that could" >&2
major=$(apt-cache depends --important postgresql 2>/dev/null | sed -n 's/^ *Depends: postgresql-\([0-9][0-9]*\)$/\1/p' | head -n 1)
[ -n "$major" ] || cannot "apt knows no package postgresql; see /etc/apt/sources.list.d and apt-get update."

if [ -n "$(candidate "postgresql-$major-timescaledb")" ]; then
  say "installing postgresql-$major-timescaledb"
  scripts/apt.sh install "postgresql-$major" "postgresql-$major-timescaledb"
  present | while read -r line; do say "$line"; done
  exit
fi

say "building from Debian's source package for PostgreSQL $major (two to four minutes)"
scripts/apt.sh install "postgresql-$major" "postgresql-server-dev-$major" \
  build-essential cmake dpkg-dev libkrb5-dev libssl-dev debian-archive-keyring

mirror=$(apt-get indextargets --format '$(REPO_URI)' "Identifier: Packages" "Origin: Debian" "Label: Debian" | head -n 1)
[ -n "$mirror" ] || cannot "apt's configuration names no Debian mirror to take the source from."

workplace=$(mktemp -d)
trap 'rm -rf "$workplace"' EXIT
chmod 755 "$workplace"

# A source list, package lists and a cache of its own: the machine's apt stays as it is.
mkdir -p "$workplace"/{lists,cache}/partial "$workplace"/{source,package,parts}
# apt fetches as an account of its own, which must be able to write here.
if getent passwd _apt >/dev/null; then chown _apt "$workplace"/{lists,cache}/partial "$workplace/source"; fi
cat >"$workplace/debian.sources" <<EOF
Types: deb-src
URIs: $mirror
Suites: $source_suite
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
EOF
apart=(
  -q -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0
  -o Dir::Etc::sourcelist="$workplace/debian.sources" -o Dir::Etc::sourceparts="$workplace/parts"
  -o Dir::State::lists="$workplace/lists" -o Dir::Cache="$workplace/cache"
  -o APT::Update::Error-Mode=any -o APT::Get::AllowUnauthenticated=false -o Acquire::AllowInsecureRepositories=false
  -o Acquire::Languages=none
)
say "fetching the source from the machine's own mirror; apt checks its signature"
apt-get "${apart[@]}" update >/dev/null
(cd "$workplace/source" && apt-get "${apart[@]}" source --only-source timescaledb >/dev/null)
tree=$(find "$workplace/source" -mindepth 1 -maxdepth 1 -type d -name 'timescaledb-*')
version=$(cd "$tree" && dpkg-parsechangelog --show-field Version)
say "building timescaledb $version on $(nproc) cores"

log=$workplace/build.log
build() {
  cmake -S "$tree" -B "$workplace/build" -DCMAKE_BUILD_TYPE=RelWithDebInfo \
    -DPG_CONFIG="/usr/lib/postgresql/$major/bin/pg_config" -DAPACHE_ONLY=1 -DREGRESS_CHECKS=OFF -DTAP_CHECKS=OFF \
    -DWARNINGS_AS_ERRORS=OFF -DUSE_TELEMETRY=OFF -DSEND_TELEMETRY_DEFAULT=OFF &&
    cmake --build "$workplace/build" --parallel "$(nproc)" &&
    DESTDIR=$workplace/package cmake --install "$workplace/build" --strip
}
if ! build >"$log" 2>&1; then
  tail -n 30 "$log" >&2
  say "the build failed; the last lines of its log are above." >&2
  exit 1
fi

mkdir "$workplace/package/DEBIAN"
cat >"$workplace/package/DEBIAN/control" <<EOF
Package: postgresql-$major-timescaledb
Version: $version~local1
Architecture: $(dpkg --print-architecture)
Maintainer: made on this machine <root@localhost>
Depends: postgresql-$major
Description: TimescaleDB, Apache edition, built here from Debian's source package
EOF
dpkg-deb --root-owner-group --build "$workplace/package" "$workplace/timescaledb.deb" >/dev/null
dpkg -i "$workplace/timescaledb.deb" >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
present | while read -r line; do say "$line"; done
