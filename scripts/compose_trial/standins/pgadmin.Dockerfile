# Stand-in: pgAdmin from its wheel, with as much of the official entrypoint as compose.yml asks for.
FROM docker.io/library/python:3.11-slim-bookworm
RUN apt-get update -qq && apt-get install --yes --quiet --no-install-recommends wget > /dev/null \
    && pip install --quiet --no-cache-dir --cert /etc/ssl/certs/ca-certificates.crt pgadmin4==9.18 gunicorn
COPY pgadmin.sh /entrypoint.sh
ENTRYPOINT ["/bin/bash", "/entrypoint.sh"]
