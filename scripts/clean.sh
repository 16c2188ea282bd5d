#!/usr/bin/env bash
# Removes what the other scripts and the programs made in this folder. A database in use stays.
set -euo pipefail
cd "$(dirname "$0")/.."

# Only the folder that is there by default: one that MIQYAS_HOME names may hold what people need.
if [ -d .miqyas ] && [ ! -x .venv/bin/python ]; then
  echo "clean: .miqyas stays: without .venv nothing can tell whether its server runs (make setup first)." >&2
elif [ -d .miqyas ]; then
  .venv/bin/python - <<'EOF'
from pathlib import Path

from schemas import cluster, server

try:
    server.remove(Path(".miqyas"))
except cluster.ServerError as error:
    raise SystemExit(f"clean: {error}") from None
EOF
  rm -rf .miqyas
fi
rm -rf .venv .setup.lock demo build ./*.egg-info
rm -rf .pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache
find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
