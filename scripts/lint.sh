#!/usr/bin/env bash
# Checks style, types and import contracts; runs them all and fails if any failed.
set -uo pipefail
cd "$(dirname "$0")/.." || exit

failed=()
check() {
  echo "== $*"
  ".venv/bin/$1" "${@:2}" || failed+=("$1")
}

check ruff check --quiet
check ruff format --check --quiet
check mypy --strict
check lint-imports --no-logo
[ ${#failed[@]} = 0 ] || { echo "failed: ${failed[*]}" >&2; exit 1; }
