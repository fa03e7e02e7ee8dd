# Stand-in: Debian's RabbitMQ.
FROM docker.io/library/python:3.11-slim-bookworm
RUN apt-get update -qq && apt-get install --yes --quiet --no-install-recommends rabbitmq-server > /dev/null
COPY rabbitmq.sh /entrypoint.sh
ENTRYPOINT ["/bin/bash", "/entrypoint.sh"]
