#!/usr/bin/env bash
# Make the virtual environment from the lock. Uses uv where it is installed, or installs it into the environment.
set -euo pipefail

if command -v uv > /dev/null; then
  uv venv --quiet --allow-existing --python "$PYTHON" "$VENV"
  uv=uv
else
  "$PYTHON" -m venv "$VENV"
  # The lock names uv as well: installed by its hash, like everything else.
  "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
    --requirement <(awk '/^uv==/ {found = 1} found {print} found && !/\\$/ {exit}' "$LOCK")
  uv="$VENV/bin/uv"
fi

source "$(dirname "$0")/registry.sh"

"$uv" pip install --quiet --python "$VENV/bin/python" --compile-bytecode --require-hashes --requirement "$LOCK"
"$uv" pip install --quiet --python "$VENV/bin/python" --no-deps --no-build-isolation --editable .
