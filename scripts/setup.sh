#!/usr/bin/env bash
# Makes .venv: the locked dependencies, and this project in editable form with its `miqyas` command.
#
# Does nothing when neither the lock, nor pyproject.toml, nor the Python changed since the last time.
# PYTHON=/path/to/python3 chooses the interpreter.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$@" >&2; exit 1; }

# Two at once would fill the same directory; the second waits and then finds nothing left to do.
if command -v flock >/dev/null; then
  exec 9>.setup.lock
  flock 9
fi

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
  local name
  for name in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
    if command -v "$name" >/dev/null && new_enough "$name"; then
      command -v "$name"
      return
    fi
  done
  fail "no Python 3.11 or newer found${PYTHON:+ at $PYTHON}." \
    "On Debian 12 or later: apt-get install python3 python3-venv. Elsewhere: PYTHON=/path/to/python3 make setup."
}

# Debian keeps venv and ensurepip out of python3, in a package of their own.
have_venv() { "$1" -c 'import venv, ensurepip' 2>/dev/null; }

ensure_venv_module() {
  have_venv "$1" && return
  local package
  package=python$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "installing Debian's $package"
    scripts/apt.sh install "$package"
    have_venv "$1" && return
  fi
  fail "$1 has no venv module." "On Debian or Ubuntu, as root: apt-get install $package. Then again: make setup."
}

# What .venv is made from, the folder included: the commands in it name their own place.
sources() { cat requirements.lock pyproject.toml scripts/setup.sh; echo "$PWD"; "$1" -c 'import sys; print(sys.version, sys.base_prefix)'; }

python=$(find_python)
stamp=.venv/.miqyas-setup
wanted=$(sources "$python" | sha256sum | cut -d' ' -f1)
if [ -x .venv/bin/miqyas ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
  say ".venv is up to date"
  exit
fi

ensure_venv_module "$python"
if ! .venv/bin/python -m pip --version >/dev/null 2>&1 ||
  [ "$(cat "$stamp.place" 2>/dev/null)" != "$PWD $("$python" -V)" ]; then
  say "making .venv with $("$python" -V) ($python)"
  rm -rf .venv
  "$python" -m venv .venv
  echo "$PWD $("$python" -V)" >"$stamp.place"
fi
rm -f "$stamp"

errors=$(mktemp)
trap 'rm -f "$errors"' EXIT
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
# pip says two lines a package and one for each place that it looked in; every tenth package is enough.
progress() {
  awk '/^Collecting|^Requirement already/ && ++n % 10 == 0 { print "setup:   " n " packages looked at"; fflush() }
       /^Installing collected/ { print "setup:   unpacking"; fflush() }'
}

say "installing $(grep -cE '^[a-z0-9].*==' requirements.lock) locked packages (one to two minutes the first time)"
.venv/bin/python -m pip --no-color install --progress-bar off --require-hashes -r requirements.lock \
  2>"$errors" | progress || { cat "$errors" >&2; fail "the locked packages could not be installed; pip's messages are above."; }
say "installing miqyas itself, editable"
.venv/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable . \
  >"$errors" 2>&1 || { cat "$errors" >&2; fail "miqyas itself could not be installed; pip's messages are above."; }
echo "$wanted" >"$stamp"
say "done: .venv/bin/miqyas"
