# Sourced: how uv reaches the package index. It reads none of pip's configuration, so that is handed on.

# Trust whom the machine trusts, as pip does: a company's own authority is known there.
export UV_SYSTEM_CERTS=${UV_SYSTEM_CERTS:-true}

if [ -z "${UV_DEFAULT_INDEX:-}${UV_INDEX_URL:-}" ]; then
  index=${PIP_INDEX_URL:-$("${PYTHON:-python3}" -m pip config get global.index-url 2> /dev/null || true)}
  if [ -n "$index" ]; then export UV_DEFAULT_INDEX=$index; fi
fi
