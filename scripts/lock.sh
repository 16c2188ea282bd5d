#!/usr/bin/env bash
# Pins every dependency of pyproject.toml, with hashes, in requirements.lock.
#
# The lock is made from the public index alone: whatever indexes, wheel folders or constraints this
# machine's pip is configured with are left out, so that the lock holds on any machine.
set -euo pipefail
cd "$(dirname "$0")/.."

workplace=$(mktemp -d)
trap 'rm -rf "$workplace"' EXIT

plain() { env -u PIP_FIND_LINKS -u PIP_EXTRA_INDEX_URL -u PIP_INDEX_URL -u PIP_CONSTRAINT PIP_CONFIG_FILE=/dev/null UV_NO_CONFIG=1 "$@"; }

python3 -m venv "$workplace/venv"
plain "$workplace/venv/bin/pip" install --quiet --disable-pip-version-check uv
plain "$workplace/venv/bin/uv" pip compile pyproject.toml \
  --extra dev \
  --universal \
  --python-version 3.11 \
  --generate-hashes \
  --no-emit-index-url \
  --no-emit-find-links \
  --custom-compile-command "make lock" \
  --output-file requirements.lock \
  --quiet \
  "$@"

if grep -nE '://|index-url|find-links' requirements.lock; then
  echo "requirements.lock names an address: it would hold on this machine only." >&2
  exit 1
fi
echo "requirements.lock: $(grep -cE '^[a-z0-9].*==' requirements.lock) packages pinned."
