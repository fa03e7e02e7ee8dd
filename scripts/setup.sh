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

# Trust whom the machine trusts, as pip does: a company's own authority is known there.
export UV_SYSTEM_CERTS=${UV_SYSTEM_CERTS:-true}

# uv does not read pip's configuration: a mirror that is set there is handed on.
if [ -z "${UV_DEFAULT_INDEX:-}${UV_INDEX_URL:-}" ]; then
  index=${PIP_INDEX_URL:-$("$PYTHON" -m pip config get global.index-url 2> /dev/null || true)}
  if [ -n "$index" ]; then export UV_DEFAULT_INDEX=$index; fi
fi

"$uv" pip install --quiet --python "$VENV/bin/python" --compile-bytecode --require-hashes --requirement "$LOCK"
"$uv" pip install --quiet --python "$VENV/bin/python" --no-deps --no-build-isolation --editable .
