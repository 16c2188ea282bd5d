#!/usr/bin/env bash
# Removes what the other scripts and the programs made in this folder. A database in use stays.
set -euo pipefail
cd "$(dirname "$0")/.."

home=${MIQYAS_HOME:-.miqyas}
if [ -d "$home" ] && [ -x .venv/bin/python ]; then
  .venv/bin/python - "$home" <<'EOF'
import sys
from pathlib import Path
from schemas import server

in_use = server.stop_all(Path(sys.argv[1]))
sys.exit(f"clean: {sys.argv[1]} is in use ({', '.join(in_use)}); nothing was removed." if in_use else 0)
EOF
fi
rm -rf .venv .setup.lock "$home" demo build ./*.egg-info
rm -rf .pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache
find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
