# Stand-in: Debian's Prometheus.
FROM docker.io/library/python:3.11-slim-bookworm
RUN apt-get update -qq && apt-get install --yes --quiet --no-install-recommends prometheus wget > /dev/null \
    && mkdir -p /prometheus && chown 65534:65534 /prometheus
ENTRYPOINT ["prometheus"]
