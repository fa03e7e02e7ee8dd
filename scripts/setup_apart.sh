#!/usr/bin/env bash
# Make an environment apart from its lock, with the uv that the development environment has. Words go to `uv pip install`.
set -euo pipefail

source "$(dirname "$0")/registry.sh"

"$UV" venv --quiet --allow-existing --python "$PYTHON" "$VENV"
"$UV" pip install --quiet --python "$VENV/bin/python" --compile-bytecode --require-hashes --requirement "$LOCK" "$@"
