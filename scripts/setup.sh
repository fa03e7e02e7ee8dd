#!/usr/bin/env bash
# Make the virtual environment from the lock. Uses uv where it is installed, or installs it into the environment.
set -euo pipefail

# An environment of another Python, or of one that was upgraded, is made anew: a mixture of two breaks on import.
which_python() { "$1" -c 'import sys; print(sys.base_prefix, sys.version)' 2> /dev/null || true; }
if [ -e "$VENV/pyvenv.cfg" ] && [ "$(which_python "$VENV/bin/python")" != "$(which_python "$PYTHON")" ]; then
  rm -rf "$VENV"
fi

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
