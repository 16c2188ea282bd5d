#!/usr/bin/env bash
# Fuzzes every decoder, or those that are named: SECONDS_EACH (default 60) for each.
#
# Coverage-guided with atheris where it can be installed (the extra `fuzz`), else with hypothesis.
# Goes through all of them, names those with findings at the end, and then fails; the inputs that
# atheris found are kept in .fuzz.
set -uo pipefail
cd "$(dirname "$0")/.." || exit

python=.venv/bin/python
seconds=${SECONDS_EACH:-60}
if ! $python -c 'import atheris' 2>/dev/null; then
  $python -m pip install --quiet --disable-pip-version-check --no-build-isolation --editable '.[fuzz]' ||
    echo "fuzz: atheris cannot be installed here; hypothesis is used, which does not see coverage." >&2
fi

# shellcheck disable=SC2046  # names without blanks, one a line
[ $# -gt 0 ] || set -- $($python -m tests.fuzz)
failed=()
for name; do
  echo "== $name ($seconds s)"
  $python -m tests.fuzz "$name" --seconds "$seconds" || failed+=("$name")
done
[ ${#failed[@]} = 0 ] || { echo "findings in: ${failed[*]}" >&2; exit 1; }
