#!/usr/bin/env bash
# Runs all tests, having installed what they can use where that is possible. Arguments go to pytest.
#
# What cannot be had here is named before the tests and after them; the tests that need it are skipped.
set -uo pipefail
cd "$(dirname "$0")/.." || exit

if [ "$(id -u)" = 0 ]; then
  # 77 is "cannot be had on this machine"; anything else but 0 is a failure that someone must see.
  for script in services timescaledb; do
    "scripts/$script.sh"
    status=$?
    [ $status = 0 ] || [ $status = 77 ] || exit $status
  done
fi

.venv/bin/python -m pytest -n 2 -q "$@"
