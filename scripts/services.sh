#!/usr/bin/env bash
# Installs what the tests use of Debian's packages, where missing, and starts none of it: the broker
# mosquitto, the browser Chromium, a font with Arabic, and PostgreSQL.
#
# Exit status: 0 there; 77 something is missing and cannot be installed here.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v apt-get >/dev/null; then
  echo "services: no apt-get here; for the whole test suite install mosquitto, chromium, a Noto font with Arabic and postgresql." >&2
  exit 77
fi
scripts/apt.sh install mosquitto chromium fonts-noto-core postgresql
echo "services: mosquitto, chromium, fonts and postgresql are installed"
