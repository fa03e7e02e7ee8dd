set -euo pipefail
chown -R rabbitmq:rabbitmq /var/lib/rabbitmq
printf 'default_user = %s\ndefault_pass = %s\nloopback_users = none\nlog.console = true\nlog.file = false\n' \
  "$RABBITMQ_DEFAULT_USER" "$RABBITMQ_DEFAULT_PASS" > /etc/rabbitmq/rabbitmq.conf
echo '[rabbitmq_prometheus].' > /etc/rabbitmq/enabled_plugins
exec setpriv --reuid=rabbitmq --regid=rabbitmq --clear-groups env HOME=/var/lib/rabbitmq RABBITMQ_LOGS=- \
  /usr/lib/rabbitmq/bin/rabbitmq-server
